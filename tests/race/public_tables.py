"""The part ``tables`` of the race: `mmkeras fit` and Ludwig on small public tables.

mmkeras comes first, as ``mmkeras fit --pretrained yes`` proposes it. Ludwig then gets as many epochs as need at least
the same CPU time, and its best epoch on validation counts. It fills in missing numbers by its own rule.
"""

from __future__ import annotations

import json
import math
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mmkeras.core.console import Console
from mmkeras.core.errors import TrainingError
from mmkeras.storage.files import write_json
from tests.race.sides import REPOSITORY, peers_python
from tests.race.table_race import train_ludwig
from tests.real import covid_cxr, medpix2

__all__ = ["ARCHIVES", "TABLES", "PublicTable", "epochs_for", "race_tables"]

ARCHIVES = REPOSITORY.parent / "shared" / "data"
"""The folder of the archives."""
_TRIED = (1, 3)
"""Epochs of Ludwig whose CPU time shows what an epoch takes."""


@dataclass(frozen=True)
class PublicTable:
    """A table that both sides read."""

    make: Callable[[Path, Path, int], Path]
    """Makes the table from archive, folder and number of the fold."""
    target: str
    inputs: dict[str, str]
    """Ludwig's type by column."""
    folds: int = 1
    """Test splits, whose answers are counted together."""


TABLES = {
    "medpix2": PublicTable(
        lambda archive, folder, _: medpix2.make_table(archive, folder),
        "location_category",
        {"image": "image", "history": "text", "age": "number", "sex": "category"},
    ),
    "covid_cxr": PublicTable(
        covid_cxr.make_table,
        covid_cxr.TARGET,
        {"image": "image", "notes": "text", "age": "number", "sex": "category", "days": "number", "view": "category"},
        covid_cxr.FOLDS,
    ),
}


def race_tables(folder: Path, archives: Path, console: Console) -> dict[str, Any]:
    """Train both sides on every table; a finished training is not repeated.

    Returns:
        By table: ``mmkeras`` and ``ludwig`` with accuracy, its test rows, CPU seconds and memory, and ``difference``:
        the accuracy of mmkeras minus that of Ludwig, in points.

    Raises:
        DataError: an archive is missing.
        DependencyError: there is no environment of the peers, or it has no Ludwig.
        TrainingError: a training failed.
    """
    python = peers_python("ludwig.api")
    result = {}
    for name, table in TABLES.items():
        sides: dict[str, list[dict[str, Any]]] = {"mmkeras": [], "ludwig": []}
        epochs = 0
        for fold in range(table.folds):
            place = folder / f"tables-{name}-{fold}"
            path = table.make(archives / f"{name}.tar.xz", place, fold)
            console.print(f"training: {name}, fold {fold + 1} of {table.folds}", style="dim", highlight=False)
            if (ours := _kept(place / "mmkeras.json")) is None:
                ours = _keep(place / "mmkeras.json", _fit(path, table.target))
            request = {
                "table": str(path.resolve()),
                "inputs": table.inputs,
                "target": table.target,
                "batch_size": 32,
                "picture_size": 160,
            }
            epochs = epochs or _epochs(python, place, request, ours["cpu_seconds"])
            given = {**request, "epochs": epochs}
            if (theirs := _kept(place / "ludwig.json")) is None:
                theirs = _keep(place / "ludwig.json", train_ludwig(python, _empty(place), given))
            sides["mmkeras"].append(ours)
            sides["ludwig"].append(theirs)
        found = {side: _together(each) for side, each in sides.items()}
        result[name] = {**found, "difference": found["mmkeras"]["accuracy"] - found["ludwig"]["accuracy"]}
    return result


def _kept(path: Path) -> dict[str, Any] | None:
    return json.loads(path.read_text("utf-8")) if path.is_file() else None


def _keep(path: Path, result: dict[str, Any]) -> dict[str, Any]:
    write_json(path, result)
    return result


def _empty(place: Path) -> Path:
    """Return an empty folder for a training of Ludwig."""
    folder = place / "ludwig"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    return folder


def _fit(table: Path, target: str) -> dict[str, Any]:
    """Run `mmkeras fit` in a process of its own; return accuracy, CPU seconds with all child processes, and memory."""
    options = ("--target", target, "--pretrained", "yes", "--skip_export")
    log = table.parent / "fit.log"
    with log.open("wb") as output:
        process = subprocess.Popen(
            [sys.executable, "-m", "mmkeras", "fit", table.name, *options],
            cwd=table.parent,
            stdout=output,
            stderr=subprocess.STDOUT,
            env={**os.environ, "PYTHONPATH": str(REPOSITORY)},
        )
        # Not `wait`: only wait4 says what this one process used.
        _, status, used = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise TrainingError(f"mmkeras fit ended with status {process.returncode}:\n{log.read_text()[-2000:]}")
    metrics = json.loads((table.parent / "runs" / table.stem / "latest" / "metrics.json").read_text("utf-8"))
    return {
        "accuracy": 100 * metrics["test"]["accuracy"]["value"],
        "questions": metrics["samples"],
        "cpu_seconds": used.ru_utime + used.ru_stime,
        "peak_gigabytes": used.ru_maxrss / 1e6,
    }


def _epochs(python: Path, place: Path, request: dict[str, Any], budget: float) -> int:
    """Return the epochs in which Ludwig uses at least a budget of CPU seconds."""
    used = [train_ludwig(python, _empty(place), {**request, "epochs": epochs})["cpu_seconds"] for epochs in _TRIED]
    return epochs_for(budget, dict(zip(_TRIED, used, strict=True)))


def epochs_for(budget: float, used: dict[int, float]) -> int:
    """Return the fewest epochs that use a budget, from the CPU seconds of two trainings by their epochs."""
    (few, first), (more, second) = sorted(used.items())
    each = max((second - first) / (more - few), 1e-3)
    return max(few, math.ceil(few + (budget - first) / each))


def _together(folds: list[dict[str, Any]]) -> dict[str, Any]:
    """Return the accuracy over the test rows of all folds, and the mean CPU time."""
    rows = sum(fold["questions"] for fold in folds)
    right = sum(fold["accuracy"] * fold["questions"] for fold in folds)
    result = {
        "accuracy": right / rows,
        "questions": rows,
        "cpu_seconds": sum(fold["cpu_seconds"] for fold in folds) / len(folds),
        "peak_gigabytes": max(fold["peak_gigabytes"] for fold in folds),
    }
    if "epochs" in folds[0]:
        result["epochs"] = folds[0]["epochs"]
    return result
