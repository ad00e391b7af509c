"""A run on the tiny table, text alone where not said otherwise, that trains in seconds within this process."""

from __future__ import annotations

import dataclasses
import io
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import keras
import pytest

from mmkeras.core.command_line import parse
from mmkeras.core.config import StageConfig
from mmkeras.core.console import Console
from mmkeras.core.modalities import modality_configs
from mmkeras.data.convert import convert
from mmkeras.data.index import Index
from mmkeras.model import build_model, modality_specs, task_config, task_spec
from mmkeras.training.fit import Fitted, fit
from mmkeras.training.interrupts import Interrupts
from mmkeras.training.resolve import resolve
from mmkeras.training.run import Run
from mmkeras.training.stages import Stage, stages_of
from pipelines.vqa import VqaConfig
from tests.tiny import write_tiny_config, write_tiny_table

__all__ = ["TinyRun", "interrupt_after", "start"]


@dataclass(frozen=True)
class TinyRun:
    """A run that has not been trained yet."""

    run: Run
    config: VqaConfig
    index: Index
    console: Console

    def fit(self, **options: Any) -> Fitted:
        """Train it, with other settings of ``train`` where given."""
        config = dataclasses.replace(self.config, train=dataclasses.replace(self.config.train, **options))
        return fit(build_model(config.model), self.run, config, self.index, console=self.console)

    def resumed(self) -> Fitted:
        """Go on with it, as a new process does."""
        keras.utils.set_random_seed(0)
        model = build_model(self.config.model)
        return fit(model, Run.open(self.run.folder), self.config, self.index, console=self.console, resume=True)

    @property
    def stage(self) -> Stage:
        """Its last stage."""
        return stages_of(self.config, self.run, self.index)[-1]

    @property
    def said(self) -> str:
        """What the user was told."""
        return self.console.file.getvalue()  # type: ignore[attr-defined]


def start(
    folder: Path,
    harm: Callable[[Path], None] | None = None,
    *,
    stages: tuple[StageConfig, ...] = (),
    picture: bool = False,
    options: Sequence[str] = (),
) -> TinyRun:
    """Convert the table, describe a run with these stages and options, and then harm the first training shard."""
    path = write_tiny_config(folder, write_tiny_table(folder, 96))
    without, edge = "" if picture else '["image"]', '[model.image]\nlevel = 3\narchitecture = "edge"\n'
    text = path.read_text().replace("[model]\n", f"[model]\nwithout = {without or []}\n")
    path.write_text(text.replace("[model.image]\n", edge))
    told = ["--config", str(path), "--data.cache", "none", "--data.samples_per_shard", "16"]
    config, _ = parse(VqaConfig, [*told, "--train.deterministic", "false", *options], program="t", description="")
    config = dataclasses.replace(config, stages=stages)
    console = Console(file=io.StringIO(), width=500)
    index = convert(config.data, modality_configs(config.model), task_config(config.model), console)
    place = folder / "run"
    place.mkdir()
    config = resolve(config, index, place)
    decided = {"jit_compile": False, "precision": "float32"}
    run = Run.create(place, config, modality_specs(config.model), task_spec(config.model), index, decided)
    if harm is not None:
        harm(Path(index.files("train")[0]))
    return TinyRun(run, config, index, console)


def interrupt_after(monkeypatch: pytest.MonkeyPatch, steps: int) -> None:
    """Let the next training be interrupted after a number of steps."""
    left = iter(range(steps - 1, -1, -1))
    before = Interrupts.on_train_batch_end

    def stop(self: Interrupts, batch: int, logs: Any = None) -> None:
        if next(left, -1) == 0:
            self.received = "a test"
        before(self, batch, logs)

    monkeypatch.setattr(Interrupts, "on_train_batch_end", stop)
