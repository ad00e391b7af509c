"""Any number of labels at once: options, decisions, targets and metrics."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

import numpy as np

from mmkeras.core.errors import ConfigError, DataError
from mmkeras.modalities import NO_FACTS, NO_MODALITIES, Facts, ModalitySpec, TensorSpec
from mmkeras.modalities._moves import MOVES
from mmkeras.tasks._config import TaskConfig
from mmkeras.tasks._contract import Outputs, TaskSpec
from mmkeras.tasks._evidence import Confidences, Decisions, Evidence
from mmkeras.tasks._labels import as_labels, check_gamma, check_share, check_weights, label_index, unknown_labels
from mmkeras.tasks._metrics import RankedPrecision, class_counts, f1, mean_of_known, ratio
from mmkeras.tasks._targets import TargetSpec

__all__ = ["Config", "Spec"]


@dataclass(frozen=True)
class Config(TaskConfig):
    """Options of the multilabel task."""

    labels: tuple[str, ...] = ()
    """The labels in order; empty takes the labels found in the data, sorted."""
    thresholds: float | dict[str, float] = 0.5
    """Confidence from which a label is set: one for all, or by label (others 0.5)."""
    dropout: float = 0.1
    """Share of the fused vector dropped before the last layer in training."""
    label_smoothing: float = 0.0
    """Moves the targets 0 and 1 towards 0.5: by half of this share."""
    focal_gamma: float = 0.0
    """Focusing exponent of the focal loss (2 is common); 0 is plain cross-entropy."""
    class_weights: Literal["none", "balanced"] | dict[str, float] = "none"
    """Weight in the loss of a label where it is set: none, balanced by its training samples, or by label (others 1)."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "labels", as_labels(self.labels, "labels"))
        check_share(self.dropout, "dropout")
        check_share(self.label_smoothing, "label_smoothing")
        check_gamma(self.focal_gamma)
        check_weights(self.class_weights, self.labels)
        _check_thresholds(self.thresholds, self.labels)

    def completed(self, facts: Facts) -> Config:
        """Return this configuration with the labels found in the data, unless it lists them."""
        return self if self.labels else dataclasses.replace(self, labels=facts.labels)

    def spec(self, modalities: Mapping[str, ModalitySpec] = NO_MODALITIES, facts: Facts = NO_FACTS) -> Spec:
        """Return the task's spec, with the labels of the facts unless they are listed here.

        Raises:
            ConfigError: no labels.
        """
        labels = self.completed(facts).labels
        if not labels:
            raise ConfigError("labels: multilabel needs at least one, got none. Convert the data first, or list them")
        given = self.thresholds if isinstance(self.thresholds, Mapping) else dict.fromkeys(labels, self.thresholds)
        return Spec(labels=labels, thresholds=tuple(float(given.get(label, 0.5)) for label in labels))


def _check_thresholds(thresholds: float | Mapping[str, float], labels: tuple[str, ...]) -> None:
    by_label = thresholds if isinstance(thresholds, Mapping) else {}
    values = [(f".{label}", value) for label, value in by_label.items()]
    if not isinstance(thresholds, Mapping):
        values = [("", thresholds)]
    problems = unknown_labels(by_label, labels, "thresholds") + [
        f"thresholds{where}: expected a number between 0 and 1, got {value!r}"
        for where, value in values
        if not 0.0 < value < 1.0
    ]
    if problems:
        raise ConfigError("\n".join(problems))


