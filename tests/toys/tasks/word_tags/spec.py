"""A tag for every word of a text, padded to the number of words that the text's modality has."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from mmkeras.core.errors import DataError
from mmkeras.modalities import NO_FACTS, NO_MODALITIES, Facts, ModalitySpec, TensorSpec
from mmkeras.tasks import TargetSpec, TaskConfig, TaskSpec
from mmkeras.tasks._evidence import Evidence
from mmkeras.tasks._metrics import ratio

PADDING = -1


@dataclass(frozen=True)
class Config(TaskConfig):
    tags: tuple[str, ...] = ("O", "B", "I")

    def spec(self, modalities: Mapping[str, ModalitySpec] = NO_MODALITIES, facts: Facts = NO_FACTS) -> Spec:
        return Spec(self.tags, modalities["text"].tensors[0].shape[0])


@dataclass(frozen=True)
class Spec(TaskSpec):
    kind: ClassVar[str] = "word_tags"
    metric: ClassVar[str] = "accuracy"
    tags: tuple[str, ...]
    words: int

    @property
    def outputs(self) -> tuple[TensorSpec, ...]:
        return (TensorSpec("tags", (self.words, len(self.tags)), "float32"),)

    @property
    def target(self) -> TargetSpec:
        return TargetSpec("tags", (self.words,), "int32")

    def encode(self, target: Any) -> np.ndarray:
        target = target.split() if isinstance(target, str) else target
        if unknown := set(target) - set(self.tags):
            raise DataError(f"Expected tags of {self.tags}, got {sorted(unknown)}")
        found = [self.tags.index(tag) for tag in target][: self.words]
        return np.array(found + [PADDING] * (self.words - len(found)), np.int32)

    def decode(self, outputs: Any) -> list[dict[str, Any]]:
        return [{"tags": [self.tags[i] for i in row.argmax(-1)]} for row in outputs["tags"]]

    def flips(self, reference: Any, candidate: Any) -> np.ndarray:
        return np.asarray((reference["tags"].argmax(-1) != candidate["tags"].argmax(-1)).any(axis=1))

    def evidence(self, targets: np.ndarray, outputs: Any) -> dict[str, np.ndarray]:
        right = outputs["tags"].argmax(-1) == targets
        return {"right": right.sum(axis=1), "words": (targets != PADDING).sum(axis=1)}

    def sums(self, evidence: Evidence) -> dict[str, np.ndarray]:
        return dict(evidence)

    def of_sums(self, sums: Evidence) -> dict[str, np.ndarray]:
        return {"accuracy": ratio(sums["right"], sums["words"])}

    def classes_of(self, target: np.ndarray) -> list[str]:
        return [self.tags[i] for i in np.unique(target[target != PADDING])]
