"""Trains each modality alone with the settings of a run, and compares the fusion with it on the test split.

A modality alone is not the whole model with the other inputs missing: that model was trained to use them all. Both are
shown in the report. Groups of test samples (a patient, a scene) are resampled as a whole, for all models alike, so that
the differences are paired.
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from rich.table import Table

from mmkeras.core.console import Console
from mmkeras.evaluation.draws import Draws, Interval
from mmkeras.evaluation.intervals import Bootstrap
from mmkeras.evaluation.words import amount, number, span, title
from pipelines._stages.alone_config import ALONE, FUSED
from pipelines._stages.by_scene import EVIDENCE, read_answers
from pipelines._stages.contract import Evaluated
from pipelines._stages.processes import run_processes
from pipelines._stages.variant import SCORES, measure

__all__ = ["compare_alone"]


def compare_alone(done: Evaluated, pipeline: str) -> dict[str, Any]:
    """Train each modality alone, each in ``comparison/<modality>_alone-<seed>`` of the run's folder, and compare.

    Finished trainings are not repeated, so that a resumed run trains only the rest.

    Args:
        done: the evaluated run; its configuration is a `StoryConfig` that has something to compare.
        pipeline: the pipeline that defines the configuration.

    Returns:
        ``alone`` of metrics.json.

    Raises:
        TrainingError: a training failed; the message names its log.
    """
    config = done.config
    names = config.compared_alone
    seeds = config.alone.seeds or (config.train.seed,)
    jobs = [(variant, seed) for seed in seeds for variant in (FUSED, *(name + ALONE for name in names))]
    root = done.run.folder / "comparison"
    if config.train.seed in seeds:
        folder = root / f"{FUSED}-{config.train.seed}"
        measure(done.model, done.samples, done.run, config.train, folder, each_missing=False)
    finished = (SCORES, EVIDENCE)
    missing = [job for job in jobs if not all((root / f"{job[0]}-{job[1]}" / each).is_file() for each in finished)]
    if missing:
        run_processes(pipeline, done.run.folder, missing, config.alone.processes, config.train.epochs, done.console)
    settings = config.evaluate
    bootstrap = Bootstrap(settings.bootstrap, settings.confidence, config.train.seed)
    draws: dict[str, dict[str, Draws]] = {}
    unfinished = []
    for variant, seed in jobs:
        folder = root / f"{variant}-{seed}"
        evidence = read_answers(folder / EVIDENCE)["both"]
        task, samples = done.run.task, done.samples
        found = bootstrap.score(task, evidence, samples.weights, samples.groups, only=(task.metric,))
        draws.setdefault(variant, {})[str(seed)] = found
        if json.loads((folder / SCORES).read_text("utf-8"))["training"]["still_improving"]:
            unfinished.append(f"{variant}, seed {seed}")
    result = _compared(draws, names, done.run.task.metric, done.run.task.metric_sign)
    result["still_improving"] = unfinished
    _show(result, settings.confidence, done.console)
    return result


def _compared(draws: Mapping[str, Mapping[str, Draws]], names: Sequence[str], metric: str, sign: int) -> dict[str, Any]:
    pooled = {variant: _mean(list(by_seed.values()), metric) for variant, by_seed in draws.items()}
    fused = pooled[FUSED]

    def scores(variant: str) -> dict[str, Any]:
        per_seed = {seed: each.values[metric] for seed, each in draws[variant].items()}
        return {"score": pooled[variant].interval(metric).to_json(), "per_seed": per_seed}

    differences = {name: _better_by(fused, pooled[name + ALONE], metric, sign) for name in names}
    best = max(names, key=lambda name: sign * pooled[name + ALONE].values[metric])
    gain = differences[best]
    reached = number(metric, fused.values[metric])
    alone = number(metric, pooled[best + ALONE].values[metric])
    compared = f"{title(metric)} {reached} with all modalities, {alone} with {best} alone"
    if gain.low > 0:
        text = f"Fusion helps: {compared} (better by {amount(metric, gain)})."
    elif gain.high < 0:
        text = f"Fusion does harm: {compared} (worse by {amount(metric, gain)})."
    else:
        text = f"Fusion is not shown to help: {compared} (difference {amount(metric, gain)})."
    return {
        "metric": metric,
        "seeds": [int(seed) for seed in draws[FUSED]],
        "fused": scores(FUSED),
        "modalities": {name: scores(name + ALONE) | {"gain": differences[name].to_json()} for name in names},
        "best": best,
        "fusion_gain": gain.to_json(),
        "helps": bool(gain.low > 0),
        "text": text,
    }


def _better_by(fused: Draws, other: Draws, metric: str, sign: int) -> Interval:
    """Return by how much the fusion is better, positive also where a lower metric is better."""
    return fused.difference(other, metric) if sign > 0 else other.difference(fused, metric)


def _mean(several: Sequence[Draws], metric: str) -> Draws:
    """Return the mean of a metric over seeds, on the samples themselves and on each resample."""
    first = several[0]
    left_out = {}
    if all(metric in each.left_out for each in several):
        left_out = {metric: np.mean([each.left_out[metric] for each in several], axis=0)}
    return dataclasses.replace(
        first,
        values={metric: float(np.mean([each.values[metric] for each in several]))},
        draws={metric: np.mean([each.draws[metric] for each in several], axis=0)},
        left_out=left_out,
    )


def _show(result: Mapping[str, Any], confidence: float, console: Console) -> None:
    metric, seeds = result["metric"], len(result["seeds"])
    table = Table(title=f"Each modality trained alone, mean of {seeds} seed{'s' if seeds != 1 else ''}")
    table.add_column("inputs")
    for heading in (title(metric), f"{100 * confidence:g} % interval", "fusion better by", "interval"):
        table.add_column(heading, justify="right")
    whole = result["fused"]["score"]
    table.add_row("all modalities", number(metric, whole["value"]), span(metric, whole), "", "", style="bold")
    for name, entry in result["modalities"].items():
        score, gain = entry["score"], entry["gain"]
        shown = (number(metric, score["value"]), span(metric, score), number(metric, gain["value"]), span(metric, gain))
        table.add_row(f"{name} alone", *shown)
    console.print(table)
    console.print(result["text"], markup=False, highlight=False, soft_wrap=True)
    for each in result["still_improving"]:
        said = f"{each}: the validation score was still improving at the end. Give all models more with train.epochs."
        console.print(said, style="yellow", markup=False, highlight=False, soft_wrap=True)
