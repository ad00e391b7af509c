"""Scores on documents made harder, and key fields of receipts: added to a run's metrics, report and output."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Any

import numpy as np
from rich.table import Table

from mmkeras.core.errors import DataError
from mmkeras.core.typed import read_json
from mmkeras.evaluation.predict import predict
from mmkeras.evaluation.report import write_report
from mmkeras.tasks._words import words_read
from pipelines._stages.contract import add_to_metrics

if TYPE_CHECKING:
    from pipelines._stages.contract import Evaluated

__all__ = ["add_documents", "scenario_scores"]


def scenario_scores(done: Evaluated) -> dict[str, float]:
    """Return the entity F1 on the test split as it is (``all``), and in each scenario of its words and boxes."""
    reads, samples = words_read(done.run.task), done.samples
    spec = done.run.specs[reads]
    found = {"all": float(read_metrics(done)["test"]["entity_f1"]["value"])}
    for name, change in spec.scenarios().items():
        # A page that repeats its words has other tags.
        if name in ("longest", "empty"):
            continue
        rows = [spec.inputs(change(values[reads])) for values in samples.raw]
        changed = {tensor: np.stack([row[tensor] for row in rows]) for tensor in rows[0]}
        found[name] = _score(done, dataclasses.replace(samples, inputs={**samples.inputs, **changed}))
    return found


def read_metrics(done: Evaluated) -> dict[str, Any]:
    """Return metrics.json of a run."""
    found: dict[str, Any] = read_json(done.run.folder / "metrics.json", DataError, "Evaluate the run again.")
    return found


def _score(done: Evaluated, samples: Any) -> float:
    outputs = predict(done.model, samples, done.run.specs, batch_size=32)
    return float(done.run.task.score(samples.targets, outputs, samples.weights)["entity_f1"])


def add_documents(done: Evaluated) -> None:
    """Write ``documents`` of metrics.json and remarks for the report; for SROIE with the key fields of all folds."""
    section: dict[str, Any] = {"scenarios": scenario_scores(done)}
    shown = ", ".join(f"{name} {100 * score:.1f} %" for name, score in section["scenarios"].items())
    remarks = [f"Entity F1 with the words or boxes of a page changed: {shown}."]
    if done.config.data.source.name == "sroie":
        from pipelines._documents.fields import f1_of
        from pipelines._documents.folds import counts_of_folds

        settings = done.config.evaluate
        section["fields"] = f1_of(counts_of_folds(done), settings.bootstrap, done.config.train.seed)
        whole = section["fields"]["f1"]
        remarks.append(
            f"Key fields of {section['fields']['receipts']} receipts as strings: F1 "
            f"{100 * whole['value']:.1f} % ({100 * whole['low']:.1f} to {100 * whole['high']:.1f}). "
            + ", ".join(f"{name} {100 * value:.1f} %" for name, value in section["fields"]["by_field"].items())
            + "."
        )
    metrics = read_metrics(done)
    add_to_metrics(done.run.folder, {"documents": section, "remarks": [*metrics["remarks"], *remarks]})
    write_report(done.run.folder)
    table = Table(title="Entity F1 on the test split, with words or boxes changed", title_justify="left")
    for heading in ("pages", "entity F1"):
        table.add_column(heading, justify="left" if heading == "pages" else "right")
    for name, score in section["scenarios"].items():
        table.add_row(name, f"{100 * score:.1f} %")
    done.console.print(table)
    for remark in remarks[1:]:
        done.console.print(remark, highlight=False, soft_wrap=True)