@dataclass(frozen=True)
class Spec(TaskSpec):
    """Any number of labels at once, from sigmoid probabilities ``probabilities`` (B, C).

    The primary metric is micro F1: it counts every decision once, so it is defined and stable on a few hundred samples
    and on slices that lack some labels. A single rare label can change macro F1, which is reported too.
    """

    kind: ClassVar[str] = "multilabel"
    shapes_records: ClassVar[tuple[str, ...]] = ("labels",)
    follows: ClassVar[tuple[str, ...]] = MOVES
    metric: ClassVar[str] = "micro_f1"

    labels: tuple[str, ...]
    """The labels in the order of the probabilities."""
    thresholds: tuple[float, ...]
    """Confidence from which each label is set."""

    @property
    def outputs(self) -> tuple[TensorSpec, ...]:
        """``probabilities`` (C,) float32."""
        return (TensorSpec("probabilities", (len(self.labels),), "float32"),)

    @property
    def target(self) -> TargetSpec:
        """``target`` (C,) float32: 1 where a label is set."""
        return TargetSpec("target", (len(self.labels),), "float32")

    def encode(self, target: Any) -> np.ndarray:
        """Return a list of labels, or a single one, as 0 and 1, float32 (C,). An empty list sets none.

        Raises:
            DataError: an unknown label or a wrong type.
        """
        if target is None:
            raise DataError("Expected a list of labels (an empty one sets none), got None")
        given = list(target) if isinstance(target, list | tuple | set | frozenset | np.ndarray) else [target]
        encoded = np.zeros(len(self.labels), np.float32)
        for label in given:
            encoded[label_index(label, self.labels)] = 1.0
        return encoded

    def decode(self, outputs: Outputs) -> list[dict[str, Any]]:
        """Return ``{"labels": [set, most confident first], "scores": {label: confidence}}`` per sample.

        A confidence that is not finite becomes None and sets no label.
        """
        answers = []
        probabilities = np.asarray(outputs["probabilities"], np.float64)
        for row, chosen in zip(probabilities, self.decisions(outputs), strict=True):
            order = [i for i in np.argsort(-np.nan_to_num(row), kind="stable") if chosen[i]]
            scores = {label: float(p) if np.isfinite(p) else None for label, p in zip(self.labels, row, strict=True)}
            answers.append({"labels": [self.labels[i] for i in order], "scores": scores})
        return answers

    def decisions(self, outputs: Outputs) -> np.ndarray:
        """Return bool (B, C): the labels that are set; False where the confidence is not finite."""
        probabilities = np.asarray(outputs["probabilities"])
        return np.isfinite(probabilities) & (probabilities >= np.asarray(self.thresholds, np.float32))

    def flips(self, reference: Outputs, candidate: Outputs) -> np.ndarray:
        """Return bool (B,): a label is decided differently, or its probability is not finite in a model."""
        unknown = ~(np.isfinite(reference["probabilities"]) & np.isfinite(candidate["probabilities"]))
        return np.any((self.decisions(reference) != self.decisions(candidate)) | unknown, axis=-1)

    def margins(self, reference: Outputs, candidate: Outputs) -> np.ndarray:
        """Return float (B,): the reference's largest distance to the threshold among the labels that differ."""
        first, second = (np.asarray(each["probabilities"], np.float64) for each in (reference, candidate))
        changed = self.decisions(reference) != self.decisions(candidate)
        distance = np.where(changed, np.abs(first - np.asarray(self.thresholds, np.float32)), 0.0)
        known = np.isfinite(first) & np.isfinite(second)
        return np.where(known, distance, np.inf).max(axis=-1)

    def evidence(self, targets: np.ndarray, outputs: Outputs) -> dict[str, np.ndarray]:
        """Return ``truth``, ``decided`` and ``probabilities``, each (B, C)."""
        truth = np.asarray(targets).reshape(-1, len(self.labels)) > 0.5
        return {
            "truth": truth,
            "decided": self.decisions(outputs),
            "probabilities": np.asarray(outputs["probabilities"]),
        }

    def sums(self, evidence: Evidence) -> dict[str, np.ndarray]:
        """Return counts by label, whether every label is right, the mean binary cross-entropy, and 1."""
        truth, decided, given = evidence["truth"], evidence["decided"], evidence["probabilities"].astype(np.float64)
        own = np.where(np.isfinite(given), np.where(truth, given, 1.0 - given), 0.0)
        return {
            "counts": class_counts(truth, decided),
            "exact": (truth == decided).all(axis=1),
            "surprise": -np.log(np.clip(own, 1e-7, 1.0)).mean(axis=1),
            "total": np.ones(len(truth)),
        }

    def of_sums(self, sums: Evidence) -> dict[str, np.ndarray]:
        """Return micro and macro F1, the share of samples with every label right, and binary cross-entropy.

        As scikit-learn defines them. Macro F1 averages the labels that are present or predicted; without any it is NaN
        and micro F1 is 0. In the cross-entropy, a probability that is not finite counts as probability 0 of the truth.
        """
        counts = np.moveaxis(sums["counts"], 1, 0)
        return {
            "micro_f1": np.nan_to_num(f1(*counts.sum(axis=2))),
            "macro_f1": mean_of_known(f1(*counts)),
            "exact_match": ratio(sums["exact"], sums["total"]),
            "cross_entropy": ratio(sums["surprise"], sums["total"]),
        }

    def of_rows(self, evidence: Evidence, weights: np.ndarray) -> dict[str, np.ndarray]:
        """Return the mean average precision of the labels that are present."""
        return {"mean_average_precision": RankedPrecision(evidence["truth"], evidence["probabilities"])(weights)}

    def counted(self, evidence: Evidence) -> dict[str, np.ndarray]:
        """Return the samples that micro F1 counts: those with a true or a set label."""
        return {"micro_f1": np.asarray((evidence["truth"] | evidence["decided"]).any(axis=1))}

    def decisions_of(self, evidence: Evidence) -> Decisions:
        """Return the true and the set labels."""
        return Decisions(self.labels, evidence["truth"], evidence["decided"])

    def confidences_of(self, evidence: Evidence) -> Confidences:
        """Return the probability of each label."""
        return Confidences(evidence["probabilities"], evidence["truth"], self.labels)

    def constant_outputs(self, targets: np.ndarray, weights: np.ndarray) -> dict[str, np.ndarray]:
        """Return the share of each label."""
        share = np.average(targets.astype(np.float64), 0, weights).astype(np.float32)
        return {"probabilities": np.tile(share, (len(targets), 1))}

    def wrongness(self, evidence: Evidence) -> np.ndarray:
        """Return the largest distance of a label's probability from 0 or 1."""
        return np.asarray(np.abs(evidence["truth"] - evidence["probabilities"]).max(axis=1))
