"""Classification by the similarity of two vectors."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

from mmkeras.modalities import NO_FACTS, NO_MODALITIES
from mmkeras.tasks.classification import spec as classification


@dataclass(frozen=True)
class Config(classification.Config):
    size: int = 8

    def spec(self, modalities: Any = NO_MODALITIES, facts: Any = NO_FACTS) -> Spec:
        return Spec(super().spec(modalities, facts).labels, self.size)


@dataclass(frozen=True)
class Spec(classification.Spec):
    kind: ClassVar[str] = "towers"
    size: int = 8
