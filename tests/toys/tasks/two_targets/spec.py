"""Two targets by name: what is in a picture, and where."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from mmkeras.modalities import NO_FACTS, NO_MODALITIES, Facts, ModalitySpec, TensorSpec
from mmkeras.tasks import TargetSpec, TaskConfig, TaskSpec
from mmkeras.tasks._evidence import Evidence
from mmkeras.tasks._metrics import ratio


@dataclass(frozen=True)
class Config(TaskConfig):
    kinds: tuple[str, ...] = ("a", "b", "c")

    def spec(self, modalities: Mapping[str, ModalitySpec] = NO_MODALITIES, facts: Facts = NO_FACTS) -> Spec:
        return Spec(self.kinds)


@dataclass(frozen=True)
class Spec(TaskSpec):
    kind: ClassVar[str] = "two_targets"
    metric: ClassVar[str] = "accuracy"
    kinds: tuple[str, ...]

    @property
    def outputs(self) -> tuple[TensorSpec, ...]:
        return (TensorSpec("what", (len(self.kinds),), "float32"), TensorSpec("where", (2,), "float32"))

    @property
    def targets(self) -> tuple[TargetSpec, ...]:
        return (TargetSpec("what", (), "int32"), TargetSpec("where", (2,), "float32"))

    def encode(self, target: Any) -> Mapping[str, np.ndarray]:
        what, *where = target
        return {"what": np.array(self.kinds.index(what)), "where": np.array(where, np.float32)}

    def decode(self, outputs: Any) -> list[dict[str, Any]]:
        return [{"what": self.kinds[int(row.argmax())]} for row in outputs["what"]]

    def flips(self, reference: Any, candidate: Any) -> np.ndarray:
        return np.asarray(reference["what"].argmax(-1) != candidate["what"].argmax(-1))

    def evidence(self, targets: np.ndarray, outputs: Any) -> dict[str, np.ndarray]:
        right = outputs["what"].argmax(-1) == targets["what"]
        return {"right": right, "error": np.abs(outputs["where"] - targets["where"]).mean(axis=1)}

    def sums(self, evidence: Evidence) -> dict[str, np.ndarray]:
        return {**evidence, "total": np.ones(len(evidence["right"]))}

    def of_sums(self, sums: Evidence) -> dict[str, np.ndarray]:
        return {"accuracy": ratio(sums["right"], sums["total"]), "mae": ratio(sums["error"], sums["total"])}
