"""How many entities the exported files find that the Keras model does not, or the other way round."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from rich.table import Table

from mmkeras.bundle import Bundle
from mmkeras.core.errors import DataError
from mmkeras.core.typed import read_json
from mmkeras.evaluation.predict import predict
from mmkeras.runtime.predictor import open_runner, why_not_run
from mmkeras.tasks.tags.spec import Spec
from pipelines._stages.contract import add_to_metrics

if TYPE_CHECKING:
    from pipelines._stages.contract import Evaluated

__all__ = ["MOST", "changed_entities"]

MOST = 100
"""Most documents that the files are run on, spread over the test split."""


def changed_entities(done: Evaluated, bundle: Path) -> list[dict[str, Any]]:
    """Count, for every accepted file that runs here, the entities that only the file or only the Keras model finds.

    ``documents`` of metrics.json gets them as ``exported``.

    Returns:
        ``[{"format", "precision", "documents", "changed", "entities"}]``; entities are those of both together.
    """
    task, samples = done.run.task, done.samples.spread(MOST)
    if not isinstance(task, Spec):
        return []
    reference = predict(done.model, samples, done.run.specs, batch_size=32)
    found = []
    with Bundle.open(bundle) as opened:
        for file in opened.files:
            if not file.accepted or why_not_run(opened, file):
                continue
            with open_runner(opened, file) as runner:
                rows = [
                    runner.infer({name: value[row : row + 1] for name, value in samples.inputs.items()})
                    for row in range(len(samples))
                ]
            outputs = {name: np.concatenate([row[name] for row in rows]) for name in reference}
            changed, every = task.changed_entities(reference, outputs)
            entry = {"format": file.format, "precision": file.precision, "documents": len(samples)}
            found.append({**entry, "changed": changed, "entities": every})
    metrics = read_json(done.run.folder / "metrics.json", DataError, "Evaluate the run again.")
    add_to_metrics(done.run.folder, {"documents": {**metrics.get("documents", {}), "exported": found}})
    table = Table(title="Entities that only the file or only the Keras model finds", title_justify="left")
    for heading in ("file", "changed", "entities of both"):
        table.add_column(heading, justify="left" if heading == "file" else "right")
    for each in found:
        table.add_row(f"{each['format']} {each['precision']}", str(each["changed"]), str(each["entities"]))
    done.console.print(table)
    return found
