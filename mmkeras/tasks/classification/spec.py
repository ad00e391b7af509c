"""One label out of several: options, decisions, targets and metrics."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

import numpy as np

from mmkeras.core.errors import ConfigError
from mmkeras.modalities import NO_FACTS, NO_MODALITIES, Facts, ModalitySpec, TensorSpec
from mmkeras.modalities._moves import MOVES
from mmkeras.tasks._config import TaskConfig
from mmkeras.tasks._contract import Outputs, TaskSpec
from mmkeras.tasks._evidence import Confidences, Decisions, Evidence
from mmkeras.tasks._labels import as_labels, check_gamma, check_share, check_weights, label_index, ranked
from mmkeras.tasks._metrics import class_counts, f1, matthews, mean_of_known, ratio
from mmkeras.tasks._targets import TargetSpec

__all__ = ["Config", "Spec"]


@dataclass(frozen=True)
class Config(TaskConfig):
    """Options of the classification task."""

    labels: tuple[str, ...] = ()
    """The classes in order; empty takes the labels found in the data, sorted."""
    dropout: float = 0.1
    """Share of the fused vector dropped before the last layer in training."""
    label_smoothing: float = 0.0
    """Share of the target spread over all classes."""
    focal_gamma: float = 0.0
    """Focusing exponent of the focal loss (2 is common); 0 is plain cross-entropy."""
    class_weights: Literal["none", "balanced"] | dict[str, float] = "none"
    """Weight of a class in the loss: none, balanced by its training samples, or by label (others weigh 1)."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "labels", as_labels(self.labels, "labels"))
        check_share(self.dropout, "dropout")
        check_share(self.label_smoothing, "label_smoothing")
        check_gamma(self.focal_gamma)
        check_weights(self.class_weights, self.labels)
        if self.label_smoothing and self.focal_gamma:
            raise ConfigError(
                "label_smoothing and focal_gamma work against each other: smoothing keeps a gradient on samples that "
                f"are answered well, and the focal loss removes it. Got {self.label_smoothing} and {self.focal_gamma}; "
                "set one of them to 0"
            )

    def completed(self, facts: Facts) -> Config:
        """Return this configuration with the labels found in the data, unless it lists them."""
        return self if self.labels else dataclasses.replace(self, labels=facts.labels)

    def spec(self, modalities: Mapping[str, ModalitySpec] = NO_MODALITIES, facts: Facts = NO_FACTS) -> Spec:
        """Return the task's spec, with the labels of the facts unless they are listed here.

        Raises:
            ConfigError: fewer than two labels.
        """
        labels = self.completed(facts).labels
        if len(labels) < 2:
            raise ConfigError(
                f"labels: classification needs at least two, got {list(labels)}. Convert the data first, or list them"
            )
        return Spec(labels=labels)


