"""Searches for what explains a difference: another preprocessing of one side, or a change of an output.

A finding is never a pass. It is said, with the option that declares it, and the verdict stays until it is declared.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from export.foreign.feeds import SIDES, Feeds
from export.foreign.finding import BETTER, Finding, Gap, gap_of
from export.foreign.limits import Limits
from export.foreign.outputs import ACTIVATIONS, Changes, Outputs
from export.foreign.rows import Rows
from export.foreign.same_numbers import explained
from export.foreign.variants import MOST_CHANGES, Variant, variants
from mmkeras.core.errors import DataError

__all__ = ["Question", "diagnose"]

_ROWS = 8
_SECONDS = 60.0
_NAMES = {"file": "FILE", "reference": "the reference"}


@dataclass
class Question:
    """What the search needs."""

    rows: Rows
    changes: Changes
    pairs: Mapping[str, str]
    """Declared pairs of names."""
    ignored: Sequence[str]
    decision: str
    limits: Limits

    def raw(self, feeds: Feeds, side: str, values: Sequence[Mapping[str, Any]]) -> dict[str, np.ndarray]:
        """Run one side on a few rows."""
        found = [feeds.models[side].infer(feeds.batch([each], side)) for each in values]
        return {name: np.concatenate([each[name] for each in found]) for name in found[0]}

    def outputs(self, file: Any, reference: Any, changes: Changes) -> Outputs:
        """Pair the outputs under other changes."""
        return Outputs.of(file, reference, self.pairs, self.ignored, changes, self.decision)

    def gap(self, file: dict[str, np.ndarray], reference: dict[str, np.ndarray], changes: Changes) -> Gap:
        """Return the difference; infinite where outputs cannot be compared or are not finite."""
        outputs = self.outputs(file, reference, changes)
        if outputs.problems or not outputs.pairs:
            return Gap(math.inf, math.inf)
        known, got = outputs.adapted("reference", reference), outputs.adapted("file", file)
        return gap_of(known, got)


def diagnose(question: Question, say: Callable[[str], None] = lambda text: None) -> list[Finding]:
    """Return the explanations, those that make both sides agree first; at most one for each side and kind.

    The search looks at `_ROWS` rows and stops after `_SECONDS`.
    """
    rows = question.rows
    values = [rows.values(row) for row in rows.spread(_ROWS)]
    if not values:
        return []
    base = {side: question.raw(rows.feeds, side, values) for side in SIDES}
    before = question.gap(base["file"], base["reference"], question.changes)
    found = [*_of_outputs(question, base, before)]
    if any(finding.agrees for finding in found):
        return found
    found += explained(
        question.outputs(base["file"], base["reference"], question.changes), base, question.limits, before
    )
    if any(finding.agrees for finding in found):
        return found
    started = time.monotonic()
    for changes in range(1, MOST_CHANGES + 1):
        best: dict[str, tuple[Gap, Changes, Variant]] = {}
        for variant in variants(rows.feeds, changes):
            if time.monotonic() - started > _SECONDS:
                break
            say(f"looking for the cause: {_NAMES[variant.side]} {variant.what}")
            try:
                other = question.raw(variant.feeds, variant.side, values)
            except DataError:
                continue
            outs = {**base, variant.side: other}
            for tried in (question.changes, *_other_changes(question, outs)):
                gap = question.gap(outs["file"], outs["reference"], tried)
                if variant.side not in best or gap.noise < best[variant.side][0].noise:
                    best[variant.side] = (gap, tried, variant)
        new = [_finding(question, *each, before) for each in best.values()]
        found += [each for each in new if each is not None]
        if any(finding.agrees for finding in found):
            break
    found.sort(key=lambda finding: (not finding.agrees, finding.side != "file", finding.after))
    # With one that agrees, the one of the other side is shown too: only the user knows which inputs are right.
    return found if any(finding.agrees for finding in found) else found[:1]


def _finding(question: Question, gap: Gap, changes: Changes, variant: Variant, before: Gap) -> Finding | None:
    agrees = gap.agrees(question.limits)
    if not gap.noise * BETTER < before.noise:
        return None
    who = _NAMES[variant.side]
    effect = f"agrees with {'the reference' if variant.side == 'file' else 'FILE'} to {gap.shown}"
    if not agrees:
        effect = f"comes closer (difference {gap.shown} in place of {before.shown})"
    more = "".join(f", and {text}" for text in _said(changes, question.changes))
    declare = " ".join([variant.declare, *_options(changes, question.changes)]).strip() if variant.declare else ""
    advice = f": declare {declare}" if declare else ": the file reads its input wrongly, so export it again"
    text = f"{who} {effect} when its input {variant.name!r} is given {variant.what}{more}{advice}"
    return Finding(text, variant.side, agrees, _known(before.noise), gap.noise, declare, variant)


def _other_changes(question: Question, outs: Mapping[str, dict[str, np.ndarray]]) -> Iterator[Changes]:
    """Yield changes of the decision output that are not declared: an activation, or a background class."""
    base = question.changes
    outputs = question.outputs(outs["file"], outs["reference"], base)
    pair = outputs.decision
    if pair is None:
        return
    width = {
        side: outs[side][getattr(pair, side)].reshape(len(outs[side][getattr(pair, side)]), -1).shape[1]
        for side in SIDES
    }
    apart = width["file"] - width["reference"]
    backgrounds = [base.background]
    if not base.background and abs(apart) == 1:
        backgrounds = ["file" if apart > 0 else "reference"]
    activations: list[Mapping[str, str]] = [base.activation]
    for side in SIDES:
        if side not in base.activation:
            activations += [{**base.activation, side: name} for name in ACTIVATIONS]
    for background in backgrounds:
        for activation in activations:
            changed = Changes(activation, background)
            if changed != base:
                yield changed


def _of_outputs(question: Question, base: Mapping[str, dict[str, np.ndarray]], before: Gap) -> list[Finding]:
    """Return the change of an output that explains the difference without other inputs."""
    gaps = [
        (question.gap(base["file"], base["reference"], changes), changes) for changes in _other_changes(question, base)
    ]
    good = [
        (gap, changes) for gap, changes in gaps if gap.agrees(question.limits) and gap.noise * BETTER < before.noise
    ]
    if not good:
        return []
    gap, changes = min(good, key=lambda each: each[0].noise)
    declare = " ".join(_options(changes, question.changes))
    what = " and ".join(_said(changes, question.changes))
    side = changes.background or next(iter(dict(changes.activation)), "file")
    text = f"FILE agrees with the reference to {gap.shown} when {what}: declare {declare}"
    return [Finding(text, side, True, _known(before.noise), gap.noise, declare)]


def _said(changes: Changes, base: Changes) -> list[str]:
    found = []
    for side, name in changes.activation.items():
        if side not in base.activation:
            found.append(f"{name} is applied to the output of {_NAMES[side]}, which holds logits")
    if changes.background != base.background:
        found.append(f"the first class of {_NAMES[changes.background]}, a background class, is left out")
    return found


def _options(changes: Changes, base: Changes) -> list[str]:
    found = [f"--activation {side}={name}" for side, name in changes.activation.items() if side not in base.activation]
    return found + ([f"--background {changes.background}"] if changes.background != base.background else [])


def _known(value: float) -> float | None:
    return value if math.isfinite(value) else None
