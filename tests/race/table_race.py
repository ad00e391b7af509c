"""The parts ``seeds`` and ``ludwig`` of the race: full trainings and their accuracy."""

from __future__ import annotations

import json
import os
import statistics
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from mmkeras.core.console import Console
from mmkeras.core.errors import TrainingError
from mmkeras.storage.files import write_json, write_text
from tests.race.seeds import compare_seeds, train_once
from tests.race.sides import REPOSITORY, Side, peers_python
from tests.race.table import easy_vqa_config, write_table

__all__ = ["EPOCHS", "epochs_within", "race_ludwig", "race_seeds", "train_ludwig"]

EPOCHS = 6
"""Epochs of Ludwig in a recorded number."""
_RESERVED = 0.25
"""Share of the CPU time that is kept for conversion, validation and evaluation."""
_SETTINGS = """# Written by python -m tests.race: easy-VQA from the CSV file that Ludwig reads.
[data]
folder = "{folder}/data"

[data.source]
name = "table"

[data.source.options]
path = "{table}"
columns = {{ image = "image", text = "question" }}
target = "answer"
split = "split"
group = "group"
"""


def race_seeds(folder: Path, seeds: Sequence[int], console: Console) -> dict[str, Any]:
    """Train with the faster operations and with Keras' own.

    Returns:
        The trainings, and the largest and the mean difference of the accuracy, in points.
    """
    rows = compare_seeds(folder / "seeds", seeds, console)
    accuracy = {(row["seed"], row["side"]): row["accuracy"] for row in rows}
    differences = [accuracy[seed, "fused"] - accuracy[seed, "keras"] for seed in seeds]
    return {
        "trainings": rows,
        "largest_difference": max(map(abs, differences)),
        "mean_difference": statistics.mean(differences),
    }


def race_ludwig(folder: Path, epochs: int, rows: int | None, console: Console) -> dict[str, Any]:
    """Train Ludwig on a CSV file, then mmkeras on the same file within Ludwig's CPU time.

    A finished training of Ludwig with the same epochs and rows is not repeated.

    Raises:
        DependencyError: there is no environment of the peers, or it has no Ludwig.
        TrainingError: a training failed, or mmkeras needed more CPU time than Ludwig.
    """
    python = peers_python("ludwig.api")
    place = folder / f"ludwig-{epochs}-{rows or 'all'}"
    place.mkdir(parents=True, exist_ok=True)
    table, kept = (place / "table.csv").resolve(), place / "ludwig.json"
    counts = write_table(table, rows)
    if not kept.is_file():
        console.print(f"training: Ludwig, {epochs} epochs", style="dim", highlight=False)
        inputs = {"image": "image", "question": "text"}
        request = {"table": str(table), "epochs": epochs, "inputs": inputs, "target": "answer", "batch_size": 128}
        train_ludwig(python, place, request)
    theirs = json.loads(kept.read_text("utf-8"))
    ours = _train_within(theirs["cpu_seconds"], place, table, counts["train"], console)
    return {
        "value": ours["accuracy"],
        "ludwig": theirs,
        "mmkeras": ours,
        "rows": counts,
    }


def train_ludwig(python: Path, place: Path, request: dict[str, Any]) -> dict[str, Any]:
    """Train Ludwig in a process of its own, with one thread; see `tests.race.peer_ludwig` for the request.

    Raises:
        TrainingError: it failed; its last lines are in the message.
    """
    file, log = place / "request.json", place / "ludwig.log"
    write_json(file, {**request, "folder": str(place.resolve())})
    command = [str(python), "-m", "tests.race.peer_ludwig", str(file.resolve())]
    one_thread = {"OMP_NUM_THREADS": "1", "PYTHONPATH": str(REPOSITORY)}
    with log.open("wb") as output:
        done = subprocess.run(
            # Ludwig leaves a lock file in the folder where it runs.
            command,
            cwd=place,
            stdout=output,
            stderr=output,
            env={**os.environ, **one_thread},
            check=False,
        )
    if done.returncode:
        raise TrainingError(f"Ludwig ended with status {done.returncode}:\n{log.read_text(errors='replace')[-2000:]}")
    found: dict[str, Any] = json.loads((place / "ludwig.json").read_text("utf-8"))
    return found


def _train_within(budget: float, place: Path, table: Path, rows: int, console: Console) -> dict[str, Any]:
    """Train mmkeras on the CSV file with as many of its epochs as fit into the CPU seconds of the budget."""
    train = easy_vqa_config().train
    with Side.ours(place) as side:
        milliseconds = side.ask("step", form="fused", times=20)["cpu"]
    epochs = epochs_within(budget, milliseconds / 1e3, rows // train.batch_size, train.epochs)
    console.print(f"training: mmkeras, {epochs} epochs in {budget:.0f} CPU seconds", style="dim", highlight=False)
    config = place / "race.toml"
    write_text(config, _SETTINGS.format(folder=place.resolve(), table=table))
    found = train_once("pipelines.vqa", place / "mmkeras", ["--config", str(config), "--train.epochs", str(epochs)])
    if found["cpu_seconds"] > budget:
        raise TrainingError(
            f"mmkeras needed {found['cpu_seconds']:.0f} CPU seconds, Ludwig {budget:.0f}: not the same CPU time. "
            "Run the part again on a machine with less other work"
        )
    return {**found, "epochs": epochs, "step_milliseconds": milliseconds}


def epochs_within(budget: float, step: float, steps: int, most: int) -> int:
    """Return the number of epochs that fit into a budget.

    Args:
        budget: CPU seconds for all.
        step: CPU seconds of a training step.
        steps: steps of an epoch.
        most: epochs of the configuration, which are enough.

    Raises:
        TrainingError: not even one fits.
    """
    fit = int(budget * (1 - _RESERVED) // (step * max(steps, 1)))
    if fit < 1:
        raise TrainingError(f"no epoch of {steps} steps with {step:.2f} s each fits into {budget:.0f} CPU seconds")
    return min(fit, most)
