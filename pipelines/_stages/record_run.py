"""Records the numbers that a run has measured, at the end of a pipeline or from a finished run's folder."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from mmkeras.core.console import Console
from mmkeras.core.errors import ConfigError
from mmkeras.core.typed import read_json
from pipelines._stages.contract import ConfigT, Story
from pipelines._stages.results import Origin, record

__all__ = ["check_record", "record_run"]

CONFIDENCE = 0.95
"""Confidence of every interval in docs/results.json."""


def check_record(config: ConfigT, story: Story[ConfigT]) -> None:
    """Refuse ``--record`` with a `ConfigError` if this configuration does not measure the pipeline's numbers."""
    if config.evaluate.confidence != CONFIDENCE:
        got = config.evaluate.confidence
        raise ConfigError(f"--record: expected evaluate.confidence {CONFIDENCE}, got {got}. Leave the option out")
    story.check_numbers(config)


def record_run(folder: Path, story: Story[Any], console: Console) -> None:
    """Write an evaluated run's numbers into docs/results.json, with its own command, commit, machine and date.

    Args:
        folder: the run's folder; ``latest`` links are followed.
        story: the pipeline, which defines its numbers.
        console: where they are shown.

    Raises:
        ConfigError: the run is not evaluated, or did not measure a number.
    """
    hint = "Name the folder of a run whose evaluation is done; --resume finishes one"
    try:
        provenance = read_json(folder / "run.json", ConfigError, hint)
        metrics = read_json(folder / "metrics.json", ConfigError, hint)
    except FileNotFoundError as error:
        raise ConfigError(f"{error.filename} is missing. {hint}") from error
    origin, command = Origin.of_run(provenance), provenance.get("command")
    if not command:
        raise ConfigError(f"{folder / 'run.json'}: expected the run's command, got none. Record from a new run")
    for name, figure in story.numbers(metrics).items():
        result = record(name, figure.value, low=figure.low, high=figure.high, command=command, origin=origin)
        console.print(f"recorded {name}: {result.value:g} (bar {result.bar:g}, goal {result.goal:g})", highlight=False)
    console.print("README.md: make readme updates its table.", highlight=False)
