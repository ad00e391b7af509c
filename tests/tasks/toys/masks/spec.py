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
    metric: ClassVar[str] = "pixel_accuracy"
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

    def score(self, targets: np.ndarray, outputs: Any, weights: np.ndarray | None = None) -> dict[str, float]:
        right = (outputs["mask"].argmax(-1) == targets).mean(axis=(1, 2))
        return {"pixel_accuracy": float(np.average(right, weights=weights))}
