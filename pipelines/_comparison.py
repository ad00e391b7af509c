"""Fusions compared on the same data, and models under degradation: the tables of the camera and radar pipeline."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any

import numpy as np
from rich.table import Table

from mmkeras.bundle import Bundle
from mmkeras.evaluation import write_report
from mmkeras.evaluation.degradation import degradation
from mmkeras.evaluation.degradation_table import print_degradation, record_degradation
from mmkeras.evaluation.predict import Variant, predict
from mmkeras.evaluation.samples import Samples, read
from mmkeras.files import write_json
from mmkeras.tasks import TaskSpec
from mmkeras.tasks._contract import Outputs
from pipelines._story import Evaluated

__all__ = ["SHOWN", "add_to_metrics", "compare", "degrade", "degrade_exported"]

SHOWN = ("mAP", "NDS_front", "velocity_error")
"""The metrics of every row."""
EXPORTED_SAMPLES = 200
"""Test samples on which exported files are tried under degradation."""


def add_to_metrics(folder: Path, parts: dict[str, Any]) -> None:
    """Add sections to a run's metrics.json."""
    path = folder / "metrics.json"
    write_json(path, {**json.loads(path.read_text("utf-8")), **parts})


def compare(done: Evaluated) -> dict[str, Any]:
    """Train every variant with every seed, each in ``comparison/<variant>-<seed>`` of the run's folder.

    What is finished there is not trained again, so that a resumed run goes on with the rest.

    Returns:
        ``fusions`` and ``night`` of metrics.json.
    """
    config = done.config
    seeds = config.compare.seeds or (config.train.seed,)
    scores: dict[str, dict[str, dict[str, Any]]] = {}
    for variant in config.compare.variants:
        for seed in seeds:
            own = variant == "cross_attention" and seed == config.train.seed
            score = _measure(done.model, done.samples, done.run) if own else _trained(done, variant, seed)
            scores.setdefault(variant, {})[str(seed)] = score
    fusions = {
        variant: {
            "mean": _mean([score["all"] for score in by_seed.values()]),
            "per_seed": {seed: score["all"] for seed, score in by_seed.items()},
        }
        for variant, by_seed in scores.items()
    }
    night = {
        name: _mean([score["night"] for score in scores[variant].values()])
        for name, variant in (("fusion", "cross_attention"), ("camera_only", "camera_only"))
        if variant in scores
    }
    done.console.print(_table(fusions, len(seeds)))
    return {"fusions": fusions, "night": night}


def _trained(done: Evaluated, variant: str, seed: int) -> dict[str, Any]:
    """Return the scores of one variant, trained unless it has been."""
    import keras

    from mmkeras.model import build_model, modality_specs, task_spec
    from mmkeras.training.environment import prepare
    from mmkeras.training.fit import fit
    from mmkeras.training.run import Run

    folder = done.run.folder / "comparison" / f"{variant}-{seed}"
    kept = folder / "scores.json"
    if kept.is_file():
        scores: dict[str, Any] = json.loads(kept.read_text("utf-8"))
        return scores
    done.console.print(f"\n[bold]{variant}, seed {seed}[/]")
    keras.backend.clear_session()
    train = dataclasses.replace(done.config.train, seed=seed)
    config = dataclasses.replace(done.config, model=done.config.variant(variant), train=train)
    decided = prepare(train)
    resume = (folder / "run.json").is_file()
    if resume:
        run = Run.open(folder)
    else:
        folder.mkdir(parents=True, exist_ok=True)
        specs = modality_specs(config.model)
        run = Run.create(folder, config, specs, task_spec(config.model), done.index, decided)
    model = build_model(config.model)
    fit(model, run, config, done.index, console=done.console, resume=resume)
    samples = read(done.index, "test", run.specs, run.task, batch_size=config.evaluate.batch_size)
    scores = _measure(run.model(), samples, run)
    write_json(kept, scores)
    return scores


def _measure(model: Any, samples: Samples, run: Any) -> dict[str, Any]:
    """Return the scores of a model on the whole test split and on its nights."""
    outputs = predict(model, samples, run.specs, batch_size=64, variant=Variant())
    night = np.asarray(samples.columns.get("time_of_day", np.full(len(samples), ""))) == "night"
    return {
        "all": _shown(run.task, samples, outputs, np.ones(len(samples), bool)),
        "night": _shown(run.task, samples, outputs, night) if night.any() else {},
    }


def _shown(task: TaskSpec, samples: Samples, outputs: Outputs, chosen: np.ndarray) -> dict[str, float | None]:
    score = task.score(
        samples.targets[chosen], {name: value[chosen] for name, value in outputs.items()}, samples.weights[chosen]
    )
    return {name: float(score[name]) if np.isfinite(score[name]) else None for name in SHOWN}


def _mean(scores: list[dict[str, float | None]]) -> dict[str, float | None]:
    known = {name: [v for score in scores if (v := score.get(name)) is not None] for name in SHOWN}
    return {name: float(np.mean(values)) if values else None for name, values in known.items()}


def _table(fusions: dict[str, Any], seeds: int) -> Table:
    table = Table(title=f"Trained alike on the same drives, mean of {seeds} seed{'s' if seeds > 1 else ''}")
    for heading in ("fusion", "mAP", "NDS_front", "velocity error, m/s"):
        table.add_column(heading, justify="left" if heading == "fusion" else "right")
    for variant, entry in fusions.items():
        mean = entry["mean"]
        table.add_row(variant, *("-" if mean[name] is None else f"{mean[name]:.3f}" for name in SHOWN))
    return table


def degrade(done: Evaluated) -> None:
    """Score the Keras model under every degradation; add the table to metrics.json, the report and the terminal."""
    size = done.config.evaluate.batch_size
    table = degradation(done.model, done.samples, done.run.specs, done.run.task, batch_size=size)
    record_degradation(done.run.folder, table)
    print_degradation(table, done.console)


def degrade_exported(done: Evaluated, bundle: Path) -> None:
    """Score every accepted file of a bundle under every degradation, as a device runs it: sample by sample.

    To save time that is done on some of the test samples, from all over the split; the first row says how many.
    """
    from export.runners import opened

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
