"""Pipelines on public data: what they expect, a demonstration without it, and each modality trained alone."""

from __future__ import annotations

import dataclasses
import os
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar, TypeVar

from mmkeras.core.command_line import Flag
from mmkeras.core.components import Choice
from mmkeras.core.config import RunConfig
from mmkeras.core.console import Console
from mmkeras.core.errors import ConfigError
from mmkeras.storage.files import write_text
from pipelines._stages.alone_config import StoryConfig
from pipelines._stages.contract import Evaluated, Story, add_to_metrics
from pipelines._stages.results import Figure

__all__ = ["DEMO", "PublicStory", "fusion_gain", "train_others"]

NOTICE = "Demonstration on generated data: the numbers say nothing about real data."
DEMO = "demonstration.txt"
"""The file that marks a folder as generated."""
_PATHS = ("folder", "path")
"""Options of sources that name their data."""


StoryT = TypeVar("StoryT", bound=StoryConfig)


class PublicStory(Story[StoryT]):
    """A pipeline whose data the user fetches, or has generated with ``--demo``."""

    flags: ClassVar[tuple[Flag, ...]] = (Flag("demo", "Run on a small generated set, without any data."),)
    needs: ClassVar[str] = ""
    """What the pipeline expects, where the public set can be had and under which licence. Shown by ``--help``, and when
    no data is named."""
    demo_format: ClassVar[int] = 1
    """Increased when `demo` writes other data."""

    def demo(self, config: StoryT, folder: Path) -> None:
        """Write a small generated set into an empty folder, in seconds."""
        raise NotImplementedError

    def demo_config(self, config: StoryT, folder: Path) -> StoryT:
        """Return the configuration of a run on the generated set, which takes a few minutes on two cores."""
        source = Choice(config.data.source.name, {**config.data.source.options, "folder": str(folder)})
        return dataclasses.replace(config, data=dataclasses.replace(config.data, source=source))

    def configured(self, config: StoryT, flags: Mapping[str, Any]) -> StoryT:
        """Return the configuration of ``--demo``; refuse to run without any data.

        Raises:
            ConfigError: no data is named, or ``--demo`` is given with data or ``--record``.
        """
        given = _named_data(config)
        if not flags["demo"]:
            if not given:
                raise ConfigError(f"No data is named.\n{self.needs.strip()}\nWithout data: --demo")
            return config
        if given:
            raise ConfigError(f"--demo generates its own data; leave out data.source.options.{next(iter(given))}")
        if flags["record"]:
            raise ConfigError("--demo: numbers of generated data are not recorded; leave out --record")
        config = dataclasses.replace(config, name=f"{config.name}_demo")
        return self.demo_config(config, self._demo_folder(config))

    def prepare(self, config: StoryT, console: Console) -> StoryT:
        """Write the generated set of ``--demo``, unless it is there."""
        folder = self._demo_folder(config)
        if folder in _folders(config) and not (folder / DEMO).is_file():
            partial = folder.with_name(f".{folder.name}.partial")
            for old in (partial, folder):
                shutil.rmtree(old, ignore_errors=True)
            partial.mkdir(parents=True)
            self.demo(config, partial)
            write_text(partial / DEMO, NOTICE + "\n")
            os.replace(partial, folder)
            console.print(f"wrote a generated set: {folder}", style="dim", highlight=False)
        return config

    def _demo_folder(self, config: StoryT) -> Path:
        return Path(config.data.folder) / f"demo-{config.name}-{self.demo_format}"

    def provenance(self, config: StoryT) -> dict[str, Any]:
        """Mark numbers of generated data as such."""
        return {"notice": NOTICE} if any((folder / DEMO).is_file() for folder in _folders(config)) else {}

    def after_evaluation(self, done: Evaluated) -> None:
        """Train each modality alone and the further folds, and compare."""
        train_others(done)


def train_others(done: Evaluated) -> None:
    """Train each modality alone and the model of every further fold, as far as the configuration asks for them.

    The comparisons are added to metrics.json and to the report.
    """
    from mmkeras.evaluation.report import write_report
    from pipelines._stages.alone import compare_alone
    from pipelines._stages.folds import cross_validate
    from pipelines._stages.stages import stage

    found = {}
    if done.config.compared_alone:
        with stage(done.console, "Each modality alone"):
            found["alone"] = compare_alone(done, done.program)
    if done.config.cross_validation.folds:
        with stage(done.console, "Folds"):
            found["folds"] = cross_validate(done)
    if found:
        add_to_metrics(done.run.folder, found)
        write_report(done.run.folder)


def fusion_gain(metrics: Mapping[str, Any], modality: str = "") -> Figure:
    """Return the gain of the fusion over the best modality alone, or over a given one, in points.

    Args:
        metrics: content of metrics.json.
        modality: the modality to compare with.

    Raises:
        ConfigError: the run was not compared.
    """
    alone = metrics.get("alone") or {}
    found = alone.get("modalities", {}).get(modality, {}).get("gain") if modality else alone.get("fusion_gain")
    if found is None:
        raise ConfigError("--record: expected each modality alone in metrics.json; leave out --alone.modalities")
    return Figure.percent(found)


def _named_data(config: RunConfig) -> dict[str, str]:
    """Return the options that name the data of a source, with their values."""
    options = config.data.source.options
    return {key: str(options[key]) for key in _PATHS if options.get(key)}


def _folders(config: RunConfig) -> list[Path]:
    """Return the folders that may be a generated set: what a source names, and what holds it."""
    places = [Path(value) for value in _named_data(config).values()]
    return [folder for place in places for folder in (place, place.parent)]
