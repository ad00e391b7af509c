"""What a task says of the golden outputs: the words that a person reads, and the metric. No TensorFlow.

A manifest whose labels are in another order gives the same numbers and other words.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from mmkeras.bundle.golden import Golden
from mmkeras.tasks import TaskSpec

__all__ = ["answers_of", "compare_answers"]

_CLOSE = 1e-6


def answers_of(task: TaskSpec, golden: Golden) -> dict[str, Any]:
    """Return the answers to the golden outputs and their metric, as ``golden/answers.json`` keeps them.

    Args:
        task: decodes and scores.
        golden: the samples. Those without a target, which are no samples of the data, are not scored.
    """
    rows = np.flatnonzero(np.asarray(golden.scenarios) == "all")
    part = {name: value[rows] for name, value in golden.outputs.items()}
    score = task.score(golden.targets[rows], part)[task.metric] if len(rows) else math.nan
    return {
        "answers": task.decode(golden.outputs),
        "metric": float(score) if math.isfinite(score) else None,
    }


def compare_answers(task: TaskSpec, golden: Golden, kept: dict[str, Any]) -> str:
    """Return how the task's answers differ from those of the export; empty where they do not.

    Args:
        task: as the manifest describes it here.
        golden: the samples.
        kept: from `answers_of` when the bundle was exported.
    """
    now = answers_of(task, golden)
    before = kept.get("answers")
    if not isinstance(before, list) or len(before) != len(now["answers"]):
        return f"expected {len(now['answers'])} answers, got {len(before) if isinstance(before, list) else 'none'}"
    for key, was, found in zip(golden.keys, before, now["answers"], strict=True):
        if not _same(was, found):
            return f"{key}: the export answered {was!r:.80}, the manifest's task answers {found!r:.80}"
    if not _same(kept.get("metric"), now["metric"]):
        return f"{task.metric} of the golden samples was {kept.get('metric')}, and is {now['metric']}"
    return ""


def _same(first: Any, second: Any) -> bool:
    """Whether two values of JSON say the same, numbers but for rounding."""
    if isinstance(first, dict) and isinstance(second, dict):
        return first.keys() == second.keys() and all(_same(value, second[name]) for name, value in first.items())
    if isinstance(first, list | tuple) and isinstance(second, list | tuple):
        return len(first) == len(second) and all(_same(a, b) for a, b in zip(first, second, strict=True))
    numbers = (int, float)
    if isinstance(first, numbers) and isinstance(second, numbers) and not isinstance(first, bool):
        return math.isclose(first, second, rel_tol=_CLOSE, abs_tol=_CLOSE)
    return bool(first == second)
