"""Simulated evaluations in groups: targets and the outputs of two models whose errors depend on the group."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from mmkeras.tasks.classification.spec import Spec as Classification
from mmkeras.tasks.detection.boxes import Boxes
from mmkeras.tasks.detection.scores import space_evidence
from mmkeras.tasks.detection.spec import Config as DetectionConfig
from mmkeras.tasks.detection.spec import Spec as Detection
from mmkeras.tasks.multilabel.spec import Spec as Multilabel
from mmkeras.tasks.regression.spec import Spec as Regression

__all__ = ["PROBLEMS", "Evaluation", "Problem", "group_sizes"]

Outputs = Mapping[str, np.ndarray]


@dataclass(frozen=True)
class Evaluation:
    """N samples with the answers of two models."""

    task: Any
    """Gives the metrics."""
    targets: np.ndarray
    """Encoded targets (N, ...)."""
    first: Outputs
    """Outputs (N, ...) of one model."""
    second: Outputs
    """Outputs (N, ...) of a model that mostly agrees with the first."""


Problem = Callable[[np.random.Generator, np.ndarray, float], Evaluation]
"""Draws N samples: a generator, the group of each sample (N,), and how much groups differ (0: not at all)."""


def group_sizes(rng: np.random.Generator, groups: int, mean: float) -> np.ndarray:
    """Return the samples in each group (G,), from 1 up, as uneven as a geometric distribution."""
    return np.asarray(rng.geometric(1 / mean, groups)) if mean > 1 else np.ones(groups, np.int64)


def _classification(rng: np.random.Generator, of: np.ndarray, spread: float, skill: float) -> Evaluation:
    groups, count = int(of.max()) + 1, len(of)
    log_share = np.array([0.0, -0.3, -0.7, -1.2]) + rng.normal(0, spread, (groups, 4))[of]
    targets = (log_share + rng.gumbel(size=(count, 4))).argmax(1).astype(np.int32)
    known = (skill + rng.normal(0, spread, groups)[of])[:, None] * np.eye(4)[targets]
    logits = known + rng.normal(size=(count, 4))
    both = (logits, logits + rng.normal(0, 0.5, (count, 4)))
    first, second = ({"probabilities": _softmax(each)} for each in both)
    return Evaluation(Classification(labels=tuple("abcd")), targets, first, second)


def _good(rng: np.random.Generator, of: np.ndarray, spread: float) -> Evaluation:
    return _classification(rng, of, spread, 3.0)


def _fair(rng: np.random.Generator, of: np.ndarray, spread: float) -> Evaluation:
    return _classification(rng, of, spread, 1.5)


def _multilabel(rng: np.random.Generator, of: np.ndarray, spread: float) -> Evaluation:
    groups, count = int(of.max()) + 1, len(of)
    base = np.array([0.8, 0.3, -0.2, -0.6, -1.0])
    truth = base + rng.normal(0, spread, (groups, 5))[of] + rng.logistic(size=(count, 5)) > 0
    logits = base + rng.normal(0, spread, (groups, 1))[of] + rng.normal(size=(count, 5)) + 1.2 * (2 * truth - 1)
    both = (logits, logits + rng.normal(0, 0.5, (count, 5)))
    first, second = ({"probabilities": (1 / (1 + np.exp(-each))).astype(np.float32)} for each in both)
    return Evaluation(Multilabel(tuple("abcde"), (0.5,) * 5), truth.astype(np.float32), first, second)


def _regression(rng: np.random.Generator, of: np.ndarray, spread: float) -> Evaluation:
    groups, count = int(of.max()) + 1, len(of)
    truth = rng.normal(0, spread, (groups, 2))[of] + rng.normal(size=(count, 2))
    values = truth + (rng.normal(0, spread, (groups, 2))[of] + rng.normal(size=(count, 2))) / 2
    first, second = ({"value": each.astype(np.float32)} for each in (values, values + rng.normal(0, 0.2, (count, 2))))
    task = Regression(("x", "y"), (), (0.0, 0.0), (1.0, 1.0), 0.05)
    return Evaluation(task, truth.astype(np.float32), first, second)


class _Detection(Detection):
    """Scores boxes that are drawn, not found in maps."""

    def evidence(self, targets: np.ndarray, outputs: Outputs) -> dict[str, np.ndarray]:
        found, samples = _boxes(outputs["boxes"]), len(outputs["samples"])
        most = int(np.bincount(found.sample).max())
        return space_evidence(_boxes(targets), found, self.labels, samples, most, self.class_range)

    def of_rows(self, evidence: Mapping[str, np.ndarray], weights: np.ndarray) -> dict[str, np.ndarray]:
        names = ("mAP", "NDS_front", "velocity_error", *self.class_metrics().values())
        found = super().of_rows(evidence, weights)
        return {name: found[name] for name in names}


_SPEC = DetectionConfig(labels=("car", "pedestrian", "truck"), camera=(64.0, 32.0, 40.0, 32.0, 12.0)).spec()
_DETECTION = _Detection(**vars(dataclasses.replace(_SPEC, class_range=(np.inf,) * 3)))


def _boxes(rows: np.ndarray) -> Boxes:
    """Return boxes from rows (B, 8): sample, label, score, x, y, yaw, speed along x and y."""
    rows = rows[np.argsort(rows[:, 0], kind="stable")]
    count = len(rows)
    return Boxes(
        sample=rows[:, 0].astype(np.int64),
        label=rows[:, 1].astype(np.int64),
        score=rows[:, 2],
        centre=np.column_stack([rows[:, 3:5], np.zeros(count)]),
        size=np.ones((count, 3)),
        yaw=rows[:, 5],
        velocity=rows[:, 6:8],
        attribute=np.zeros(count, np.int64),
        points=np.ones(count, np.int64),
        box=np.zeros((count, 4)),
    )


def _detection(rng: np.random.Generator, of: np.ndarray, spread: float) -> Evaluation:
    groups, count = int(of.max()) + 1, len(of)
    samples = np.repeat(np.arange(count), rng.poisson(3, count) + 1)
    group, size = of[samples], len(samples)
    labels = rng.choice(3, size, p=(0.5, 0.3, 0.2))
    truth = np.column_stack(
        [samples, labels, np.ones(size), rng.uniform(3, 35, size), rng.uniform(-15, 15, size), np.zeros(size)]
        + [rng.normal(0, 3, size)] * 2
    )
    seen = rng.random(size) < 1 / (1 + np.exp(-0.6 - rng.normal(0, spread, groups)[group]))
    found = []
    for noise in (0.5, 0.6):
        rows = truth[seen].copy()
        rows[:, 2] = rng.beta(4, 2, len(rows))
        rows[:, 3:5] += rng.normal(0, noise, (len(rows), 2))
        rows[:, 6:8] += rng.normal(0, noise, (len(rows), 2))
        false = truth[rng.random(size) < 0.5].copy()
        false[:, 2] = rng.beta(2, 4, len(false))
        false[:, 3:5] = rng.uniform((3, -15), (35, 15), (len(false), 2))
        found.append({"boxes": np.concatenate([rows, false]), "samples": np.arange(count)})
    return Evaluation(_DETECTION, truth, *found)


def _softmax(logits: np.ndarray) -> np.ndarray:
    raised = np.exp(logits - logits.max(1, keepdims=True))
    return np.asarray(raised / raised.sum(1, keepdims=True), np.float32)


PROBLEMS: dict[str, Problem] = {
    "classification, 70 %": _fair,
    "classification, 93 %": _good,
    "several labels": _multilabel,
    "regression": _regression,
    "detection": _detection,
}
"""What can be simulated, by name."""
