"""A mask of the picture's size, as PNG."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from PIL import Image

from mmkeras.modalities import NO_FACTS, NO_MODALITIES, Facts, ModalitySpec, TensorSpec
from mmkeras.modalities._moves import MOVES
from mmkeras.tasks import TargetSpec, TaskConfig, TaskSpec
from mmkeras.tasks._evidence import Evidence
from mmkeras.tasks._metrics import mean_of_known, ratio


@dataclass(frozen=True)
class Config(TaskConfig):
    labels: tuple[str, ...] = ("road", "car")
    stride: int = 1

    def spec(self, modalities: Mapping[str, ModalitySpec] = NO_MODALITIES, facts: Facts = NO_FACTS) -> Spec:
        height, width, _ = modalities["image"].tensors[0].shape
        return Spec(self.labels, height // self.stride, width // self.stride)


@dataclass(frozen=True)
class Spec(TaskSpec):
    kind: ClassVar[str] = "masks"
    shapes_records: ClassVar[tuple[str, ...]] = ("labels",)
    metric: ClassVar[str] = "mean_iou"
    follows: ClassVar[tuple[str, ...]] = MOVES
    reads_labels: ClassVar[bool] = False
    labels: tuple[str, ...]
    height: int
    width: int

    @property
    def outputs(self) -> tuple[TensorSpec, ...]:
        return (TensorSpec("mask", (self.height, self.width, len(self.labels)), "float32"),)

    @property
    def target(self) -> TargetSpec:
        return TargetSpec("mask", (self.height, self.width), "uint8", "png")

    def encode(self, target: Any) -> np.ndarray:
        with Image.open(target) as image:
            return np.asarray(image.resize((self.width, self.height), Image.Resampling.NEAREST))

    def decode(self, outputs: Any) -> list[dict[str, Any]]:
        return [{"pixels": int(mask.argmax(-1).sum())} for mask in outputs["mask"]]

    def flips(self, reference: Any, candidate: Any) -> np.ndarray:
        return np.asarray((reference["mask"].argmax(-1) != candidate["mask"].argmax(-1)).any(axis=(1, 2)))

    def evidence(self, targets: np.ndarray, outputs: Any) -> dict[str, np.ndarray]:
        """Return ``counts`` (B, C, C): pixels by true and predicted class; those of no class are not counted."""
        classes, samples = len(self.labels), len(targets)
        pairs = targets.astype(np.int64) * classes + outputs["mask"].argmax(-1)
        pairs += np.arange(samples)[:, None, None] * classes**2
        counts = np.bincount(pairs[targets < classes], minlength=samples * classes**2)
        return {"counts": counts.reshape(-1, classes, classes)}

    def sums(self, evidence: Evidence) -> dict[str, np.ndarray]:
        return dict(evidence)

    def of_sums(self, sums: Evidence) -> dict[str, np.ndarray]:
        counts = sums["counts"]
        hit = np.diagonal(counts, axis1=1, axis2=2)
        iou = ratio(hit, counts.sum(axis=1) + counts.sum(axis=2) - hit)
        return {
            "mean_iou": mean_of_known(iou),
            "pixel_accuracy": ratio(hit.sum(axis=1), counts.sum(axis=(1, 2))),
            **{f"iou_{label}": iou[:, i] for i, label in enumerate(self.labels)},
        }

    def class_metrics(self) -> dict[str, str]:
        return {label: f"iou_{label}" for label in self.labels}

    def classes_of(self, target: np.ndarray) -> list[str]:
        return [self.labels[i] for i in np.unique(target) if i < len(self.labels)]
