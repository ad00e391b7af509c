"""What a user chooses about a task. numpy only."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from mmkeras.modalities import NO_FACTS, NO_MODALITIES, Facts, ModalitySpec
from mmkeras.tasks._contract import TaskSpec

__all__ = ["TaskConfig"]


@dataclass(frozen=True)
class TaskConfig:
    """What a user chooses about a task; ``Config`` of every ``spec.py`` derives from it."""

    def completed(self, facts: Facts) -> TaskConfig:
        """Return this configuration with what is read from the data, such as labels; by default nothing is."""
        return self

    def spec(self, modalities: Mapping[str, ModalitySpec] = NO_MODALITIES, facts: Facts = NO_FACTS) -> TaskSpec:
        """Return the task's spec; every task implements it.

        Args:
            modalities: specs by name, from which sizes may be derived.
            facts: what is read from the data.

        Raises:
            ConfigError: a value that is needed is not known, such as the labels.
        """
        raise NotImplementedError
