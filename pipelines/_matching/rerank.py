"""What the head for pairs gains: the first answers of the towers, judged again as pairs."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
from rich.table import Table

from mmkeras.core.console import Console
from mmkeras.evaluation.intervals import Bootstrap
from mmkeras.evaluation.predict import predict
from mmkeras.evaluation.samples import Samples
from mmkeras.evaluation.words import number, span
from mmkeras.tasks.matching.recall import first_rows, unit
from mmkeras.tasks.matching.task import FIRST, GROUP, SECOND, Spec

__all__ = ["reranked_recall", "show"]

_BATCH = 256
_PARTS = ("first", "first_valid", "second", "second_valid", "first_vector", "second_vector")


def reranked_recall(
    model: keras.Model, samples: Samples, specs: Any, task: Spec, bootstrap: Bootstrap, top: int, batch_size: int
) -> dict[str, Any]:
    """Return recall at 1 of the towers, with their first answers judged again, and the gain, both ways.

    Args:
        model: with a head for pairs.
        samples: the test split.
        specs: modality specs by name.
        task: the task.
        bootstrap: draws of the groups of samples, paired for both.
        top: answers that are judged again.
        batch_size: samples at once.

    Returns:
        ``top`` and, for each way, ``before``, ``after`` and ``gain``: intervals.
    """
    head = model.get_layer("head_match_scores")
    reading = keras.Model(model.input, dict(zip(_PARTS, head.input, strict=True)))
    parts = predict(reading, samples, specs, batch_size=batch_size)
    given = [keras.Input(tensor.shape[1:], dtype=tensor.dtype) for tensor in head.input]
    judge = keras.Model(given, head(*given))
    judge.jit_compile = False
    pair, found = samples.targets.reshape(-1, 3), {}
    vectors = [unit(parts["first_vector"]), unit(parts["second_vector"])]
    for way, name in enumerate(task.ways):
        items = first_rows(pair[:, (SECOND, FIRST)[way]])
        # One question for each item that asks; the answers of its copies are the same.
        asking = first_rows(pair[:, (FIRST, SECOND)[way]])
        scores = vectors[way][asking] @ vectors[1 - way][items].T
        nearest = np.argsort(-scores, axis=1, kind="stable")[:, :top]
        questions, answers = np.repeat(asking, nearest.shape[1]), items[nearest].ravel()
        rows = (questions, answers) if way == 0 else (answers, questions)
        judged = _judged(judge, parts, *rows).reshape(nearest.shape)
        chosen = {"before": nearest[:, 0], "after": nearest[np.arange(len(asking)), judged.argmax(axis=1)]}
        hits = {
            key: (pair[items[place], GROUP] == pair[asking, GROUP]).astype(np.float64) for key, place in chosen.items()
        }
        draws = {
            key: bootstrap.summed(
                {"hit": hit, "total": np.ones(len(hit))},
                lambda sums: {"recall": sums["hit"] / np.maximum(sums["total"], 1)},
                samples.weights[asking],
                samples.groups[asking],
            )
            for key, hit in hits.items()
        }
        gain = draws["after"].difference(draws["before"], "recall")
        found[name] = {
            **{key: each.interval("recall").to_json() for key, each in draws.items()},
            "gain": gain.to_json(),
        }
    return {"top": top, **found}


def _judged(judge: keras.Model, parts: dict[str, np.ndarray], first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """Return the logit of each pair of rows."""
    found = []
    for start in range(0, len(first), _BATCH):
        rows = slice(start, start + _BATCH)
        sides = [first[rows]] * 2 + [second[rows]] * 2 + [first[rows], second[rows]]
        batch = [parts[name][side] for name, side in zip(_PARTS, sides, strict=True)]
        found.append(np.asarray(judge.predict_on_batch(batch))[:, 0])
    return np.concatenate(found)


def show(result: dict[str, Any], confidence: float, console: Console) -> None:
    """Print a table of the result."""
    table = Table(title=f"The first {result['top']} answers, judged again as pairs: recall at 1")
    for heading in ("search", "towers", "judged again", "gain", f"{100 * confidence:g} % interval"):
        table.add_column(heading, justify="left" if heading == "search" else "right")
    for way, entry in result.items():
        if way == "top":
            continue
        values = [number("recall", entry[key]["value"]) for key in ("before", "after", "gain")]
        table.add_row(way.replace("_", " "), *values, span("recall", entry["gain"]))
    console.print(table)
