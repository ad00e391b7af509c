"""Matching: the task's spec with its targets, decisions and metrics."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from mmkeras.core.errors import DataError
from mmkeras.modalities import TensorSpec
from mmkeras.modalities._moves import MOVES
from mmkeras.tasks._contract import Outputs, TaskSpec
from mmkeras.tasks._evidence import Evidence, rows_of
from mmkeras.tasks._metrics import ratio, sample_weights
from mmkeras.tasks._targets import TargetSpec
from mmkeras.tasks.matching.flips import lost_margins
from mmkeras.tasks.matching.recall import first_rows, ranks, unit

__all__ = ["FIRST", "GROUP", "RECALLS", "SECOND", "Spec", "number_of"]

RECALLS = (1, 5, 10)
"""Answers that are looked at: recall at 1, at 5 and at 10."""
GROUP, FIRST, SECOND = range(3)
"""Columns of a target: what belongs together, and the items of the two towers."""


def number_of(name: Any) -> int:
    """Return a number below 2**63 that stands for a name; equal names have equal numbers."""
    return int.from_bytes(hashlib.blake2b(str(name).encode(), digest_size=8).digest(), "little") >> 1


@dataclass(frozen=True)
class Spec(TaskSpec):
    """Two vectors of length 1 for a pair of inputs, ``<tower>_embedding`` (B, size), and how well the pair fits.

    Each item searches all distinct items of the other tower in the evaluated samples, as a user of the towers does. The
    primary metric is the mean of recall at 1, 5 and 10 both ways. Intervals resample the queries; the items that are
    searched stay.
    """

    kind: ClassVar[str] = "matching"
    reads_labels: ClassVar[bool] = False
    follows: ClassVar[tuple[str, ...]] = MOVES
    ranks_samples: ClassVar[bool] = True
    metric: ClassVar[str] = "mean_recall"

    towers: tuple[str, ...]
    """The two modalities."""
    size: int
    """Numbers in a vector."""
    pairs: bool = False
    """Whether a head judges single pairs."""

    @property
    def outputs(self) -> tuple[TensorSpec, ...]:
        """``<tower>_embedding`` (size,) of each tower, ``similarity`` (1,) and, with ``pairs``, ``match`` (1,).

        ``similarity`` is the cosine of the vectors divided by the learned temperature, plus the learned bias of the
        sigmoid loss. ``match`` is the probability that the pair belongs together.
        """
        vectors = [TensorSpec(f"{name}_embedding", (self.size,), "float32") for name in self.towers]
        judged = [TensorSpec("match", (1,), "float32")] if self.pairs else []
        return (*vectors, TensorSpec("similarity", (1,), "float32"), *judged)

    @property
    def target(self) -> TargetSpec:
        """``pair`` (3,) int64: numbers of what belongs together, of the first tower's item and of the second's."""
        return TargetSpec("pair", (3,), "int64")

    def encode(self, target: Any) -> np.ndarray:
        """Return the numbers of a pair.

        Args:
            target: a name that all inputs that belong together have in common. An object such as ``{"pair": "7",
                "image": "7.jpg", "text": "two dogs"}`` also names the items, where several belong together.

        Raises:
            DataError: another value, or an empty name.
        """
        names = [target] * 3
        if isinstance(target, Mapping):
            keys = ("pair", *self.towers)
            if set(target) != set(keys):
                raise DataError(f"Expected a pair with the names {', '.join(keys)}, got {sorted(map(str, target))}")
            names = [target[key] for key in keys]
        if any(isinstance(name, bool) or not isinstance(name, str | int) or name == "" for name in names):
            raise DataError(f"Expected the name of a pair, a text or a whole number, got {target!r:.80}")
        return np.array([number_of(name) for name in names], np.int64)

    def decode(self, outputs: Outputs) -> list[dict[str, Any]]:
        """Return ``{"cosine", "match"}`` per sample; ``match`` only with ``pairs``, None if it is not finite."""
        first, second = self._vectors(outputs)
        found = {"cosine": np.sum(first * second, axis=-1)}
        if self.pairs:
            found["match"] = np.asarray(outputs["match"], np.float64)[:, 0]
        return [
            {name: float(values[row]) if np.isfinite(values[row]) else None for name, values in found.items()}
            for row in range(len(first))
        ]

    def flips(self, reference: Outputs, candidate: Outputs) -> np.ndarray:
        """Return bool (B,): a vector is not finite, or the sample's top answer changed.

        Each item of the batch searches the items of the other tower in the batch. With ``pairs``, the judgement of the
        pair counts too.
        """
        return ~(self._lost(reference, candidate) <= 0)

    def margins(self, reference: Outputs, candidate: Outputs) -> np.ndarray:
        """Return float (B,): by how much the reference prefers its top answer to that of the candidate.

        In units of the cosine similarity, or of the probability of a match; infinite if a value is not finite.
        """
        return np.nan_to_num(self._lost(reference, candidate), nan=np.inf, posinf=np.inf)

    def evidence(self, targets: np.ndarray, outputs: Outputs) -> dict[str, np.ndarray]:
        """Return ``pair`` (B, 3), and the vectors ``first`` and ``second`` float32 (B, size), of length 1."""
        first, second = self._vectors(outputs)
        return {"pair": np.asarray(targets).reshape(-1, 3), "first": first, "second": second}

    def finish(self, evidence: Evidence, weights: np.ndarray | None = None) -> dict[str, float]:
        """Return all metrics; a sample of weight 0 is not among the items that are searched."""
        given = sample_weights(evidence["pair"], weights)
        kept = given > 0
        return super().finish(rows_of(evidence, kept), given[kept])

    def ranks(self, evidence: Evidence) -> tuple[np.ndarray, np.ndarray]:
        """Return the rank (N,) of the right answer to each sample: first tower to second, and second to first."""
        pair, first, second = evidence["pair"], evidence["first"], evidence["second"]
        groups, results = pair[:, GROUP], []
        for queries, gallery, column in ((first, second, SECOND), (second, first, FIRST)):
            items = first_rows(pair[:, column])
            results.append(ranks(queries, groups, gallery[items], groups[items]))
        return results[0], results[1]

    def sums(self, evidence: Evidence) -> dict[str, np.ndarray]:
        """Return ``hits`` (N, 2, 3), whether each rank is at most 1, 5 and 10 both ways, and 1."""
        both = np.stack(self.ranks(evidence), axis=1)
        hits = both[:, :, None] <= np.array(RECALLS)
        return {"hits": hits.astype(np.float64), "total": np.ones(len(both))}

    def of_sums(self, sums: Evidence) -> dict[str, np.ndarray]:
        """Return the recalls and their mean."""
        shares = ratio(sums["hits"], sums["total"][:, None, None])
        found = {self.metric: shares.mean(axis=(1, 2))}
        for way, name in enumerate(self.ways):
            found |= {f"{name}_recall_{k}": shares[:, way, place] for place, k in enumerate(RECALLS)}
        return found

    def of_rows(self, evidence: Evidence, weights: np.ndarray) -> dict[str, np.ndarray]:
        """Return the median rank both ways; NaN if half of the samples find nothing."""
        found = {}
        for name, values in zip(self.ways, self.ranks(evidence), strict=True):
            order = np.argsort(values, kind="stable")
            heaped = np.cumsum(weights[:, order], axis=1)
            middle = (heaped < heaped[:, -1:] / 2).sum(axis=1)
            ranked = np.where(np.isinf(values), np.nan, values)[order]
            found[f"{name}_median_rank"] = ranked[np.minimum(middle, len(values) - 1)]
        return found

    def wrongness(self, evidence: Evidence) -> np.ndarray:
        """Return the mean rank of both ways minus 1."""
        return np.asarray(np.mean(self.ranks(evidence), axis=0) - 1.0)

    @property
    def ways(self) -> tuple[str, str]:
        """The two searches, such as ``image_to_text`` and ``text_to_image``."""
        first, second = self.towers
        return f"{first}_to_{second}", f"{second}_to_{first}"

    def _vectors(self, outputs: Outputs) -> tuple[np.ndarray, np.ndarray]:
        first, second = (unit(outputs[f"{name}_embedding"]) for name in self.towers)
        return first, second

    def _lost(self, reference: Outputs, candidate: Outputs) -> np.ndarray:
        """Return float (B,): what the candidate's decisions lose in the reference; NaN if a value is not finite."""
        lost = lost_margins(self._vectors(reference), self._vectors(candidate))
        for name in ("similarity", "match") if self.pairs else ("similarity",):
            before, after = (np.asarray(each[name], np.float64)[:, 0] for each in (reference, candidate))
            lost = np.where(np.isfinite(before) & np.isfinite(after), lost, np.nan)
            if name == "match":
                changed = (before > 0.5) != (after > 0.5)
                lost = np.where(changed, np.fmax(np.abs(2 * before - 1), lost), lost)
        return lost
