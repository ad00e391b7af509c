"""The configuration of a pipeline whose model is compared with models of one modality each."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass, field
from typing import ClassVar

from mmkeras.core.components import Choice
from mmkeras.core.config import ModelConfig, RunConfig
from mmkeras.core.errors import ConfigError, nearest
from mmkeras.core.modalities import modality_configs

__all__ = ["ALONE", "FUSED", "AloneConfig", "CrossValidationConfig", "StoryConfig"]

FUSED = "fused"
"""Name of the whole model among the trainings of a comparison."""
ALONE = "_alone"
"""End of the names of the others, after the modality's name."""


@dataclass(frozen=True)
class AloneConfig:
    """Each modality trained alone, to measure what the fusion adds."""

    modalities: tuple[str, ...] | None = None
    """Modalities that are trained alone; every one when not given, none when empty."""
    seeds: tuple[int, ...] = ()
    """Each model, the whole one too, is trained with each seed; if empty, with the run's own seed."""
    processes: int = 2
    """Number of trainings side by side, each with its share of the cores."""


@dataclass(frozen=True)
class CrossValidationConfig:
    """Every sample of a small set is answered once, by a model that is trained on the other folds."""

    folds: int = 0
    """Number of folds; the run itself is the first one. 0: none. The source must be able to divide its data."""


@dataclass(frozen=True)
class StoryConfig(RunConfig):
    """A run whose model is compared with models of one modality each, and trained on several folds."""

    others: ClassVar[tuple[str, ...]] = ()
    """Further models that the whole one is compared with, by the names that `variant` takes without `ALONE`."""
    alone: AloneConfig = field(default_factory=AloneConfig)
    cross_validation: CrossValidationConfig = field(default_factory=CrossValidationConfig)

    @property
    def compared_alone(self) -> tuple[str, ...]:
        """What is trained alone: the modalities of a model of several, and `others`.

        Raises:
            ConfigError: an unknown modality.
        """
        names = tuple(modality_configs(self.model))
        several = len(names) > 1
        known = (*names, *self.others)
        if self.alone.modalities is None:
            return known if several else ()
        for name in self.alone.modalities:
            if name not in known:
                raise ConfigError(f"alone.modalities: the model has no modality {name!r}; {nearest(name, known)}")
        return tuple(name for name in self.alone.modalities if several or name in self.others)

    def variant(self, name: str) -> ModelConfig:
        """Return the model of a training of the comparison: `FUSED`, or ``<modality>_alone``.

        A modality alone is pooled over all of its tokens: ``first`` is meant for the first word of a text.
        """
        model = self.model
        if name == FUSED:
            return model
        kept = name.removesuffix(ALONE)
        others = tuple(each for each in modality_configs(model) if each != kept)
        options = {key: value for key, value in model.fusion.options.items() if key != "query"}
        if model.fusion.name == "cross_attention" and model.fusion.options.get("query") != kept:
            options["pooling"] = "mean"
        fusion = Choice(model.fusion.name, options)
        return dataclasses.replace(model, without=(*model.without, *others), fusion=fusion)
