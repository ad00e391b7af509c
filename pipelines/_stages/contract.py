"""The additions of a pipeline to the common stages, and the recording of its numbers."""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Generic, TypeVar

from mmkeras.core.command_line import Flag
from mmkeras.core.config import RunConfig
from mmkeras.core.console import Console
from mmkeras.core.errors import ConfigError
from mmkeras.core.typed import read_json
from mmkeras.storage.files import write_json
from pipelines._stages.results import ExportedFile, Figure, Origin, record

if TYPE_CHECKING:
    from mmkeras.data.index import Index
    from mmkeras.evaluation.samples import Samples
    from mmkeras.training.run import Run

__all__ = [
    "ConfigT",
    "Evaluated",
    "Story",
    "add_to_metrics",
    "bundle_of_run",
    "check_record",
    "record_export",
    "record_run",
]

ConfigT = TypeVar("ConfigT", bound=RunConfig)

CONFIDENCE = 0.95
"""Confidence of every interval in docs/results.json."""


@dataclass(frozen=True)
class Evaluated:
    """A run whose best model has been evaluated on the test split."""

    run: Run
    config: Any
    """The resolved configuration."""
    model: Any
    """The best Keras model."""
    samples: Samples
    """The test split."""
    console: Console
    program: str
    """Name of the pipeline's module."""


class Story(Generic[ConfigT]):
    """The additions of a pipeline to the common stages; this base class adds nothing."""

    flags: ClassVar[tuple[Flag, ...]] = ()
    """Command line options of the pipeline that are not part of the configuration."""
    needs: ClassVar[str] = ""
    """What data the pipeline expects; the second paragraph of ``--help``."""

    def answer(self, flags: Mapping[str, Any], console: Console) -> int | None:
        """Do the work of one of the flags in place of a run and return the exit status, or None to run."""
        return None

    def configured(self, config: ConfigT, flags: Mapping[str, Any]) -> ConfigT:
        """Return the configuration of a new run, changed by the pipeline's flags."""
        return config

    def prepare(self, config: ConfigT, console: Console) -> ConfigT:
        """Return the configuration with its data in place."""
        return config

    def after_data(self, config: ConfigT, index: Index, console: Console) -> None:
        """Show what should be known of the converted data before the training, such as the balance of its classes.

        Raises:
            DataError: splits that leak.
        """

    def provenance(self, config: ConfigT) -> dict[str, Any]:
        """Return additions to the run's provenance in reports, such as a ``notice``."""
        return {}

    def named(self, config: ConfigT) -> str:
        """Return the first part of the names of this configuration's numbers in docs/results.json; empty for none.

        ``<name>.minutes`` holds how long the run took, and its exported files.
        """
        return ""

    def check_numbers(self, config: ConfigT) -> None:
        """Refuse ``--record`` with a `ConfigError` if this configuration does not measure the pipeline's numbers."""
        raise ConfigError(f"--record: the pipeline {config.name!r} has no number in docs/results.json")

    def numbers(self, metrics: Mapping[str, Any]) -> dict[str, Figure]:
        """Return the numbers of docs/results.json that a run has measured, by name, in their declared units.

        Args:
            metrics: content of metrics.json, with what `after_evaluation` added, and after the export what
                `after_export` added.

        Raises:
            ConfigError: the run did not measure one of them.
        """
        return {}

    def after_evaluation(self, done: Evaluated) -> None:
        """Measure more on the test split."""

    def after_export(self, done: Evaluated, bundle: Path) -> None:
        """Measure more on the exported files."""


def add_to_metrics(folder: Path, parts: dict[str, Any]) -> None:
    """Add sections to a run's metrics.json."""
    path = folder / "metrics.json"
    write_json(path, {**json.loads(path.read_text("utf-8")), **parts})


def check_record(config: ConfigT, story: Story[ConfigT]) -> None:
    """Refuse ``--record`` with a `ConfigError` if this configuration does not measure the story's numbers."""
    if config.evaluate.confidence != CONFIDENCE:
        got = config.evaluate.confidence
        raise ConfigError(f"--record: expected evaluate.confidence {CONFIDENCE}, got {got}. Leave the option out")
    story.check_numbers(config)


def record_run(folder: Path, story: Story[Any], console: Console, recorded: Collection[str] = ()) -> tuple[str, ...]:
    """Write an evaluated run's numbers into docs/results.json, with its own command, commit, machine and date.

    Args:
        folder: of the run.
        story: its pipeline.
        console: shows what is written.
        recorded: names of numbers that are written already.

    Returns:
        The names of the numbers that are written.

    Raises:
        ConfigError: the run is not evaluated, or did not measure a number.
    """
    command, origin = _origin(folder)
    metrics = _read(folder / "metrics.json")
    figures = {name: each for name, each in story.numbers(metrics).items() if name not in recorded}
    for name, figure in figures.items():
        result = record(name, figure.value, low=figure.low, high=figure.high, command=command, origin=origin)
        limits = {"bar": result.bar, "goal": result.goal}
        said = ", ".join(f"{which} {limit:g}" for which, limit in limits.items() if limit is not None)
        console.print(f"recorded {name}: {result.value:g}" + (f" ({said})" if said else ""), highlight=False)
    if figures:
        console.print("README.md: make readme updates its tables.", highlight=False)
    return (*recorded, *figures)


def record_export(folder: Path, bundle: Path, name: str, console: Console) -> None:
    """Write ``<name>.minutes`` into docs/results.json: the minutes of a run, with the exported files.

    Args:
        folder: of the run.
        bundle: exported from it.
        name: see `Story.named`; without one, nothing is written.
        console: shows what is written.

    Raises:
        ConfigError: run.json, metrics.json or export.json is missing or damaged.
    """
    if not name:
        return
    minutes = _read(folder / "metrics.json").get("minutes")
    if minutes is None:
        console.print(f"{name}.minutes is not recorded: the run was resumed.", style="yellow", highlight=False)
        return
    command, origin = _origin(folder)
    files = [ExportedFile.of(file) for file in _read(bundle / "export.json")["files"]]
    result = record(f"{name}.minutes", minutes, command=command, origin=origin, files=files)
    console.print(f"recorded {name}.minutes: {result.value:.1f}, and {len(files)} exported files", highlight=False)


def bundle_of_run(folder: Path, bundles: Path) -> Path | None:
    """Return the newest bundle that was exported from a run, or None.

    Args:
        folder: of the run.
        bundles: folder with the versions of the bundles of its name.

    Raises:
        ConfigError: run.json or a manifest is missing or damaged.
    """
    created = _read(folder / "run.json").get("created")
    manifests = [path for path in bundles.glob("*/manifest.json") if path.parent.name.isdigit()]
    for path in sorted(manifests, key=lambda path: int(path.parent.name), reverse=True):
        if _read(path)["provenance"].get("created") == created:
            return path.parent
    return None


def _origin(folder: Path) -> tuple[str, Origin]:
    """Return the command of a run, and where and when it was made."""
    provenance = _read(folder / "run.json")
    command = provenance.get("command")
    if not command:
        raise ConfigError(f"{folder / 'run.json'}: expected the run's command, got none. Record from a new run")
    return command, Origin.of_run(provenance)


def _read(path: Path) -> Any:
    hint = "Name the folder of a run whose evaluation is done; --resume finishes one"
    try:
        return read_json(path, ConfigError, hint)
    except FileNotFoundError as error:
        raise ConfigError(f"{error.filename} is missing. {hint}") from error
