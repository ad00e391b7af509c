"""The models whose exports are mutated, trained by pipelines on generated data."""

from __future__ import annotations

import io
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from tests.mutants.pictures import write_table
from tests.mutants.rows import write_rows

if TYPE_CHECKING:
    from export.source import Source

__all__ = ["NAME", "SUBJECTS", "load_subject", "train_subject"]

NAME = "mutants"
_COMMON = """
name = "{name}"
runs = "{work}/runs"
[data]
folder = "{work}/data"
workers = 1
split_by_group = false
keep_together = "none"
[data.source]
name = "table"
[train]
epochs = {epochs}
batch_size = 32
learning_rate = 3e-3
modality_dropout_start = 0.6
[evaluate]
bootstrap = 50
pictures = 3
[model]
width = 32
[model.fusion.options]
layers = 1
heads = 2
[model.task.options]
dropout = 0.0
"""
_READING = """
[data.source.options]
path = "{work}/pictures/table.csv"
columns = {{ image = "picture", text = "question" }}
target = "answer"
split = "side"
[model.image]
size = [32, 32]
architecture = "edge"
width_factor = 0.5
depth_factor = 0.3
fused_stages = 3
level = 3
[model.text]
max_length = 12
layers = 1
heads = 2
hidden = 32
intermediate = 64
dropout = 0.0
"""
_MEASUREMENTS = """
[data.source.options]
path = "{work}/pictures/table.jsonl"
columns = {{ signal = "signal" }}
target = "answer"
split = "side"
[model.row]
kind = "tabular"
numbers = ["load", "temperature", "hours"]
categories = ["machine"]
layers = 1
heads = 2
dropout = 0.0
[model.signal]
kind = "series"
length = 32
patch = 4
layers = 1
heads = 2
dropout = 0.0
"""


@dataclass(frozen=True)
class Subject:
    """A model that faults are planted in."""

    write: Callable[[Path, int], Path]
    """Writes the data of so many rows into a folder."""
    pipeline: str
    """The module that trains it."""
    config: str
    """The part of the configuration that is its own."""


SUBJECTS = {
    "reading": Subject(write_table, "pipelines.vqa", _READING),
    "measurements": Subject(write_rows, "pipelines.table", _MEASUREMENTS),
}


def train_subject(name: str, work: Path, *, rows: int, epochs: int) -> Path:
    """Train a subject unless it was trained, and return its run's folder.

    Args:
        name: of the subject.
        work: folder of data and run.
        rows: of the data.
        epochs: passes over the 60 % of them that are the training split.

    Raises:
        RuntimeError: the training failed.
    """
    subject = SUBJECTS[name]
    run = work / "runs" / NAME / "latest"
    if (run / "metrics.json").exists():
        return run.resolve()
    (work / "pictures").mkdir(parents=True, exist_ok=True)
    subject.write(work / "pictures", rows)
    config = work / "subject.toml"
    config.write_text((_COMMON + subject.config).format(name=NAME, work=work, epochs=epochs), "utf-8")
    command = [sys.executable, "-m", subject.pipeline, "--skip_export", "--config", str(config)]
    with (work / "training.log").open("w") as log:
        ended = subprocess.run(command, stdout=log, stderr=subprocess.STDOUT, check=False)
    if ended.returncode:
        raise RuntimeError(f"The subject's training failed; {work / 'training.log'} says why.")
    return run.resolve()


def load_subject(run: Path, samples: int) -> Source:
    """Return the trained model with its test samples."""
    from export.source import source_from_run
    from mmkeras.training.run import Run

    return source_from_run(Run.open(run), samples)


def silence() -> io.StringIO:
    """Return where consoles of exports write to."""
    return io.StringIO()
