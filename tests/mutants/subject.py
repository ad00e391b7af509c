"""The model whose exports are mutated: image and text, trained by the pipeline on generated pictures."""

from __future__ import annotations

import io
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from tests.mutants.pictures import write_table

if TYPE_CHECKING:
    from export.source import Source

__all__ = ["NAME", "load_subject", "train_subject"]

NAME = "mutants"
ROWS = 4800
_CONFIG = """
name = "{name}"
runs = "{work}/runs"
[data]
folder = "{work}/data"
workers = 1
split_by_group = false
[data.source]
name = "table"
[data.source.options]
path = "{work}/pictures/table.csv"
columns = {{ image = "picture", text = "question" }}
target = "answer"
split = "side"
[model]
width = 32
[model.fusion.options]
layers = 1
heads = 2
[model.task.options]
dropout = 0.0
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
[train]
epochs = {epochs}
batch_size = 32
learning_rate = 3e-3
modality_dropout_start = 0.6
[evaluate]
bootstrap = 50
pictures = 3
"""


def train_subject(work: Path, *, rows: int = ROWS, epochs: int = 18) -> Path:
    """Train the subject unless it was trained, and return its run's folder.

    Args:
        work: folder of pictures, data and run.
        rows: pictures.
        epochs: passes over the 60 % of them that are the training split.

    Raises:
        RuntimeError: the training failed.
    """
    run = work / "runs" / NAME / "latest"
    if (run / "metrics.json").exists():
        return run.resolve()
    (work / "pictures").mkdir(parents=True, exist_ok=True)
    write_table(work / "pictures", rows)
    config = work / "subject.toml"
    config.write_text(_CONFIG.format(name=NAME, work=work, epochs=epochs), "utf-8")
    command = [sys.executable, "-m", "pipelines.vqa", "--skip_export", "--config", str(config)]
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
