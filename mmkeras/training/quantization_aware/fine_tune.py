"""Fine-tunes a finished run on the int8 grid, into a run folder of its own."""

from __future__ import annotations

import dataclasses
import itertools
import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import tomlkit
from rich.progress import track

from mmkeras.core.command_line import read_toml
from mmkeras.core.config import RunConfig, modality_configs
from mmkeras.core.console import Console
from mmkeras.core.errors import ConfigError, TrainingError, nearest
from mmkeras.data.dataset import train_dataset
from mmkeras.storage.files import write_json, write_text
from mmkeras.training.environment import prepare
from mmkeras.training.fit import Fitted, fit
from mmkeras.training.moved import Moved, keep_place, relative
from mmkeras.training.quantization_aware.configuration import read_config
from mmkeras.training.quantization_aware.grid import GRIDS
from mmkeras.training.quantization_aware.model import QuantizationAware
from mmkeras.training.quantization_aware.places import find_places
from mmkeras.training.run import Run

__all__ = ["FineTuning", "create_run", "fine_tune", "open_parent", "read_fine_tuning"]

_CALIBRATION_BATCHES = 8
_KEY = "fine_tuning"


@dataclass(frozen=True)
class FineTuning:
    """How a run is fine-tuned for int8."""

    parent: str
    """Folder of the run that it starts from, relative to its own."""
    format: str = "tflite"
    """Format whose int8 grid is learnt, one of `GRIDS`."""
    steps: int = 600
    """Training steps."""
    rounds: int = 4
    """Validations in between; the best round is kept."""
    learning_rate: float | None = None
    """Peak learning rate; a tenth of the run's own when not given."""
    keep: tuple[str, ...] = ()
    """Patterns of the paths of layers that stay in float, such as ``head_*``."""

    def __post_init__(self) -> None:
        """Check the values.

        Raises:
            ConfigError: one that cannot be used; all of them are named.
        """
        problems = []
        if self.format not in GRIDS:
            problems.append(f"format: {self.format!r} has no int8 grid; {nearest(self.format, GRIDS)}")
        if self.rounds < 1:
            problems.append(f"rounds: expected at least 1, got {self.rounds}")
        elif self.steps < self.rounds:
            problems.append(f"steps: expected at least one for each of the {self.rounds} rounds, got {self.steps}")
        if self.learning_rate is not None and not 0 < self.learning_rate < 1:
            problems.append(f"learning_rate: expected more than 0 and less than 1, got {self.learning_rate}")
        if problems:
            raise ConfigError("\n".join(problems))


def create_run(parent: Run, folder: Path, options: FineTuning) -> Run:
    """Write the description of the fine-tuned run into its folder; the parent's folder is only read.

    Args:
        parent: a finished run.
        folder: empty or missing.
        options: kept in ``run.json``.

    Raises:
        TrainingError: the parent has no model, or the folder holds something.
        ConfigError: the parent's configuration cannot be read, or ``keep`` fits no layer, or all of them.
        DataError: the data that the parent was trained on is gone or has changed.
    """
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise TrainingError(
            f"{os.path.relpath(folder)}: holds something already. Give another folder, or go on with what was stopped "
            f"there: --resume {os.path.relpath(folder)}"
        )
    config = _tuned(read_config(parent), options)
    # Before anything is written: a pattern that fits nothing is a typing error.
    find_places(parent.model(), options.keep)
    folder.mkdir(parents=True, exist_ok=True)
    decided = prepare(config.train)
    run = Run.create(folder, config, parent.specs, parent.task, parent.index, decided, latest=False)
    # The pipeline's own sections and whatever else the parent says stay as they are.
    content = {**read_toml(parent.folder / "config.toml"), "train": _plain(config.train), "stages": []}
    write_text(folder / "config.toml", tomlkit.dumps(content))
    keep_place(folder, Moved.of(parent.folder).starts)
    options = dataclasses.replace(options, parent=relative(parent.folder, folder))
    description = {key: value for key, value in dataclasses.asdict(options).items() if value is not None}
    name = parent.provenance.get("name", parent.folder.parent.name)
    write_json(folder / "run.json", {**run.provenance, "name": name, _KEY: description})
    return Run.open(folder)


def read_fine_tuning(run: Run) -> FineTuning:
    """Return how a run is fine-tuned.

    Raises:
        TrainingError: it was trained from the start, or its description is damaged.
    """
    found = run.provenance.get(_KEY)
    if found is None:
        raise TrainingError(
            f"{os.path.relpath(run.folder)}: is no fine-tuned run, so there is nothing to resume. Start one with: "
            f"python -m export fine-tune {os.path.relpath(run.folder)}"
        )
    try:
        return FineTuning(**{**found, "keep": tuple(found.get("keep", ()))})
    except TypeError as error:
        raise TrainingError(f"{run.folder / 'run.json'}: {_KEY} cannot be read ({error}). Start anew.") from error


def open_parent(run: Run) -> Run:
    """Open the run that a fine-tuned one starts from, wherever both are now.

    Raises:
        TrainingError: it is gone, or damaged.
    """
    recorded = read_fine_tuning(run).parent
    places = list(Moved.of(run.folder).candidates(recorded))
    return Run.open(next((each for each in places if (each / "run.json").is_file()), places[0]))


def fine_tune(run: Run, *, console: Console, resume: bool = False) -> Fitted:
    """Train on the int8 grid; the run's ``best.keras`` is a plain float model afterwards.

    Args:
        run: from `create_run`.
        console: where progress is shown.
        resume: go on from the newest checkpoint.

    Raises:
        Interrupted: Ctrl-C or SIGTERM; the state is saved.
        TrainingError: the parent is gone, or the loss is not finite.
    """
    options = read_fine_tuning(run)
    config = read_config(run)
    prepare(config.train)
    index = run.index
    model = QuantizationAware(open_parent(run).model(), GRIDS[options.format], options.keep)
    console.print(f"{len(model.places)} layers learn the int8 grid of {options.format}.")
    batches = train_dataset(
        index,
        run.specs,
        modality_configs(config.model),
        run.task,
        batch_size=config.train.batch_size,
        seed=config.train.seed,
        start_step=0,
        modality_dropout=config.train.modality_dropout,
        cache="none",
        shuffle_buffer=config.data.shuffle_buffer,
    )
    inputs = (batch[0] for batch in itertools.islice(iter(batches), _CALIBRATION_BATCHES))
    model.calibrate(track(inputs, "ranges", total=_CALIBRATION_BATCHES, console=console, transient=True))
    return fit(model, run, config, index, console=console, resume=resume)


def _tuned(config: RunConfig, options: FineTuning) -> RunConfig:
    """Return the configuration with the training that fine-tunes."""
    train = dataclasses.replace(
        config.train,
        epochs=options.rounds,
        steps_per_epoch=options.steps // options.rounds,
        learning_rate=options.learning_rate or config.train.learning_rate / 10,
        # What needs two modalities has been learnt.
        modality_dropout_start=0.0,
        # The rounding of an averaged weight is not the average of rounded ones.
        ema=None,
        early_stopping=None,
        precision="float32",
        xla="off",
    )
    return dataclasses.replace(config, train=train, stages=())


def _plain(section: Any) -> dict[str, Any]:
    fields: dict[str, Any] = json.loads(json.dumps(dataclasses.asdict(section)))
    return {key: value for key, value in fields.items() if value is not None}