@dataclass(frozen=True)
class Spec(TaskSpec):
    """One label out of several, from softmax probabilities ``probabilities`` (B, C)."""

    kind: ClassVar[str] = "classification"
    shapes_records: ClassVar[tuple[str, ...]] = ("labels",)
    follows: ClassVar[tuple[str, ...]] = MOVES
    metric: ClassVar[str] = "accuracy"

    labels: tuple[str, ...]
    """The classes in the order of the probabilities."""

    @property
    def outputs(self) -> tuple[TensorSpec, ...]:
        """``probabilities`` (C,) float32."""
        return (TensorSpec("probabilities", (len(self.labels),), "float32"),)

    @property
    def target(self) -> TargetSpec:
        """``target`` () int32: the index of the label."""
        return TargetSpec("target", (), "int32")

    def encode(self, target: Any) -> np.ndarray:
        """Return the index of a label (text, whole number or boolean) as int32 ().

        Raises:
            DataError: an unknown label or a wrong type.
        """
        return np.array(label_index(target, self.labels), np.int32)

    def decode(self, outputs: Outputs) -> list[dict[str, Any]]:
        """Return ``{"label", "confidence", "top": [{"label", "confidence"} up to 3]}`` per sample.

        A sample whose probabilities are not all finite has no decision: label and confidence are None.
        """
        answers = []
        for row in np.asarray(outputs["probabilities"]):
            top = ranked(row, self.labels, 3)
            # A sum is finite only if every probability is finite.
            best = top[0] if math.isfinite(row.sum()) else {"label": None, "confidence": None}
            answers.append({**best, "top": top})
        return answers

    def decisions(self, outputs: Outputs) -> np.ndarray:
        """Return the chosen class (B,) int64; -1 if the probabilities are not all finite."""
        probabilities = np.asarray(outputs["probabilities"])
        finite = np.isfinite(probabilities).all(axis=-1)
        return np.where(finite, np.argmax(np.where(finite[:, None], probabilities, 0), axis=-1), -1)

    def flips(self, reference: Outputs, candidate: Outputs) -> np.ndarray:
        """Return bool (B,): the chosen classes differ, or a model chooses none."""
        first, second = self.decisions(reference), self.decisions(candidate)
        return (first != second) | (first < 0) | (second < 0)

    def margins(self, reference: Outputs, candidate: Outputs) -> np.ndarray:
        """Return float (B,): the reference's probability of its own class minus that of the candidate's class."""
        first, second = self.decisions(reference), self.decisions(candidate)
        probabilities = np.asarray(reference["probabilities"], np.float64)
        rows = np.arange(len(probabilities))
        known = (first >= 0) & (second >= 0)
        margins = probabilities[rows, np.maximum(first, 0)] - probabilities[rows, np.maximum(second, 0)]
        return np.where(known, margins, np.inf)

    def evidence(self, targets: np.ndarray, outputs: Outputs) -> dict[str, np.ndarray]:
        """Return ``truth`` and ``decided`` class, ``confidence`` and ``own``, the true class's probability, each (B,).

        A sample without finite probabilities counts as wrong, with probability 0 for its class.
        """
        truth = np.asarray(targets).reshape(-1).astype(np.int64)
        probabilities, decided = np.asarray(outputs["probabilities"]), self.decisions(outputs)
        own = np.take_along_axis(probabilities.astype(np.float64), truth[:, None], axis=1)[:, 0]
        return {
            "truth": truth,
            "decided": decided,
            "confidence": probabilities.max(axis=1),
            "own": np.where(decided < 0, 0.0, own),
        }

    def sums(self, evidence: Evidence) -> dict[str, np.ndarray]:
        """Return counts by class, the negative log of the true class's probability, clipped at 1e-7, and 1."""
        found = self.decisions_of(evidence)
        surprise = -np.log(np.clip(evidence["own"], 1e-7, 1.0))
        return {
            "counts": class_counts(found.truth, found.decided),
            "surprise": surprise,
            "total": np.ones(len(surprise)),
        }

    def of_sums(self, sums: Evidence) -> dict[str, np.ndarray]:
        """Return accuracy, macro F1, balanced accuracy, MCC and cross-entropy, as scikit-learn defines them.

        Macro F1 averages the classes that are present or predicted, balanced accuracy those that are present.
        """
        hit, predicted, actual = np.moveaxis(sums["counts"], 1, 0)
        return {
            "accuracy": ratio(hit.sum(axis=1), sums["total"]),
            "macro_f1": mean_of_known(f1(hit, predicted, actual)),
            "balanced_accuracy": mean_of_known(ratio(hit, actual)),
            "mcc": matthews(hit, predicted, actual, sums["total"]),
            "cross_entropy": ratio(sums["surprise"], sums["total"]),
        }

    def decisions_of(self, evidence: Evidence) -> Decisions:
        """Return the true and the chosen label."""
        classes = np.arange(len(self.labels))
        truth, decided = (evidence[side][:, None] == classes for side in ("truth", "decided"))
        return Decisions(self.labels, truth, decided, exclusive=True)

    def confidences_of(self, evidence: Evidence) -> Confidences:
        """Return the probability of the chosen label."""
        right = evidence["decided"] == evidence["truth"]
        return Confidences(evidence["confidence"][:, None], right[:, None])

    def constant_outputs(self, targets: np.ndarray, weights: np.ndarray) -> dict[str, np.ndarray]:
        """Return the share of each class, so that the most frequent class is chosen."""
        share = np.bincount(targets.astype(np.int64), weights, len(self.labels)) / weights.sum(dtype=np.float64)
        return {"probabilities": np.tile(share.astype(np.float32), (len(targets), 1))}

    def wrongness(self, evidence: Evidence) -> np.ndarray:
        """Return 1 - the probability of the true class."""
        return np.asarray(1.0 - evidence["own"])
