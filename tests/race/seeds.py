"""Full trainings of easy-VQA with the faster operations and without, by seed: the same accuracy, and the CPU time."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from mmkeras.core.console import Console
from mmkeras.core.errors import TrainingError
from mmkeras.storage.files import write_json

__all__ = ["SIDES", "compare_seeds", "train_once"]

SIDES = {"fused": "pipelines.vqa", "keras": "tests.race.by_keras"}
"""The programs that train, by the name of their results."""
_QUICK = ("--skip_export", "--evaluate.bootstrap", "20", "--evaluate.pictures", "1")


def compare_seeds(
    folder: Path, seeds: Sequence[int], console: Console, sides: Sequence[str] = tuple(SIDES)
) -> list[dict[str, Any]]:
    """Train with every seed on every side and return a row for each training; finished ones are not repeated.

    Raises:
        TrainingError: a training failed; its last lines are in the message.
    """
    rows = []
    for seed in seeds:
        for side in sides:
            kept = folder / f"seed-{seed}-{side}.json"
            if not kept.is_file():
                console.print(f"training: seed {seed}, {side}", style="dim", highlight=False)
                options = ["--train.seed", str(seed)]
                write_json(kept, {"seed": seed, "side": side, **train_once(SIDES[side], folder / kept.stem, options)})
            rows.append(json.loads(kept.read_text("utf-8")))
    return rows


def train_once(program: str, folder: Path, options: Sequence[str]) -> dict[str, Any]:
    """Train easy-VQA in a process of its own.

    Returns:
        ``accuracy`` on the test split in percent, the number of its ``questions``, and of the whole process, with
        conversion and evaluation, ``cpu_seconds`` (user and system) and ``peak_gigabytes`` (resident set).

    Raises:
        TrainingError: it failed; its last lines are in the message.
    """
    folder.mkdir(parents=True, exist_ok=True)
    log = folder / "log.txt"
    command = [sys.executable, "-m", program, "--runs", str(folder), "--name", "vqa", *_QUICK, *options]
    with log.open("wb") as output:
        process = subprocess.Popen(command, stdout=output, stderr=subprocess.STDOUT)
        # Not `wait`: only wait4 says what this one process used.
        _, status, used = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        last = "\n".join(log.read_text("utf-8", errors="replace").splitlines()[-15:])
        raise TrainingError(f"python -m {program} ended with status {process.returncode}:\n{last}")
    metrics = json.loads((folder / "vqa" / "latest" / "metrics.json").read_text("utf-8"))
    return {
        "accuracy": 100 * metrics["test"]["accuracy"]["value"],
        "questions": metrics["samples"],
        "cpu_seconds": used.ru_utime + used.ru_stime,
        "peak_gigabytes": used.ru_maxrss / 1e6,
    }
