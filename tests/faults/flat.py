"""Whether memory and descriptors stay flat: over steps and epochs of a training, and over predictions of each runner.

Processes are looked at from outside, so that nothing of the measurement grows in them.
"""

from __future__ import annotations

import shutil
import statistics
import subprocess
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from mmkeras.core.errors import TrainingError
from tests.faults.stages import STAGES, launch, place

__all__ = ["LARGEST_GROWTH", "RUNNERS", "Flat", "predictions", "training"]

LARGEST_GROWTH = 0.05
"""Growth of resident memory, from the second fifth of the work to the last, that still counts as flat."""
RUNNERS = ("tflite", "onnx", "saved_model", "keras")

_POLL = 0.01
"""Seconds between looks: 10,000 predictions of a tiny model take half a second."""


@dataclass(frozen=True)
class Flat:
    """Resident memory and open descriptors of a process at work."""

    what: str
    """``training`` or a runner."""
    done: int
    """Steps or predictions."""
    rss_start: float
    """MiB, median of the second fifth: before it things are still being loaded."""
    rss_end: float
    """MiB, median of the last fifth."""
    descriptors_start: int
    """Open files, likewise."""
    descriptors_end: int
    """Open files, likewise."""

    @property
    def flat(self) -> bool:
        """Whether nothing grew."""
        grown = self.rss_end / self.rss_start - 1
        return grown <= LARGEST_GROWTH and self.descriptors_end <= self.descriptors_start


def training(work: Path, steps: int, epochs: int, shown: Callable[[str], None]) -> Flat:
    """Train in a process of its own and watch it.

    Raises:
        TrainingError: it failed, or was too short to be seen.
    """
    stage, folder = STAGES["training"], work / "flat-training"
    place(folder, work / "base", stage)
    more = (
        "--train.epochs",
        str(epochs),
        "--train.steps_per_epoch",
        str(steps // epochs),
        "--train.deterministic",
        "false",
    )
    process = launch(folder, (*stage.command, *more), "log.txt")

    def done() -> int:
        found = [path.name for path in folder.glob("runs/tiny/*/checkpoints/step-*")]
        return max((int(name.partition("-")[2]) for name in found), default=0)

    return _watched(process, "training", steps, done, folder, shown)


def predictions(work: Path, runner: str, count: int, shown: Callable[[str], None]) -> Flat:
    """Predict in a process of its own and watch it.

    Raises:
        TrainingError: it failed, or was too short to be seen.
    """
    folder = work / f"flat-{runner}"
    shutil.rmtree(folder, ignore_errors=True)
    shutil.copytree(work / "base" / "saved_models", folder / "saved_models", symlinks=True)
    command = ("tests.faults.predictions", "saved_models/tiny/1", runner, str(count), "done.txt")
    process = launch(folder, command, "log.txt")

    def done() -> int:
        path = folder / "done.txt"
        return path.stat().st_size if path.exists() else 0

    # One byte in done.txt for each hundred.
    return _watched(process, runner, count, lambda: 100 * done(), folder, shown)


def _watched(
    process: subprocess.Popen[bytes],
    what: str,
    total: int,
    done: Callable[[], int],
    folder: Path,
    shown: Callable[[str], None],
) -> Flat:
    seen: list[tuple[int, float, int]] = []
    try:
        while process.poll() is None:
            now = done()
            if now and (looked := _look(process.pid)) is not None:
                seen.append((now, *looked))
                shown(f"{what}: {now} of {total}, {looked[0]:.0f} MiB, {looked[1]} descriptors")
            time.sleep(_POLL)
    finally:
        process.kill()
        process.wait()
    if process.returncode:
        raise TrainingError(f"{what}: ended with status {process.returncode}; see {folder / 'log.txt'}")
    early = [each for each in seen if 0.2 * total <= each[0] < 0.4 * total]
    late = [each for each in seen if 0.8 * total <= each[0] < total]
    if not early or not late:
        raise TrainingError(f"{what}: {total} went by too fast to be watched; use more")
    shutil.rmtree(folder)
    memory, files = ([statistics.median(each[place] for each in part) for part in (early, late)] for place in (1, 2))
    return Flat(what, total, memory[0], memory[1], int(files[0]), int(files[1]))


def _look(pid: int) -> tuple[float, int] | None:
    """Return resident MiB and open descriptors of a process; None where it has ended."""
    try:
        pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
        return pages * 4096 / 2**20, len(list(Path(f"/proc/{pid}/fd").iterdir()))
    except (OSError, IndexError):
        return None
