"""What a pipeline may add to the common stages, and the values that it receives there."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Generic, TypeVar

from mmkeras.core.command_line import Flag
from mmkeras.core.config import RunConfig
from mmkeras.core.console import Console
from mmkeras.core.errors import ConfigError
from pipelines._stages.results import Figure

if TYPE_CHECKING:
    from mmkeras.data.index import Index
    from mmkeras.evaluation.samples import Samples
    from mmkeras.training.run import Run

__all__ = ["ConfigT", "Evaluated", "Story"]

ConfigT = TypeVar("ConfigT", bound=RunConfig)


@dataclass(frozen=True)
class Evaluated:
    """A run whose best model has been evaluated on the test split."""

    run: Run
    """The run's folder."""
    config: Any
    """The resolved configuration."""
    index: Index
    """The converted data."""
    model: Any
    """The best Keras model."""
    samples: Samples
    """The test split."""
    metrics: dict[str, Any]
    """Content of metrics.json."""
    console: Console
    """Where progress is shown."""


class Story(Generic[ConfigT]):
    """The additions of a pipeline to the common stages; this base class adds nothing."""

    flags: ClassVar[tuple[Flag, ...]] = ()
    """Command line options of the pipeline that are not part of the configuration."""

    def answer(self, flags: Mapping[str, Any], console: Console) -> int | None:
        """Do the work of one of the flags in place of a run and return the exit status, or None to run."""
        del flags, console
        return None

    def prepare(self, config: ConfigT, console: Console) -> ConfigT:
        """Return the configuration with its data in place."""
        del console
        return config

    def provenance(self, config: ConfigT) -> dict[str, Any]:
        """Return additions to the run's provenance in reports, such as a ``notice``."""
        del config
        return {}

    def check_numbers(self, config: ConfigT) -> None:
        """Refuse ``--record`` with a `ConfigError` if this configuration does not measure the pipeline's numbers."""
        raise ConfigError(f"--record: the pipeline {config.name!r} has no number in docs/results.json")

    def numbers(self, metrics: Mapping[str, Any]) -> dict[str, Figure]:
        """Return the numbers of docs/results.json that a run has measured, by name, in their declared units.

        Args:
            metrics: content of metrics.json, with what `after_evaluation` added.

        Raises:
            ConfigError: the run did not measure one of them.
        """
        del metrics
        return {}

    def after_evaluation(self, done: Evaluated) -> None:
        """Measure more on the test split."""

    def after_export(self, done: Evaluated, bundle: Path) -> None:
        """Measure more on the exported files."""
