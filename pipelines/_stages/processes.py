"""Runs the trainings of a comparison side by side and shows their progress."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from rich.progress import BarColumn, MofNCompleteColumn, Progress, TimeElapsedColumn

from mmkeras.core.console import Console, DescriptionColumn
from mmkeras.core.errors import TrainingError

__all__ = ["run_processes"]

_EPOCH = re.compile(r"^epoch (\d+)/", re.MULTILINE)


def run_processes(
    pipeline: str, folder: Path, jobs: Sequence[tuple[str, int]], processes: int, epochs: int, console: Console
) -> None:
    """Train variants, ``processes`` at a time, each with its share of the cores and its output in ``train.log``.

    Ctrl-C reaches the processes, too: they save their state, and a resumed run continues from it.

    ``pipeline`` names the pipeline that defines the variants; ``folder`` is the run's; ``jobs`` are variants with their
    seeds; ``epochs`` are those of one training, for the progress bars.

    Raises:
        TrainingError: one of them failed; the others are stopped.
    """
    waiting = list(jobs)
    running: dict[tuple[str, int], subprocess.Popen[bytes]] = {}
    columns = (DescriptionColumn(), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, console=console) as progress:
        bars = {job: progress.add_task(f"{job[0]}, seed {job[1]}", total=epochs, start=False) for job in jobs}
        try:
            while waiting or running:
                while waiting and len(running) < max(1, processes):
                    job = waiting.pop(0)
                    progress.start_task(bars[job])
                    running[job] = _start(pipeline, folder, job, max(1, processes))
                for job, process in list(running.items()):
                    if done := _EPOCH.findall(_log(folder, job).read_text("utf-8", errors="replace")):
                        progress.update(bars[job], completed=int(done[-1]))
                    if process.poll() is None:
                        continue
                    del running[job]
                    if process.returncode == 130:
                        raise KeyboardInterrupt
                    if process.returncode:
                        raise TrainingError(
                            f"{job[0]} with seed {job[1]} could not be trained (exit status {process.returncode}); its "
                            f"output is in {os.path.relpath(_log(folder, job))}. Fix it and go on with --resume."
                        )
                time.sleep(0.5)
        finally:
            for process in running.values():
                process.terminate()
            for process in running.values():
                process.wait()


def _log(folder: Path, job: tuple[str, int]) -> Path:
    return folder / "comparison" / f"{job[0]}-{job[1]}" / "train.log"


def _start(pipeline: str, folder: Path, job: tuple[str, int], processes: int) -> subprocess.Popen[bytes]:
    threads = str(max(1, (os.cpu_count() or 1) // processes))
    limits = dict.fromkeys(("TF_NUM_INTRAOP_THREADS", "TF_NUM_INTEROP_THREADS", "OMP_NUM_THREADS"), threads)
    command = [sys.executable, "-m", "pipelines._stages.variant", pipeline, str(folder), job[0], str(job[1])]
    path = _log(folder, job)
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("ab") as log:
        return subprocess.Popen(
            command, stdout=log, stderr=subprocess.STDOUT, env={**os.environ, **limits, "COLUMNS": "200"}
        )
