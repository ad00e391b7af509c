"""WUPS of a run's answers on the test split, beside its accuracy: an answer near the right one counts in part."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np

from pipelines._stages.contract import Evaluated, add_to_metrics

__all__ = ["THRESHOLDS", "add_wups"]

THRESHOLDS = (0.9, 0.0)
"""Similarities below them count a tenth."""


def add_wups(done: Evaluated, folder: Path) -> None:
    """Add ``wups`` to metrics.json, and a remark to the report.

    Args:
        done: an evaluated run, whose labels are nouns.
        folder: WordNet's database files.

    Raises:
        ConfigError: the folder is no WordNet.
    """
    from mmkeras.evaluation.predict import predict
    from mmkeras.evaluation.report import write_report
    from mmkeras.evaluation.wordnet import WordNet, wups

    task, samples = done.run.task, done.samples
    network = WordNet(folder)
    outputs = predict(done.model, samples, done.run.specs, batch_size=done.config.evaluate.batch_size)
    answers = [str(answer["label"] or "") for answer in task.decode(outputs)]
    truth = [task.label_names[int(target)] for target in samples.targets]
    means = {
        f"{threshold:g}": float(np.average(wups(network, truth, answers, threshold), weights=samples.weights))
        for threshold in THRESHOLDS
    }
    said = ", ".join(f"{100 * value:.1f} % at {threshold}" for threshold, value in means.items())
    metrics = json.loads((done.run.folder / "metrics.json").read_text("utf-8"))
    add_to_metrics(done.run.folder, {"wups": means, "remarks": [*metrics["remarks"], f"WUPS: {said}."]})
    done.console.print(f"WUPS: {said}", highlight=False)
    write_report(done.run.folder)
