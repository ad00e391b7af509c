"""The exported towers, searched against each other: recall, ranks and changed answers of every file."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from rich.table import Table

from mmkeras.bundle import Bundle
from mmkeras.core.console import Console
from mmkeras.evaluation.intervals import Bootstrap
from mmkeras.evaluation.samples import Samples
from mmkeras.evaluation.words import number, span
from mmkeras.runtime.predictor import candidates, open_runner, why_not_run
from mmkeras.tasks.matching.task import Spec

__all__ = ["measure_towers", "show"]


def measure_towers(bundle: Path, samples: Samples, task: Spec, bootstrap: Bootstrap) -> list[dict[str, Any]]:
    """Return what each accepted edge file of both towers does in a search, beside the float32 file of the other tower.

    Args:
        bundle: of the whole model; those of its towers are beside it.
        samples: of the test split.
        task: the task of the whole model.
        bootstrap: draws of the groups of samples.

    Returns:
        For each file ``tower``, ``file``, ``format``, ``precision``, ``flips`` (share of the samples whose top answer
        differs from that of the float32 file) and ``metrics``: intervals by name.
    """
    vectors: dict[str, dict[str, np.ndarray]] = {}
    named: dict[str, dict[str, Any]] = {}
    for tower in task.towers:
        folder = bundle.parent.parent / f"{bundle.parent.name}.{tower}_tower" / bundle.name
        with Bundle.open(folder) as own:
            for file in candidates(own):
                if not file.accepted or file.format == "saved_model" or why_not_run(own, file):
                    continue
                runner = open_runner(own, file)
                try:
                    names = [tensor.name for tensor in own.inputs]
                    vectors.setdefault(tower, {})[file.path] = _vectors(runner, samples.inputs, names)
                finally:
                    runner.deactivate()
                named.setdefault(tower, {})[file.path] = file
    found = []
    for tower, by_file in vectors.items():
        other = next(name for name in task.towers if name != tower)
        exact = {
            name: next((path for path, file in named.get(name, {}).items() if file.precision == "float32"), None)
            for name in (tower, other)
        }
        if None in exact.values():
            continue
        beside = vectors[other][str(exact[other])]
        reference = _outputs(task, {tower: by_file[str(exact[tower])], other: beside})
        for path, own_vectors in by_file.items():
            outputs = _outputs(task, {tower: own_vectors, other: beside})
            draws = bootstrap.score(task, task.evidence(samples.targets, outputs), samples.weights, samples.groups)
            found.append(
                {
                    "tower": tower,
                    "file": path,
                    "format": named[tower][path].format,
                    "precision": named[tower][path].precision,
                    "flips": float(np.mean(task.flips(reference, outputs))),
                    "metrics": {name: interval.to_json() for name, interval in draws.intervals().items()},
                }
            )
    return found


def _vectors(runner: Any, inputs: Mapping[str, np.ndarray], names: list[str]) -> np.ndarray:
    """Return the vectors (N, size) of all samples; equal inputs, such as the copies of a picture, run once."""
    known: dict[bytes, np.ndarray] = {}
    found = []
    for row in range(len(inputs[names[0]])):
        batch = {name: np.ascontiguousarray(inputs[name][row : row + 1]) for name in names}
        key = b"".join(value.tobytes() for value in batch.values())
        if key not in known:
            known[key] = np.array(runner.infer(batch)["embedding"][0], np.float32)
        found.append(known[key])
    return np.stack(found)


def _outputs(task: Spec, vectors: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Return outputs as of the whole model; the judgement of pairs is not the towers'."""
    count = len(next(iter(vectors.values())))
    judged = {name: np.ones((count, 1), np.float32) for name in ("similarity", *(["match"] if task.pairs else []))}
    return {**{f"{name}_embedding": vectors[name] for name in task.towers}, **judged}


def show(result: list[dict[str, Any]], task: Spec, samples: int, console: Console) -> None:
    """Print a table of the result."""
    table = Table(title=f"The towers' files on {samples} test samples, beside the other tower in float32")
    ways = [f"{way}_recall_1" for way in task.ways]
    for heading in ("tower", "file", *(way.replace("_", " ") for way in ways), "median ranks", "top answer changed"):
        table.add_column(heading, justify="left" if heading in ("tower", "file") else "right")
    for entry in result:
        metrics = entry["metrics"]
        shares = [f"{number('recall', metrics[way]['value'])} ({span('recall', metrics[way])})" for way in ways]
        ranks = " / ".join(f"{metrics[f'{way}_median_rank']['value']:g}" for way in task.ways)
        table.add_row(
            entry["tower"], f"{entry['format']} {entry['precision']}", *shares, ranks, number("recall", entry["flips"])
        )
    console.print(table)
