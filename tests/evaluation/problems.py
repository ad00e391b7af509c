"""Small synthetic problems whose right answers are known."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from mmkeras.evaluation import Samples
from mmkeras.evaluation.intervals import Bootstrap, Draws
from mmkeras.modalities import ModalitySpec, TensorSpec
from mmkeras.tasks import TaskSpec
from mmkeras.tasks.classification.spec import Spec as Classification
from mmkeras.tasks.multilabel.spec import Spec as Multilabel
from mmkeras.tasks.regression.spec import Spec as Regression

LABELS = ("circle", "square", "<b>triangle</b>", "$x_1$ 三角")


@dataclass(frozen=True)
class Signal(ModalitySpec):
    """Some numbers in one tensor; no picture."""

    kind: ClassVar[str] = "signal"
    width: int = 1

    @property
    def tensors(self) -> tuple[TensorSpec, ...]:
        return (TensorSpec(f"{self.name}_value", (self.width,), "float32"),)

    def preprocess(self, value: Any) -> dict[str, np.ndarray]:
        return {f"{self.name}_value": np.full(self.width, value, np.float32)}


def specs(*names: str) -> dict[str, ModalitySpec]:
    return {name: Signal(name) for name in names}


def probabilities(samples: int, classes: int, seed: int = 0, skill: float = 1.5) -> tuple[np.ndarray, np.ndarray]:
    """Return targets (N,) and probabilities (N, C) that are right more often than not."""
    rng = np.random.default_rng(seed)
    targets = rng.integers(0, classes, samples).astype(np.int32)
    logits = rng.normal(size=(samples, classes)) + skill * np.eye(classes)[targets]
    raised = np.exp(logits)
    return targets, (raised / raised.sum(1, keepdims=True)).astype(np.float32)


def task() -> Classification:
    return Classification(labels=LABELS)


def two_signals(samples: int = 400, seed: int = 0) -> Samples:
    """Return samples whose class (of 4) is two bits: modality ``left`` holds one, ``right`` the other."""
    rng = np.random.default_rng(seed)
    targets = rng.integers(0, 4, samples).astype(np.int32)
    ones = np.ones(samples, np.float32)
    return Samples(
        inputs={
            "left_value": (targets // 2).astype(np.float32)[:, None],
            "left_present": ones,
            "right_value": (targets % 2).astype(np.float32)[:, None],
            "right_present": ones.copy(),
        },
        targets=targets,
        weights=ones.copy(),
        keys=tuple(f"sample-{i}" for i in range(samples)),
        columns={"half": np.where(targets < 2, "low", "high"), "rare": np.where(np.arange(samples) < 5, "yes", "no")},
    )


def both_bits(batch: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Answer from both signals; a missing one leaves its bit open."""
    left = _bit(batch["left_value"], batch["left_present"])
    right = _bit(batch["right_value"], batch["right_present"])
    return {"probabilities": np.einsum("bi,bj->bij", left, right).reshape(-1, 4).astype(np.float32)}


def left_bit(batch: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Answer from the left signal alone."""
    left = _bit(batch["left_value"], batch["left_present"])
    return {"probabilities": np.repeat(left / 2, 2, axis=1).astype(np.float32)}


def _bit(value: np.ndarray, present: np.ndarray) -> np.ndarray:
    sure = np.where(present > 0, 0.9 * value[:, 0] + 0.05, 0.5)
    return np.stack([1 - sure, sure], axis=1)


def several_task() -> Multilabel:
    return Multilabel(labels=LABELS, thresholds=(0.5, 0.5, 0.4, 0.6))


def numbers_task() -> Regression:
    return Regression(names=("distance", "speed"), units=("m", "m/s"), mean=(5000, 0), std=(10, 1), tolerance=0.05)


def several(samples: int = 300, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Return targets (N, 4) of 0 and 1 and probabilities (N, 4) float32."""
    rng = np.random.default_rng(seed)
    targets = (rng.random((samples, 4)) < 0.3).astype(np.float32)
    noise = rng.normal(size=targets.shape)
    return targets, (1 / (1 + np.exp(-(2.5 * targets - 1.2 + noise)))).astype(np.float32)


def numbers(samples: int = 300, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Return targets and values (N, 2) float32, the first far from zero: its raw squares lose their digits."""
    rng = np.random.default_rng(seed)
    targets = (rng.normal(size=(samples, 2)) * [10, 1] + [5000, 0]).astype(np.float32)
    return targets, (targets + rng.normal(size=targets.shape) * [2, 0.5] + [1, 0]).astype(np.float32)


def scored(
    bootstrap: Bootstrap,
    spec: TaskSpec,
    targets: np.ndarray,
    outputs: Mapping[str, np.ndarray],
    *others: Any,
    **named: Any,
) -> Draws:
    """Return the scores of outputs and of every resample of them."""
    return bootstrap.score(spec, spec.evidence(targets, outputs), *others, **named)


def known(value: dict[str, Any] | None) -> dict[str, Any]:
    """Return a result that this task must have."""
    assert value is not None
    return value
