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
        """Return this configuration with what only the data knows, such as labels; here the data adds nothing."""
        del facts
        return self

    def spec(self, modalities: Mapping[str, ModalitySpec] = NO_MODALITIES, facts: Facts = NO_FACTS) -> TaskSpec:
        """Return the task's spec; required.

        Args:
            modalities: their specs, from which it may derive sizes.
            facts: what only the data knows.

        Raises:
            ConfigError: something that is needed is not known.
        """
        raise NotImplementedError
