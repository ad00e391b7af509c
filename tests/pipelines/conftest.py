"""What tests of whole trainings share: a table, a configuration, and a run of it that nothing disturbed."""

from __future__ import annotations

import dataclasses
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.cluster.trained import start_workers
from tests.conftest import REPOSITORY
from tests.tiny import write_tiny_config, write_tiny_table

# Runs that add in another order can be compared where nothing blows rounding up: AdamW's epsilon is not tiny, and in
# float64 no value comes to lie so near a corner of ReLU6 that rounding decides on which side its gradient falls.
_TRAINING = """
[train]
epochs = 2
batch_size = 8
steps_per_epoch = 24
checkpoint_steps = 7
deterministic = true
precision = "float64"
epsilon = 1e-3
ema = 0.9
"""


@dataclasses.dataclass(frozen=True)
class Place:
    """A folder with a table and the runs of one configuration."""

    folder: Path
    config: Path

    def arguments(self, name: str, *more: str) -> list[str]:
        """Return module and options of a run that ends with its evaluation."""
        return ["pipelines.vqa", "--skip_export", "--config", str(self.config), "--name", name, *more]

    def run(self, name: str) -> Path:
        """Return the latest run of a name."""
        return (self.folder / "runs" / name / "latest").resolve()

    def start(self, name: str, *more: str, workers: int) -> tuple[list[subprocess.Popen[bytes]], list[Path]]:
        """Start workers, as a scheduler would, and come back when the first checkpoint is there."""
        logs = [self.folder / f"{name}-{rank}.log" for rank in range(workers)]
        processes = start_workers(self.arguments(name, *more), logs)
        deadline = time.monotonic() + 300
        while not list(self.folder.glob(f"runs/{name}/*/checkpoints/step-*")):
            ended = [process for process in processes if process.poll() is not None]
            assert not ended, "".join(log.read_text() for log in logs)
            assert time.monotonic() < deadline, "no checkpoint in five minutes"
            time.sleep(0.02)
        return processes, logs


@pytest.fixture(scope="session")
def place(tmp_path_factory) -> Place:
    """A table of 120 rows, whose 30 validation samples make uneven parts, and the run ``undisturbed`` of it."""
    folder = tmp_path_factory.mktemp("undisturbed")
    config = write_tiny_config(folder, write_tiny_table(folder, 120))
    text = config.read_text()
    evaluate = text[text.index("[evaluate]") :].replace("[evaluate]", "[evaluate]\nbatch_size = 7")
    config.write_text(text[: text.index("[train]")] + _TRAINING + evaluate)
    made = Place(folder, config)
    command = [sys.executable, "-m", *made.arguments("undisturbed")]
    subprocess.run(command, cwd=REPOSITORY, check=True, capture_output=True)
    return made
