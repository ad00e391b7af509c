"""Compares fusions on the same data and scores models under degradation, for the camera and radar pipeline."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
from rich.table import Table

from mmkeras.bundle import Bundle
from mmkeras.core.rounding import rounded
from mmkeras.driving.degradation import degradation, print_degradation, record_degradation
from mmkeras.evaluation import write_report
from mmkeras.evaluation.intervals import Bootstrap
from pipelines._stages.by_scene import ANSWERS, COMPARED, gains, read_answers, scene_draws
from pipelines._stages.contract import Evaluated
from pipelines._stages.processes import run_processes
from pipelines._stages.variant import SCORES, SHOWN, measure

__all__ = ["compare", "degrade", "degrade_exported"]

NO_SPEED = "A single frame cannot measure speed, but a radar can: a lower velocity error with radar is expected."
"""Printed with the velocity ratio."""
EXPORTED_SAMPLES = 200
"""Test samples on which exported files are scored under degradation."""


def compare(done: Evaluated, pipeline: str) -> dict[str, Any]:
    """Train every variant with every seed, each in ``comparison/<variant>-<seed>`` of the run's folder.

    Each training is a process (`_stages.variant`); several run side by side, since a small model does not use all
    cores. Finished variants are not trained again, so that a resumed run trains only the rest.

    All variants are trained with the same settings, and the epoch with the best validation score is scored. A printed
    line warns where the score was still improving at the end, see `pipelines._stages.variant.training`.

    ``pipeline`` names the pipeline that defines the variants.

    Returns:
        ``fusions``, ``night`` and ``gains`` of metrics.json.

    Raises:
        TrainingError: one of the processes failed; the message names its log.
    """
    config = done.config
    seeds = config.compare.seeds or (config.train.seed,)
    once = config.compare.once
    jobs = [(v, seed) for seed in seeds for v in config.compare.variants if seed == seeds[0] or v not in once]
    root = done.run.folder / "comparison"
    own = ("cross_attention", config.train.seed)
    if own in jobs:
        measure(done.model, done.samples, done.run, config.train, root / f"{own[0]}-{own[1]}")
    missing = [job for job in jobs if not (root / f"{job[0]}-{job[1]}" / SCORES).is_file()]
    if missing:
        run_processes(pipeline, done.run.folder, missing, config.compare.processes, config.train.epochs, done.console)
    scores: dict[str, dict[str, Any]] = {}
    for variant, seed in jobs:
        score = json.loads((root / f"{variant}-{seed}" / SCORES).read_text("utf-8"))
        scores.setdefault(variant, {})[str(seed)] = score
    fusions = {
        variant: {
            "mean": _mean([score["all"] for score in by_seed.values()]),
            "per_seed": {seed: score["all"] for seed, score in by_seed.items()},
            "training": {seed: score["training"] for seed, score in by_seed.items()},
        }
        for variant, by_seed in scores.items()
    }
    night = {
        name: _mean([score["night"] for score in scores[variant].values()])
        for name, variant in (("fusion", "cross_attention"), ("camera_only", "camera_only"))
        if variant in scores
    }
    done.console.print(_table(fusions))
    for line in _unfinished(fusions):
        done.console.print(line, style="yellow", markup=False, highlight=False, soft_wrap=True)
    gained = _gains(done, jobs)
    for name, gain in gained.items():
        done.console.print(_gain(name, gain, done.config.evaluate.confidence), highlight=False, soft_wrap=True)
    if "velocity_ratio" in gained:
        done.console.print(NO_SPEED, soft_wrap=True)
    return {"fusions": fusions, "night": night, "gains": gained}


def _gains(done: Evaluated, jobs: list[tuple[str, int]]) -> dict[str, Any]:
    settings = done.config.evaluate
    bootstrap = Bootstrap(settings.bootstrap, settings.confidence, done.config.train.seed)
    draws: dict[str, dict[str, dict[str, np.ndarray]]] = {}
    for variant, seed in (job for job in jobs if job[0] in COMPARED):
        answers = read_answers(done.run.folder / "comparison" / f"{variant}-{seed}" / ANSWERS)
        draws.setdefault(variant, {})[str(seed)] = scene_draws(done.run.task, done.samples, answers, bootstrap)
    return gains(draws, settings.confidence)


def _gain(name: str, gain: dict[str, Any], confidence: float) -> str:
    numbers = [gain[key] for key in ("value", "low", "high")]
    value, low, high = ("-" if number is None else f"{number:.3f}" for number in numbers)
    return f"{name.replace('_', ' ')}: {value} ({100 * confidence:.0f} % of the resamples of scenes: {low} to {high})"


def _unfinished(fusions: dict[str, Any]) -> list[str]:
    return [
        f"{variant}, seed {seed}: the validation score was still improving when training ended (best epoch "
        f"{entry['best_epoch']} of {entry['epochs']}). Give all variants more with train.epochs."
        for variant, fusion in fusions.items()
        for seed, entry in fusion["training"].items()
        if entry["still_improving"]
    ]


def _mean(scores: list[dict[str, float | None]]) -> dict[str, float | None]:
    names = dict.fromkeys((*SHOWN, *(name for score in scores for name in score)))
    known = {name: [v for score in scores if (v := score.get(name)) is not None] for name in names}
    return {name: float(np.mean(values)) if values else None for name, values in known.items()}


def _table(fusions: dict[str, Any]) -> Table:
    names = list(dict.fromkeys((*SHOWN, *(name for entry in fusions.values() for name in entry["mean"]))))
    table = Table(title="Trained alike on the same drives, mean of the seeds")
    for heading in ("fusion", *names, "seeds", "best epoch"):
        table.add_column(heading.replace("_", " "), justify="left" if heading == "fusion" else "right")
    for variant, entry in fusions.items():
        values = [entry["mean"].get(name) for name in names]
        shown = ["-" if value is None else rounded(value, 3) for value in values]
        best = ", ".join(f"{each['best_epoch']} of {each['epochs']}" for each in entry["training"].values())
        table.add_row(variant, *shown, str(len(entry["per_seed"])), best)
    return table


def degrade(done: Evaluated) -> None:
    """Score the Keras model under every degradation; add the table to metrics.json, the report and the terminal."""
    size = done.config.evaluate.batch_size
    table = degradation(done.model, done.samples, done.run.specs, done.run.task, batch_size=size)
    record_degradation(done.run.folder, table)
    print_degradation(table, done.console)


def degrade_exported(done: Evaluated, bundle: Path) -> None:
    """Score every accepted file of a bundle under every degradation, sample by sample as on a device.

    To save time only some test samples are used, spread over the split; the first row shows their number.
    """
    from export.verification.runners import opened

    samples = done.samples.spread(EXPORTED_SAMPLES)
    for file in Bundle.open(bundle).files:
        if not file.accepted:
            continue
        with opened(file.format, bundle / file.path) as runner:
            table = degradation(runner.infer, samples, done.run.specs, done.run.task, batch_size=runner.size)
        name = file.format if file.path == "." else file.path
        record_degradation(done.run.folder, table, name)
        print_degradation(table, done.console, f"{name} under degradation")
    write_report(done.run.folder, export=json.loads((bundle / "export.json").read_text("utf-8")))
