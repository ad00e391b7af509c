"""The Ludwig side of the race, run in `.venv-peers`: trains on a table and answers for its test rows.

    .venv-peers/bin/python -m tests.race.peer_ludwig REQUEST

REQUEST is a JSON file: ``table`` (CSV or JSONL with a column ``split``), ``folder``, ``epochs``, ``inputs`` (Ludwig's
type by column), ``target``, ``batch_size`` and, for pictures that differ in size, ``picture_size``. It writes
``ludwig.json`` into the folder. The encoders are Ludwig's defaults; the accuracy is counted here, because Ludwig's own
``accuracy`` is an average over classes.
"""

from __future__ import annotations

import json
import resource
import sys
import time
from pathlib import Path
from typing import Any

import pandas as pd

__all__ = ["main"]

_SPLITS = {"train": 0, "validation": 1, "test": 2}


def main(request: str) -> None:
    """Train, predict and write the result."""
    import torch
    from ludwig.api import LudwigModel

    torch.set_num_threads(1)
    given = json.loads(Path(request).read_text("utf-8"))
    table, target = Path(given["table"]), given["target"]
    rows = _read(table, given["inputs"])
    rows["split"] = rows["split"].map(_SPLITS)
    model = LudwigModel(_config(given), logging_level=30)
    began, cpu = time.perf_counter(), _cpu()
    model.train(
        dataset=rows,
        output_directory=given["folder"],
        skip_save_processed_input=True,
        skip_save_progress=True,
        skip_save_log=True,
    )
    trained = {"cpu_seconds": _cpu() - cpu, "wall_seconds": time.perf_counter() - began}
    test = rows[rows["split"] == 2].reset_index(drop=True)
    found, _ = model.predict(dataset=test.drop(columns=[target]), batch_size=256)
    right = found[f"{target}_predictions"].astype(str).to_numpy() == test[target].to_numpy()
    result = {
        **trained,
        "epochs": given["epochs"],
        "accuracy": 100 * float(right.mean()),
        "questions": len(test),
        "rows": len(rows),
        "peak_gigabytes": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6,
    }
    Path(given["folder"], "ludwig.json").write_text(json.dumps(result))


def _config(given: dict[str, Any]) -> dict[str, Any]:
    """Return Ludwig's configuration."""
    inputs = []
    for name, kind in given["inputs"].items():
        feature: dict[str, Any] = {"name": name, "type": kind}
        if kind == "image":
            feature["preprocessing"] = {"num_processes": 1}
            if size := given.get("picture_size"):
                feature["preprocessing"] |= {"height": size, "width": size, "num_channels": 3}
        inputs.append(feature)
    return {
        "input_features": inputs,
        "output_features": [{"name": given["target"], "type": "category"}],
        "preprocessing": {"split": {"type": "fixed", "column": "split"}},
        "trainer": {
            "batch_size": given["batch_size"],
            "eval_batch_size": 2 * given["batch_size"],
            "early_stop": -1,
            "epochs": given["epochs"],
        },
        "backend": {"type": "local"},
    }


def _read(table: Path, inputs: dict[str, str]) -> pd.DataFrame:
    """Return the rows with numbers as numbers and all else as text; pictures are found beside the table."""
    if table.suffix == ".jsonl":
        rows = pd.read_json(table, lines=True, dtype=False)
    else:
        rows = pd.read_csv(table, dtype=str)
    for name, kind in inputs.items():
        if kind == "number":
            rows[name] = pd.to_numeric(rows[name], errors="coerce")
        elif kind == "image":
            rows[name] = [str(table.parent / path) for path in rows[name]]
        else:
            rows[name] = rows[name].fillna("").astype(str)
    return rows


def _cpu() -> float:
    """Return the CPU seconds of this process and of its ended children."""
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(each.ru_utime + each.ru_stime for each in used)


if __name__ == "__main__":
    main(*sys.argv[1:])
