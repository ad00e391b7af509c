"""The target is the picture itself."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from PIL import Image

from mmkeras.modalities import NO_FACTS, NO_MODALITIES, TensorSpec
from mmkeras.tasks import TargetSpec, TaskConfig, TaskSpec
from mmkeras.tasks._metrics import ratio


@dataclass(frozen=True)
class Config(TaskConfig):
    def spec(self, modalities: Any = NO_MODALITIES, facts: Any = NO_FACTS) -> Spec:
        return Spec(modalities["image"].tensors[0].shape)


@dataclass(frozen=True)
class Spec(TaskSpec):
    kind: ClassVar[str] = "autoencoder"
    metric: ClassVar[str] = "mse"
    metric_sign: ClassVar[int] = -1
    gated_by: ClassVar[Any] = "tolerance"
    shape: tuple[int, ...]

    @property
    def outputs(self) -> tuple[TensorSpec, ...]:
        return (TensorSpec("picture", self.shape, "float32"),)

    @property
    def target(self) -> TargetSpec:
        return TargetSpec("picture", self.shape, "uint8", "png")

    def encode(self, target: Any) -> np.ndarray:
        with Image.open(target) as image:
            return np.asarray(image.resize((self.shape[1], self.shape[0])))

    def decode(self, outputs: Any) -> list[dict[str, Any]]:
        return [{"brightness": float(picture.mean())} for picture in outputs["picture"]]

    def flips(self, reference: Any, candidate: Any) -> np.ndarray:
        return ~(np.abs(reference["picture"] - candidate["picture"]).mean(axis=(1, 2, 3)) < 1.0)

    def evidence(self, targets: np.ndarray, outputs: Any) -> dict[str, np.ndarray]:
        return {"squares": np.square(outputs["picture"] - targets.astype(np.float64)).mean(axis=(1, 2, 3))}

    def sums(self, evidence: Any) -> dict[str, np.ndarray]:
        return {"squares": evidence["squares"], "total": np.ones(len(evidence["squares"]))}

    def of_sums(self, sums: Any) -> dict[str, np.ndarray]:
        return {"mse": ratio(sums["squares"], sums["total"])}
