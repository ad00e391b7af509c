"""Trains the model of a run once more on other data of the same source: other days, another fold."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mmkeras.core.command_line import parse, to_toml
from mmkeras.core.console import Console
from mmkeras.core.errors import TrainingError
from mmkeras.storage.files import write_text
from mmkeras.training.moved import placed
from pipelines._stages.contract import ConfigT

if TYPE_CHECKING:
    from mmkeras.data.index import Index
    from mmkeras.training.run import Run
    from pipelines._stages.contract import Evaluated

__all__ = ["asked_for", "keep_asked", "read_config", "train_again", "train_in"]

_ASKED = "asked.toml"
"""The configuration before anything was learned from the training data: no vocabulary, no statistics, no labels."""


def keep_asked(folder: Path, config: Any) -> None:
    """Write the configuration that a run was asked for into its folder, beside the one with what it learned."""
    write_text(folder / _ASKED, to_toml(config))


def asked_for(done: Evaluated) -> Any:
    """Return the configuration that a run was asked for.

    A model on other data starts from it: with the vocabulary or the statistics of the run, it would know samples that
    it is tested on.

    Raises:
        TrainingError: the run was made before this file was written.
    """
    path = done.run.folder / _ASKED
    if not path.is_file():
        raise TrainingError(f"{path}: no such file; an earlier version made the run. Start a new run")
    return read_config(type(done.config), path)


def train_again(config: Any, folder: Path, console: Console) -> Run:
    """Convert the data of a configuration and train its model in a folder, or continue an interrupted training."""
    from mmkeras.data.convert import convert
    from mmkeras.data.salvage import usable
    from mmkeras.model import specs_before_data, task_config
    from mmkeras.training.environment import prepare
    from mmkeras.training.resolve import resolve

    decided = prepare(config.train)
    quiet = Console(quiet=True)
    index = convert(config.data, specs_before_data(config.model), task_config(config.model), quiet)
    index = usable(index, config.data.max_bad_records, quiet)
    if (folder / "run.json").is_file():
        config = read_config(type(config), folder / "config.toml")
    else:
        folder.mkdir(parents=True, exist_ok=True)
        config = resolve(config, index, folder)
    return train_in(folder, config, index, decided, console)


def train_in(folder: Path, config: Any, index: Index, decided: dict[str, Any], console: Console) -> Run:
    """Train a model in a folder of its own, or continue an interrupted training there.

    Args:
        folder: of the training.
        config: the resolved configuration.
        index: the converted data.
        decided: from `mmkeras.training.environment.prepare`.
        console: shows the progress.
    """
    from mmkeras.model import build_model, modality_specs, task_spec
    from mmkeras.training.fit import fit
    from mmkeras.training.run import Run

    if resume := (folder / "run.json").is_file():
        run = Run.open(folder)
    else:
        folder.mkdir(parents=True, exist_ok=True)
        specs, task = modality_specs(config.model), task_spec(config.model)
        run = Run.create(folder, config, specs, task, index, decided, latest=False)
    fit(build_model(config.model), run, config, index, console=console, resume=resume)
    return run


def read_config(config_class: type[ConfigT], path: Path, more: Sequence[str] = ()) -> ConfigT:
    """Return the configuration in a file of a run's folder, with the options of a command line in ``more``."""
    config, _ = parse(config_class, ["--config", os.fspath(path), *more], program=path.parent.name, description="")
    return placed(config, path.parent)
