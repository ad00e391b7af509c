"""The evaluation of one model on one split: metrics.json, the report and its pictures.

The schema of ``metrics.json`` is ``mmkeras/schemas/metrics.schema.json``.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from rich.progress import Progress

from mmkeras.core.config import EvaluateConfig
from mmkeras.core.console import Console
from mmkeras.evaluation import pictures
from mmkeras.evaluation.ablation import ablate
from mmkeras.evaluation.calibration import calibration
from mmkeras.evaluation.classes import class_scores, confusion, per_class
from mmkeras.evaluation.draws import FEW_GROUPS, Support
from mmkeras.evaluation.examples import cards, scenes, wrong_samples
from mmkeras.evaluation.intervals import SLOW_RESAMPLES, Bootstrap, Draws
from mmkeras.evaluation.predict import Variant, predict, predict_evidence
from mmkeras.evaluation.report import write_report
from mmkeras.evaluation.samples import Samples
from mmkeras.evaluation.slices import slice_metrics
from mmkeras.evaluation.table import print_metrics
from mmkeras.evaluation.words import number, title
from mmkeras.modalities import ModalitySpec
from mmkeras.storage.files import write_json
from mmkeras.tasks import TaskSpec
from mmkeras.tasks._contract import Outputs
from mmkeras.tasks._evidence import Evidence

__all__ = ["SCHEMA_VERSION", "evaluate"]

SCHEMA_VERSION = 1


def evaluate(
    model: Any,
    samples: Samples,
    specs: Mapping[str, ModalitySpec],
    task: TaskSpec,
    config: EvaluateConfig,
    out: Path,
    *,
    provenance: Mapping[str, Any] | None = None,
    extra_pictures: Mapping[str, Figure] | None = None,
    seed: int = 0,
    console: Console | None = None,
) -> dict[str, Any]:
    """Evaluate a model and write ``metrics.json``, ``report.html`` and ``pictures/*.png``.

    Args:
        model: Keras model with dict inputs and dict outputs, or a callable on dicts of numpy arrays.
        samples: the split, see ``mmkeras.evaluation.samples.read``; ``privacy.redact`` applies to what is written.
        specs: modality specs by name.
        task: the task spec.
        config: resamples, confidence, slices, batch size, pictures.
        out: folder to write into; created if missing.
        provenance: origin of the model for the report: ``name``, ``config``, ``data_fingerprint``, ``code_revision``,
            ``packages`` and further facts.
        extra_pictures: more figures for the report by title, for example attention over the image.
        seed: seed of shuffles and resamples.
        console: shows progress and the table; by default nothing is shown.

    Returns:
        The content of ``metrics.json``.

    Raises:
        DataError: no samples, or outputs that are not finite.
        ConfigError: a slice that is not a column of the data.
    """
    samples = samples.shown()
    bootstrap = Bootstrap(config.bootstrap, config.confidence, seed)
    with Progress(console=console, transient=True) if console else nullcontext() as progress:
        # The whole model, each modality shuffled, and each of several removed and alone (the same passes for two).
        passes = 1 + len(specs) + {1: 0, 2: 2}.get(len(specs), 2 * len(specs))
        steps = passes * -(-len(samples) // min(config.batch_size, len(samples)))
        watch = _watch(progress, steps)

        def run(variant: Variant) -> Evidence:
            size = config.batch_size
            return predict_evidence(model, samples, specs, task, batch_size=size, variant=variant, progress=watch)

        def answered(rows: np.ndarray) -> Outputs:
            return predict(model, samples, specs, batch_size=config.batch_size, rows=rows)

        evidence = run(Variant())
        whole = bootstrap.score(task, evidence, samples.weights, samples.groups)
        ablation, warnings = ablate(run, samples, specs, task, whole, bootstrap)
    slices, remarks = slice_metrics(samples, evidence, task, whole, bootstrap, config.slices)
    metrics = {
        "schema_version": SCHEMA_VERSION,
        "task": {"kind": task.kind, "metric": task.metric, "metric_sign": task.metric_sign},
        "samples": len(samples),
        "intervals": _intervals(bootstrap, whole),
        "test": {name: interval.to_json() for name, interval in whole.intervals().items()},
        "ablation": ablation,
        "slices": slices,
        "per_class": class_scores(task, samples.targets, whole)
        or per_class(task, evidence, samples.weights, bootstrap, samples.groups),
        "calibration": calibration(task, evidence, samples.weights),
        "confusion": confusion(task, evidence),
        "errors": wrong_samples(task, samples, evidence, answered),
        "warnings": warnings + _weak_slices(slices, task),
        "remarks": _few_groups(whole.support) + remarks,
        "provenance": json.loads(json.dumps(dict(provenance or {}), default=str)),
    }
    shows = task, samples, specs, evidence, answered
    figures = _figures(metrics, task, cards(*shows, limit=config.pictures))
    if worst := scenes(*shows, limit=min(config.pictures, 6)):
        figures["errors"] = pictures.gallery_figure(worst, "The worst samples first")
    if shown := scenes(*shows, range(0, len(samples), -(-len(samples) // 4))):
        figures["samples"] = pictures.gallery_figure(shown, "Samples from all over the split")
    write_json(out / "metrics.json", metrics)
    write_report(out, {**figures, **(extra_pictures or {})})
    if console:
        print_metrics(metrics, console)
        console.print(f"report: {out / 'report.html'}", markup=False)
    return metrics


def _watch(progress: Progress | None, steps: int) -> Callable[[Iterable[int]], Iterable[int]]:
    if progress is None:
        return iter
    bar = progress.add_task("evaluating", total=steps)

    def watched(starts: Iterable[int]) -> Iterable[int]:
        for start in starts:
            yield start
            progress.advance(bar)

    return watched


def _intervals(bootstrap: Bootstrap, whole: Draws) -> dict[str, Any]:
    slow = sorted(name for name, method in whole.methods.items() if method == "bootstrap-slow")
    return {
        "confidence": bootstrap.confidence,
        "resamples": bootstrap.resamples,
        "seed": bootstrap.seed,
        "slow_resamples": min(SLOW_RESAMPLES, bootstrap.resamples),
        "slow_metrics": slow,
    }


def _few_groups(support: Support) -> list[str]:
    if support.groups < 2 or support.effective >= FEW_GROUPS:
        return []
    return [
        f"The test samples are in {support.groups} groups that weigh as much as {support.effective:.1f} equal ones: "
        f"intervals of fewer than {FEW_GROUPS} groups are rough, and usually too wide."
    ]


def _weak_slices(slices: Mapping[str, Mapping[str, Any]], task: TaskSpec) -> list[str]:
    found = []
    for column, values in slices.items():
        worst = [
            f"{value} ({number(task.metric, entry[task.metric]['value'])})"
            for value, entry in values.items()
            if entry["worse"] and not entry["few"]
        ]
        if worst:
            more = f" and {len(worst) - 3} more" if len(worst) > 3 else ""
            found.append(f"Worse in {title(task.metric)} than all samples: {column} = {', '.join(worst[:3])}{more}.")
    return found


def _figures(metrics: Mapping[str, Any], task: TaskSpec, worst: list[pictures.Card]) -> dict[str, Figure]:
    whole = metrics["test"][task.metric]
    figures = {"ablation": pictures.ablation_figure(metrics["ablation"], whole, task.metric)}
    if any(metrics["slices"].values()):
        slices = metrics["slices"]
        figures["slices"] = pictures.slices_figure(slices, whole, task.metric, task.metric_sign)
    if metrics["calibration"]:
        figures["calibration"] = pictures.calibration_figure(metrics["calibration"])
    if metrics["confusion"]:
        figures["confusion"] = pictures.confusion_figure(metrics["confusion"])
    if worst:
        wrong = all(card.right is False for card in worst)
        heading = "Wrong answers, furthest from the truth first" if wrong else "Largest errors first"
        figures["errors"] = pictures.samples_figure(worst, heading)
    return figures
