"""Takes a toy through the whole chain in this process: conversion, training, evaluation, export, a packed bundle."""

from __future__ import annotations

import contextlib
import io
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from export.run import export_run
from export.verification.report import Report
from mmkeras.bundle import Bundle
from mmkeras.core.config import ExportConfig, RunConfig
from mmkeras.core.console import Console
from mmkeras.modalities import ModalitySpec
from mmkeras.runtime.cli import main as mmkeras_main
from mmkeras.runtime.packing import pack_bundle
from mmkeras.training.run import Run
from pipelines._stages.story import run_story

__all__ = ["PICTURE", "TEXT", "Chain", "command", "reads_otherwise", "run_chain"]

PICTURE = """
kind = "image"
size = [32, 32]
architecture = "edge"
width_factor = 0.25
depth_factor = 0.3
level = 3
"""
"""Options of a picture that is read in seconds."""
TEXT = """
kind = "text"
max_length = 8
layers = 1
heads = 2
hidden = 16
intermediate = 32
"""
"""Options of such a text."""

_DEFAULTS = """
name = "toy"
runs = "{folder}/runs"
[data]
folder = "{folder}/data"
workers = 1
split_by_group = false
keep_together = "none"
[data.source]
name = "table"
[data.source.options]
path = "{table}"
columns = {{ {columns} }}
target = {target}
split = "side"
[train]
epochs = 1
batch_size = 8
[evaluate]
bootstrap = 20
pictures = 2
"""


@dataclass(frozen=True)
class Chain:
    """What a toy has left behind."""

    folder: Path
    """Holds the defaults, runs, data and saved models."""
    run: Path
    """The run's folder."""
    report: Report
    """The export."""

    @property
    def metrics(self) -> dict[str, Any]:
        """Content of metrics.json."""
        found: dict[str, Any] = json.loads((self.run / "metrics.json").read_text("utf-8"))
        return found

    def bundle(self, submodel: str = "") -> Path:
        """Return the folder of the model's bundle, or of a submodel's."""
        name = f"toy.{submodel}" if submodel else "toy"
        return self.folder / "saved_models" / name / str(self.report.version)

    def packed(self, submodel: str = "") -> Path:
        """Return the packed bundle of the model, or of a submodel."""
        path = self.folder / f"{submodel or 'whole'}.mmk"
        if not path.is_file():
            with Bundle.open(self.bundle(submodel)) as bundle:
                pack_bundle(bundle, path)
        return path


def run_chain(
    folder: Path,
    table: Path,
    columns: Mapping[str, str],
    config: str,
    formats: Sequence[str] = ("tflite", "onnx"),
    target: str | Sequence[str] = "answer",
) -> Chain:
    """Run a toy.

    Args:
        folder: an empty folder.
        table: a CSV file with the columns of the target and ``side`` (``train``, ``validation`` or ``test``).
        columns: column by modality.
        config: TOML on top of the toys' defaults; it names the modalities and the task.
        formats: to export, in float32.
        target: column of the target, or its columns.
    """
    program = folder / "toy.py"
    defaults = folder / "configs" / "toy.toml"
    defaults.parent.mkdir()
    named = ", ".join(f'{name} = "{column}"' for name, column in columns.items())
    given = json.dumps(target if isinstance(target, str) else list(target))
    defaults.write_text(_DEFAULTS.format(folder=folder, table=table, columns=named, target=given), encoding="utf-8")
    own = folder / "own.toml"
    own.write_text(config, encoding="utf-8")
    status = run_story(RunConfig, ["--config", str(own), "--skip_export"], program=program, description="A toy.")
    assert status == 0
    run = Run.open(folder / "runs" / "toy" / "latest")
    settings = ExportConfig(folder=str(folder / "saved_models"), formats=tuple(formats), precisions=("float32",))
    report = export_run(run, settings, console=Console(file=io.StringIO(), width=200))
    return Chain(folder, run.folder, report)


def command(*arguments: str | Path) -> tuple[int, str]:
    """Run ``mmkeras`` in this process and return its exit status and output."""
    output = io.StringIO()
    with contextlib.redirect_stdout(output):
        status = mmkeras_main([str(argument) for argument in arguments])
    return status, output.getvalue()


@contextlib.contextmanager
def reads_otherwise(cls: type[ModalitySpec], fault: Callable[[Any, dict[str, np.ndarray]], None]) -> Iterator[None]:
    """Let a device preprocess otherwise: ``fault`` changes the tensors that a spec has made, in place."""
    honest = cls.preprocess

    def preprocess(self: Any, value: Any) -> dict[str, np.ndarray]:
        made = honest(self, value)
        fault(self, made)
        return made

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(cls, "preprocess", preprocess)
        yield
