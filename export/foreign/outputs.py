"""Makes the outputs of both sides comparable: pairs, layout, and the changes that the user declares."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from export.foreign.feeds import SIDES
from export.foreign.match import Pair, match
from mmkeras.core.errors import ConfigError, nearest

__all__ = ["ACTIVATIONS", "Changes", "Outputs", "parse_changes", "sigmoid", "softmax"]

ACTIVATIONS = ("softmax", "sigmoid")


@dataclass(frozen=True)
class Changes:
    """What is declared of the outputs of both sides."""

    activation: Mapping[str, str] = field(default_factory=dict)
    """``softmax`` or ``sigmoid`` by side: the output of that side holds logits."""
    background: str = ""
    """The side whose first class is a background class that the other side does not have."""

    def apply(self, side: str, values: np.ndarray) -> np.ndarray:
        """Return the decision output (B, ..., C) of a side as it is compared."""
        name = self.activation.get(side)
        if name:
            values = softmax(values) if name == "softmax" else sigmoid(values)
        return values[..., 1:] if side == self.background else values


def parse_changes(activation: Sequence[str], background: str) -> Changes:
    """Return the changes that ``--activation SIDE=NAME`` and ``--background SIDE`` declare.

    Raises:
        ConfigError: an unknown side or function.
    """
    found = {}
    for text in activation:
        side, _, name = text.partition("=")
        if side not in SIDES or name not in ACTIVATIONS:
            raise ConfigError(
                f"--activation: expected SIDE=softmax or SIDE=sigmoid, where SIDE is file or reference, got {text!r}"
            )
        found[side] = name
    if background and background not in SIDES:
        raise ConfigError(f"--background: {background!r}; {nearest(background, SIDES)}")
    return Changes(found, background)


def softmax(values: np.ndarray) -> np.ndarray:
    """Return the softmax over the last dimension, in float64."""
    shifted = np.asarray(values, np.float64)
    shifted = np.exp(shifted - shifted.max(axis=-1, keepdims=True))
    result: np.ndarray = shifted / shifted.sum(axis=-1, keepdims=True)
    return result


def sigmoid(values: np.ndarray) -> np.ndarray:
    """Return the logistic function, in float64."""
    result: np.ndarray = 0.5 * (1 + np.tanh(0.5 * np.asarray(values, np.float64)))
    return result


@dataclass
class Outputs:
    """The pairs of outputs, found on the outputs of a first batch."""

    pairs: list[Pair]
    decision: Pair | None
    """The pair that decisions are read from: a row of numbers for each sample."""
    changes: Changes
    problems: list[str] = field(default_factory=list)
    """Outputs without a partner, and pairs of different shapes."""
    unequal: list[Pair] = field(default_factory=list)
    """Pairs of different shapes; they are not compared."""
    said: list[str] = field(default_factory=list)
    moved: dict[str, str] = field(default_factory=dict)
    """``first`` or ``last`` by output of the file whose channels are moved there."""

    @classmethod
    def of(
        cls,
        file: Mapping[str, np.ndarray],
        reference: Mapping[str, np.ndarray],
        declared: Mapping[str, str],
        ignored: Sequence[str],
        changes: Changes,
        decision: str = "",
    ) -> Outputs:
        """Pair the outputs of one batch (B, ...) of both sides.

        Raises:
            ConfigError: ``decision`` names no output.
        """
        left, right = ({name: value.shape[1:] for name, value in side.items()} for side in (file, reference))
        pairs, problems = match("output", left, right, declared, ignored)
        found = cls(pairs, None, changes, problems)
        found.decision = found._chosen(decision, file)
        for pair in list(pairs):
            found._check(pair, file[pair.file], reference[pair.reference])
        return found

    def _chosen(self, wanted: str, file: Mapping[str, np.ndarray]) -> Pair | None:
        if wanted:
            for pair in self.pairs:
                if wanted in (pair.file, pair.reference):
                    return pair
            raise ConfigError(f"--decision: {nearest(wanted, [pair.file for pair in self.pairs])}")
        rows = [pair for pair in self.pairs if len([size for size in file[pair.file].shape[1:] if size != 1]) <= 1]
        # In this order: a file of scikit-learn's converter has a label before its probabilities.
        words = ("prob", "softmax", "logit", "score", "class", "pred", "label")
        named = [pair for word in words for pair in rows if word in f"{pair.file} {pair.reference}".lower()]
        chosen = next(iter(named or rows), None)
        if chosen and len(rows) > 1:
            self.said.append(f"decisions are read from {chosen}; choose another output with --decision")
        return chosen

    def _check(self, pair: Pair, file: np.ndarray, reference: np.ndarray) -> None:
        one, other = (self._adapted(pair, side, values) for side, values in (("file", file), ("reference", reference)))
        if one.shape == other.shape:
            return
        for place, axes in (("first", (-1, 1)), ("last", (1, -1))):
            if one.ndim == 4 and np.moveaxis(one, *axes).shape == other.shape:
                self.moved[pair.file] = place
                self.said.append(f"output {pair}: FILE's channels are moved {place}, as the reference has them")
                return
        self.pairs.remove(pair)
        self.unequal.append(pair)
        self.problems.append(f"output {pair}: FILE gives {_shape(one)}, the reference {_shape(other)}")

    def _adapted(self, pair: Pair, side: str, values: np.ndarray) -> np.ndarray:
        values = np.asarray(values)
        if pair is self.decision:
            values = self.changes.apply(side, values.reshape(len(values), -1))
        elif values.ndim == 1:
            values = values[:, None]
        if side == "file" and pair.file in self.moved:
            values = np.moveaxis(values, *((-1, 1) if self.moved[pair.file] == "first" else (1, -1)))
        return values

    def adapted(self, side: str, outputs: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        """Return the outputs (B, ...) of a side as they are compared, by the file's names."""
        return {pair.file: self._adapted(pair, side, outputs[getattr(pair, side)]) for pair in self.pairs}


def _shape(values: np.ndarray) -> str:
    return f"(B, {', '.join(map(str, values.shape[1:]))})"
