"""Fine-tunes a finished run on the int8 grid, into a new run folder."""

from __future__ import annotations

import dataclasses
import itertools
import os
from dataclasses import dataclass
from pathlib import Path

import tomlkit
from rich.progress import track

from mmkeras.core.command_line import read_toml
from mmkeras.core.config import RunConfig
from mmkeras.core.console import Console
from mmkeras.core.errors import ConfigError, TrainingError, nearest
from mmkeras.core.modalities import modality_configs
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
    """The options of a fine-tuning for int8."""

    parent: str
    """Folder of the run to fine-tune, relative to the new run's folder."""
    format: str = "tflite"
    """Format whose int8 grid is used, one of `GRIDS`."""
    steps: int = 600
    """Training steps."""
    rounds: int = 4
    """Rounds into which the steps are divided, each with a validation; the best round is kept."""
    learning_rate: float | None = None
    """Peak learning rate; a tenth of the run's own when not given."""
    keep: tuple[str, ...] = ()
    """Patterns of the paths of layers that stay in float, such as ``head_*``."""

    def __post_init__(self) -> None:
        """Check the values.

        Raises:
            ConfigError: all invalid values.
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
    """Write the description of the fine-tuned run into its folder.

    Args:
        parent: a finished run.
        folder: an empty or missing folder.
        options: written to ``run.json``.

    Raises:
        TrainingError: the parent has no model, or the folder is not empty.
        ConfigError: the parent's configuration cannot be read, or ``keep`` fits no layer or all layers.
        DataError: the parent's data is missing or has changed.
    """
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise TrainingError(
            f"{os.path.relpath(folder)}: is not empty. Use another folder, or resume the fine-tuning in it: "
            f"--resume {os.path.relpath(folder)}"
        )
    config = _tuned(read_config(parent), options)
    # Checks the patterns before anything is written.
    find_places(parent.model(), options.keep)
    folder.mkdir(parents=True, exist_ok=True)
    decided = prepare(config.train)
    run = Run.create(folder, config, parent.specs, parent.task, parent.index, decided, latest=False)
    # The pipeline's own sections stay as they are in the parent.
    path = folder / "config.toml"
    content = {**read_toml(parent.folder / "config.toml"), "train": read_toml(path)["train"], "stages": []}
    write_text(path, tomlkit.dumps(content))
    keep_place(folder, Moved.of(parent.folder).starts)
    options = dataclasses.replace(options, parent=relative(parent.folder, folder))
    description = {key: value for key, value in dataclasses.asdict(options).items() if value is not None}
    name = parent.provenance.get("name", parent.folder.parent.name)
    write_json(folder / "run.json", {**run.provenance, "name": name, _KEY: description})
    return Run.open(folder)


def read_fine_tuning(run: Run) -> FineTuning:
    """Return the options of a fine-tuned run.

    Raises:
        TrainingError: the run is not a fine-tuned one, or its description is damaged.
    """
    found = run.provenance.get(_KEY)
    if found is None:
        raise TrainingError(
            f"{os.path.relpath(run.folder)}: is not a fine-tuned run, so there is nothing to resume. Start one with: "
            f"python -m export fine-tune {os.path.relpath(run.folder)}"
        )
    try:
        return FineTuning(**{**found, "keep": tuple(found.get("keep", ()))})
    except TypeError as error:
        raise TrainingError(f"{run.folder / 'run.json'}: {_KEY} cannot be read ({error}). Start a new run.") from error


def open_parent(run: Run) -> Run:
    """Open the parent of a fine-tuned run, also after both were moved.

    Raises:
        TrainingError: the parent is missing or damaged.
    """
    recorded = read_fine_tuning(run).parent
    places = list(Moved.of(run.folder).candidates(recorded))
    return Run.open(next((each for each in places if (each / "run.json").is_file()), places[0]))


def fine_tune(run: Run, *, console: Console, resume: bool = False) -> Fitted:
    """Train on the int8 grid; the run's ``best.keras`` is a float model.

    Args:
        run: from `create_run`.
        console: shows the progress.
        resume: continue from the newest checkpoint.

    Raises:
        Interrupted: Ctrl-C or SIGTERM; the state is saved.
        TrainingError: the parent is missing, or the loss is not finite.
    """
    options = read_fine_tuning(run)
    config = read_config(run)
    prepare(config.train)
    index = run.index
    model = QuantizationAware(open_parent(run).model(), GRIDS[options.format], options.keep)
    console.print(f"{len(model.places)} layers are trained on the int8 grid of {options.format}.")
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
    """Return the configuration with the training settings of the fine-tuning."""
    train = dataclasses.replace(
        config.train,
        epochs=options.rounds,
        steps_per_epoch=options.steps // options.rounds,
        learning_rate=options.learning_rate or config.train.learning_rate / 10,
        # Relations between modalities have been learned.
        modality_dropout_start=0.0,
        # The rounding of an averaged weight is not the average of rounded ones.
        ema=None,
        early_stopping=None,
        precision="float32",
        xla="off",
    )
    return dataclasses.replace(config, train=train, stages=())
