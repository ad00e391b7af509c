"""The Ludwig side of the race, run in `.venv-peers`: trains on the CSV file and answers for its test rows.

    .venv-peers/bin/python -m tests.race.peer_ludwig TABLE FOLDER EPOCHS

It writes FOLDER/ludwig.json. The encoders are Ludwig's defaults for a picture and a text; the accuracy is counted here,
because Ludwig's own ``accuracy`` is an average over classes.
"""

from __future__ import annotations

import json
import resource
import sys
import time
from pathlib import Path
from typing import Any

import pandas as pd

__all__ = ["CONFIG", "main"]

CONFIG: dict[str, Any] = {
    "input_features": [
        {"name": "image", "type": "image", "preprocessing": {"num_processes": 1}},
        {"name": "question", "type": "text"},
    ],
    "output_features": [{"name": "answer", "type": "category"}],
    "preprocessing": {"split": {"type": "fixed", "column": "split"}},
    "trainer": {"batch_size": 128, "eval_batch_size": 256, "early_stop": -1},
    "backend": {"type": "local"},
}
_SPLITS = {"train": 0, "validation": 1, "test": 2}


def main(table: str, folder: str, epochs: str) -> None:
    """Train, predict and write the result."""
    import torch
    from ludwig.api import LudwigModel

    torch.set_num_threads(1)
    rows = pd.read_csv(table, dtype=str)
    rows["split"] = rows["split"].map(_SPLITS)
    config = {**CONFIG, "trainer": {**CONFIG["trainer"], "epochs": int(epochs)}}
    model = LudwigModel(config, logging_level=30)
    began, cpu = time.perf_counter(), _cpu()
    model.train(
        dataset=rows,
        output_directory=folder,
        skip_save_processed_input=True,
        skip_save_progress=True,
        skip_save_log=True,
    )
    trained = {"cpu_seconds": _cpu() - cpu, "wall_seconds": time.perf_counter() - began}
    test = rows[rows["split"] == 2].reset_index(drop=True)
    found, _ = model.predict(dataset=test.drop(columns=["answer"]), batch_size=256)
    right = found["answer_predictions"].astype(str).to_numpy() == test["answer"].to_numpy()
    result = {
        **trained,
        "epochs": int(epochs),
        "accuracy": 100 * float(right.mean()),
        "questions": len(test),
        "rows": len(rows),
        "peak_gigabytes": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6,
    }
    Path(folder, "ludwig.json").write_text(json.dumps(result))


def _cpu() -> float:
    """Return the CPU seconds of this process and of its ended children."""
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(each.ru_utime + each.ru_stime for each in used)


if __name__ == "__main__":
    main(*sys.argv[1:])
