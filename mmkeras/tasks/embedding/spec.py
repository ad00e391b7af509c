"""Embeddings: options, decisions, targets and metrics."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

import numpy as np

from mmkeras.core.errors import ConfigError, DataError
from mmkeras.modalities import NO_FACTS, NO_MODALITIES, Facts, ModalitySpec, TensorSpec
from mmkeras.modalities._moves import MOVES
from mmkeras.tasks._config import TaskConfig
from mmkeras.tasks._contract import Outputs, TaskSpec
from mmkeras.tasks._evidence import Evidence
from mmkeras.tasks._labels import check_share
from mmkeras.tasks._metrics import ratio
from mmkeras.tasks._targets import TargetSpec

__all__ = ["Config", "Spec"]


@dataclass(frozen=True)
class Config(TaskConfig):
    """Options of the embedding task."""

    size: int = 64
    """Numbers in a vector."""
    tolerance: float = 0.05
    """Largest distance of vectors that agree, as 1 minus their cosine similarity."""
    dropout: float = 0.0
    """Share of the fused vector dropped before the last layer in training."""

    def __post_init__(self) -> None:
        check_share(self.dropout, "dropout")
        if self.size < 1:
            raise ConfigError(f"size: expected at least 1, got {self.size}")
        if not 0 < self.tolerance < 2:
            raise ConfigError(f"tolerance: expected more than 0 and less than 2, got {self.tolerance}")

    def spec(self, modalities: Mapping[str, ModalitySpec] = NO_MODALITIES, facts: Facts = NO_FACTS) -> Spec:
        """Return the task's spec, which depends on these options alone."""
        return Spec(self.size, self.tolerance)


@dataclass(frozen=True)
class Spec(TaskSpec):
    """One vector (size,), from the output ``embedding`` (B, size).

    The primary metric is the mean cosine similarity to the targets, 1 at best. An exported submodel such as one tower
    of two is compared with its own float32 outputs by it, without labels.
    """

    kind: ClassVar[str] = "embedding"
    follows: ClassVar[tuple[str, ...]] = MOVES
    metric: ClassVar[str] = "cosine_similarity"
    gated_by: ClassVar[Literal["decisions", "tolerance", "metric"]] = "tolerance"

    size: int
    """Numbers in a vector."""
    tolerance: float = 0.05
    """Largest distance of vectors that agree, as 1 minus their cosine similarity."""

    @property
    def outputs(self) -> tuple[TensorSpec, ...]:
        """``embedding`` (size,) float32."""
        return (TensorSpec("embedding", (self.size,), "float32"),)

    @property
    def target(self) -> TargetSpec:
        """``embedding`` (size,) float32; its norm does not matter."""
        return TargetSpec("embedding", (self.size,), "float32")

    def encode(self, target: Any) -> np.ndarray:
        """Return a sequence of numbers, or of text that is a number, as float32 (size,).

        Raises:
            DataError: another length, values that are not finite numbers, or a vector of zeros, which has no direction.
        """
        if not isinstance(target, Sequence | np.ndarray) or isinstance(target, str | bytes):
            raise DataError(f"Expected a vector of {self.size} numbers, got {target!r:.80} ({type(target).__name__})")
        try:
            vector = np.array([float(value) for value in target])
        except (TypeError, ValueError, OverflowError):
            raise DataError(f"Expected a vector of {self.size} numbers, got {target!r:.80}") from None
        if vector.shape != (self.size,):
            raise DataError(f"Expected a vector of {self.size} numbers, got {len(vector)}")
        if not (np.abs(vector) <= np.finfo(np.float32).max).all() or not vector.any():
            raise DataError(f"Expected finite numbers that are not all 0, got {target!r:.80}")
        return vector.astype(np.float32)

    def decode(self, outputs: Outputs) -> list[dict[str, Any]]:
        """Return ``{"embedding": [numbers]}`` per sample; a number that is not finite becomes None."""
        rows = np.asarray(outputs["embedding"], np.float64)
        return [{"embedding": [float(value) if np.isfinite(value) else None for value in row]} for row in rows]

    def flips(self, reference: Outputs, candidate: Outputs) -> np.ndarray:
        """Return bool (B,): the vectors are further apart than the tolerance, or one is not finite."""
        return ~(_similarity(reference["embedding"], candidate["embedding"]) >= 1.0 - self.tolerance)

    def evidence(self, targets: np.ndarray, outputs: Outputs) -> dict[str, np.ndarray]:
        """Return ``similarity`` (B,): the cosine similarity to the targets (B, size); NaN if a vector is not finite."""
        return {"similarity": _similarity(targets, outputs["embedding"])}

    def sums(self, evidence: Evidence) -> dict[str, np.ndarray]:
        """Return the similarities and 1."""
        return {"similarity": evidence["similarity"], "total": np.ones(len(evidence["similarity"]))}

    def of_sums(self, sums: Evidence) -> dict[str, np.ndarray]:
        """Return the mean cosine similarity."""
        return {self.metric: ratio(sums["similarity"], sums["total"])}


def _similarity(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """Return the cosine similarity of each pair of vectors, float64 (B,); 0 for a vector of zeros, NaN from NaN."""
    first, second = np.asarray(first, np.float64), np.asarray(second, np.float64)
    lengths = np.linalg.norm(first, axis=-1) * np.linalg.norm(second, axis=-1)
    with np.errstate(invalid="ignore"):
        products = np.sum(first * second, axis=-1)
        return np.where(lengths == 0, 0.0, products / np.where(lengths == 0, 1.0, lengths))
