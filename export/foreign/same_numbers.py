"""Recognises outputs that hold the reference's numbers in another order or on another scale, without another run."""

from __future__ import annotations

import itertools
from collections.abc import Mapping

import numpy as np

from export.foreign.finding import BETTER, Finding, Gap, gap_of
from export.foreign.limits import Limits
from export.foreign.outputs import Outputs

__all__ = ["explained"]

_MOST_OUTPUTS = 5
_MOST_CLASSES = 4000
"""Of more classes the table of their differences would fill the memory."""
_SHOWN = 4


def explained(
    outputs: Outputs, base: Mapping[str, dict[str, np.ndarray]], limits: Limits, before: Gap
) -> list[Finding]:
    """Return the finding where the outputs (B, ...) of both sides hold the same numbers.

    It looks for outputs in another order, for classes in another order, and for ``file = a * reference + b``.
    """
    if not outputs.pairs:
        return []
    known, got = outputs.adapted("reference", base["reference"]), outputs.adapted("file", base["file"])
    found = _exchanged(outputs, known, got, limits) or _permuted(known, got, limits) or _scaled(known, got, limits)
    if found is None or found[1].noise * BETTER >= before.noise:
        return []
    text, gap, declare = found
    return [Finding(text, "file", True, before.noise if np.isfinite(before.noise) else None, gap.noise, declare)]


_Found = tuple[str, Gap, str] | None


def _exchanged(
    outputs: Outputs, known: Mapping[str, np.ndarray], got: Mapping[str, np.ndarray], limits: Limits
) -> _Found:
    names = list(known)
    if not 1 < len(names) <= _MOST_OUTPUTS:
        return None
    partners = {pair.file: pair.reference for pair in outputs.pairs}
    for order in itertools.permutations(names):
        if list(order) == names or any(known[a].shape != got[b].shape for a, b in zip(names, order, strict=True)):
            continue
        gap = gap_of(known, {name: got[other] for name, other in zip(names, order, strict=True)})
        if gap.agrees(limits):
            pairs = [f"{b}={partners[a]}" for a, b in zip(names, order, strict=True) if a != b]
            declare = f"--pair {' '.join(pairs)}"
            text = f"FILE agrees with the reference to {gap.shown} when outputs are paired otherwise: declare {declare}"
            return text, gap, declare
    return None


def _permuted(known: Mapping[str, np.ndarray], got: Mapping[str, np.ndarray], limits: Limits) -> _Found:
    """Return the finding that one output has its classes in another order."""
    for name, values in known.items():
        reference, file = np.asarray(values, np.float64), np.asarray(got[name], np.float64)
        if reference.ndim != 2 or not 2 <= reference.shape[1] <= _MOST_CLASSES or not np.isfinite(file).all():
            continue
        # (classes of the reference, classes of the file): how far apart their columns are.
        apart = np.stack([np.abs(file - column[:, None]).max(axis=0) for column in reference.T])
        order = apart.argmin(axis=1)
        if len(set(order.tolist())) < len(order) or np.array_equal(order, np.arange(len(order))):
            continue
        gap = gap_of({**known}, {**got, name: np.asarray(got[name])[:, order]})
        if gap.agrees(limits):
            moved = [place for place, other in enumerate(order) if place != other]
            shown = ", ".join(f"{place} is FILE's {order[place]}" for place in moved[:_SHOWN])
            more = f" and {len(moved) - _SHOWN} more" if len(moved) > _SHOWN else ""
            text = (
                f"FILE agrees with the reference to {gap.shown} when the classes of {name} are put in another order: "
                f"class {shown}{more}. The file has other class numbers, so export it again or give it other labels"
            )
            return text, gap, ""
    return None


def _scaled(known: Mapping[str, np.ndarray], got: Mapping[str, np.ndarray], limits: Limits) -> _Found:
    """Return the finding that one output is a linear function of the reference's, as with a wrong scale."""
    for name, values in known.items():
        reference, file = (np.asarray(each, np.float64).ravel() for each in (values, got[name]))
        if not np.isfinite(file).all() or np.ptp(reference) == 0 or np.ptp(file) == 0:
            continue
        slope, start = np.polyfit(reference, file, 1)
        if not slope or (abs(slope - 1) < 0.01 and abs(start) < 0.01 * np.ptp(reference)):
            continue
        gap = gap_of({**known}, {**got, name: (np.asarray(got[name], np.float64) - start) / slope})
        if gap.agrees(limits):
            more = f" plus {start:.3g}" if abs(start) > 1e-6 else ""
            text = (
                f"FILE's {name} is {slope:.4g} times the reference's{more}, "
                f"apart from {gap.shown}: its scale (quantisation or normalisation) is wrong, so export it again"
            )
            return text, gap, ""
    return None
