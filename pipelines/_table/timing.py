"""Measures how long a training takes on this machine: python -m pipelines._table.timing CONFIG.

It runs in a process of its own, so that the training afterwards starts with nothing changed.
"""

from __future__ import annotations

import dataclasses
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import tomlkit

from mmkeras.core.command_line import parse
from mmkeras.core.console import Console
from mmkeras.core.errors import MmkerasError, TrainingError
from mmkeras.core.terminal import say, utf8_program

__all__ = ["Measured", "main", "measure"]

_MARK = "measured: "
"""Beginning of the line with the result, in JSON."""
_FEW, _MORE = 2, 12
"""Training steps of the measurements."""


@dataclasses.dataclass(frozen=True)
class Measured:
    """Seconds of a training, and its size."""

    first: float
    """Of a whole training of one epoch with two steps: build, compile, trace, validate, save."""
    step: float
    """Of one training step."""
    between: float
    """Of what follows the steps of each further epoch: validation, checkpoint, TensorBoard."""
    batch: int
    """Samples in a step."""
    training: int
    """Training samples."""

    @property
    def steps(self) -> int:
        """Steps of an epoch."""
        return max(1, self.training // self.batch)

    def training_seconds(self, epochs: int) -> float:
        """Return how long so many epochs take."""
        return self.first + epochs * self.steps * self.step + (epochs - 1) * self.between


def measure(proposed: dict[str, Any]) -> Measured:
    """Return what is measured for a configuration, in a process of its own, which converts the data first.

    Raises:
        TrainingError: it cannot be trained; the message is that of the process.
    """
    with tempfile.TemporaryDirectory(prefix="mmkeras-timing-") as folder:
        file = Path(folder, "config.toml")
        file.write_text(tomlkit.dumps(proposed), encoding="utf-8")
        command = [sys.executable, "-m", "pipelines._table.timing", str(file)]
        done = subprocess.run(command, capture_output=True, text=True, check=False, encoding="utf-8", errors="replace")
    found = next((line for line in done.stdout.splitlines() if line.startswith(_MARK)), None)
    if done.returncode or found is None:
        raise TrainingError(f"The time of a training step could not be measured: {done.stderr.strip()[-1500:]}")
    return Measured(**json.loads(found.removeprefix(_MARK)))


@utf8_program
def main(arguments: Sequence[str] | None = None) -> int:
    """Measure a configuration, print the result, and return the exit status."""
    (path,) = sys.argv[1:] if arguments is None else arguments
    try:
        with tempfile.TemporaryDirectory(prefix="mmkeras-timing-") as folder:
            say(_MARK + json.dumps(dataclasses.asdict(_measured(Path(path), Path(folder)))), flush=True)
    except MmkerasError as error:
        say(f"{type(error).__name__}: {error}", to=sys.stderr)
        return 2
    return 0


def _measured(path: Path, folder: Path) -> Measured:
    from mmkeras.data.convert import convert
    from mmkeras.model import build_model, modality_specs, specs_before_data, task_config, task_spec
    from mmkeras.training.batches import training_batches
    from mmkeras.training.cluster.connect import ALONE
    from mmkeras.training.environment import prepare
    from mmkeras.training.fit import fit
    from mmkeras.training.resolve import resolve
    from mmkeras.training.run import Run
    from mmkeras.training.stage_plan import plan_stage
    from mmkeras.training.stages import stages_of
    from pipelines.table import DEFAULTS, TableConfig

    console = Console(quiet=True)
    config, _ = parse(TableConfig, ["--config", str(path)], program="timing", description="", defaults=DEFAULTS)
    decided = {**prepare(config.train), "trained_on": "one device"}
    index = convert(config.data, specs_before_data(config.model), task_config(config.model), console)
    config = resolve(config, index, folder)
    specs, task = modality_specs(config.model), task_spec(config.model)

    train = dataclasses.replace(config.train, epochs=2, steps_per_epoch=_FEW, early_stopping=None)
    config = dataclasses.replace(config, train=train)
    run = Run.create(folder, config, specs, task, index, decided, latest=False)
    times = [time.monotonic()]

    def note(model: Any) -> dict[str, Any]:
        times.append(time.monotonic())
        return {}

    model = build_model(config.model)
    fit(model, run, config, index, console=console, draw=note)
    stage = plan_stage(stages_of(config, run, index)[0], index, ALONE).stage
    batches = training_batches(index, stage, ALONE, step=0, steps_per_epoch=_MORE, clock=None)
    began = time.monotonic()
    # Without callbacks, and with the function that is traced already.
    model.fit(batches, epochs=1, steps_per_epoch=_MORE, shuffle=False, verbose=0)
    step = (time.monotonic() - began) / _MORE
    first, second = times[1] - times[0], times[2] - times[1]
    between = max(second - _FEW * step, 0.0)
    return Measured(first, step, between, config.train.batch_size, index.samples("train"))


if __name__ == "__main__":
    sys.exit(main())
