"""A program that trains one variant of a run with one seed: ``PIPELINE RUN VARIANT SEED``.

python -m pipelines._stages.variant camera_radar runs/camera_radar/latest radar_only 1
"""

from __future__ import annotations

import dataclasses
import importlib
import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from mmkeras.core.console import Console
from mmkeras.core.terminal import utf8_program
from mmkeras.storage.files import write_json
from mmkeras.tasks._evidence import Evidence, rows_of
from pipelines._stages.again import train_in
from pipelines._stages.alone_config import StoryConfig
from pipelines._stages.by_scene import ANSWERS, EVIDENCE, night, write_answers

if TYPE_CHECKING:
    from mmkeras.core.config import TrainConfig
    from mmkeras.evaluation.samples import Samples
    from mmkeras.tasks import TaskSpec
    from mmkeras.training.run import Run

__all__ = ["BATCH", "DEAD", "RISE", "SCORES", "SHOWN", "main", "measure", "training"]

SHOWN = ("mAP", "NDS_front", "velocity_error")
"""The metrics of a comparison of detectors; other tasks have all of theirs."""
DEAD = "{}_{}_dead"
"""Name of a metric with one of several modalities missing."""
BATCH = 64
"""Samples per prediction."""
RISE = 0.05
"""See `training`."""
SCORES = "scores.json"
"""Written when a variant is finished: metrics on ``all`` and ``night`` test samples, and `training`."""


@utf8_program
def main(arguments: Sequence[str] | None = None) -> int:
    """Train and score ``PIPELINE RUN VARIANT SEED``, or continue an interrupted training; return the exit status."""
    from mmkeras.evaluation.samples import read
    from mmkeras.training.environment import prepare
    from mmkeras.training.interrupts import Interrupted
    from mmkeras.training.run import Run
    from pipelines._stages.cluster import with_cluster

    pipeline, base, variant, seed = sys.argv[1:] if arguments is None else arguments
    parent = Run.open(Path(base))
    whole = with_cluster(_config_class(pipeline), parent.folder, ())
    train = dataclasses.replace(whole.train, seed=int(seed))
    config = dataclasses.replace(whole, model=whole.variant(variant), train=train)
    index = parent.index
    decided = prepare(train)
    folder = parent.folder / "comparison" / f"{variant}-{seed}"
    try:
        run = train_in(folder, config, index, decided, Console())
    except Interrupted:
        return 130
    samples = read(index, "test", run.specs, run.task, batch_size=config.evaluate.batch_size)
    measure(run.model(), samples, run, config.train, folder, each_missing=not isinstance(config, StoryConfig))
    return 0


def _config_class(pipeline: str) -> type[Any]:
    """Return the configuration class of a pipeline by its name."""
    from mmkeras.core.config import RunConfig

    module = importlib.import_module(f"pipelines.{pipeline}")
    classes = [value for value in vars(module).values() if isinstance(value, type) and issubclass(value, RunConfig)]
    (own,) = [each for each in classes if each.__module__ == module.__name__]
    return own


def training(folder: Path, task: TaskSpec, epochs: int) -> dict[str, Any]:
    """Return how a run's training went, from its last checkpoint.

    With a cosine learning rate the score rises until the end, so a best epoch near the end does not mean that training
    was too short. The score counts as still improving if it rose by more than the share `RISE` in the last quarter of
    the epochs.

    Returns:
        ``epochs`` that were run, ``scheduled`` epochs, ``best_epoch`` (from 1, by the validation score), ``late_gain``
        (increase of the best score in the last quarter; null without an earlier score) and ``still_improving``.
    """
    (checkpoint,) = (folder / "checkpoints").glob("step-*")
    state = json.loads((checkpoint / "state.json").read_text("utf-8"))
    scores = [task.metric_sign * logs.get(f"val_{task.metric}", -np.inf) for logs in state["history"]]
    early = scores[: len(scores) - max(1, len(scores) // 4)]
    before, best = max(early, default=-np.inf), max(scores, default=-np.inf)
    gain = float(best - before) if np.isfinite(before) else None
    return {
        "epochs": len(scores),
        "scheduled": epochs,
        "best_epoch": state["best_epoch"],
        "late_gain": gain,
        "still_improving": gain is None or gain > RISE * abs(best),
    }


def measure(
    model: Any, samples: Samples, run: Run, train: TrainConfig, folder: Path, *, each_missing: bool = True
) -> None:
    """Score a model on the test split and at night, and with ``each_missing`` without each modality.

    `SCORES` and `EVIDENCE` are written into ``folder``; with ``each_missing`` `ANSWERS` in place of `EVIDENCE`.
    """
    from mmkeras.evaluation.predict import Variant, predict, predict_evidence

    def scores(evidence: Evidence, chosen: np.ndarray) -> dict[str, float | None]:
        score = run.task.finish(rows_of(evidence, chosen), samples.weights[chosen])
        shown = [name for name in SHOWN if name in score] or list(score)
        return {name: float(score[name]) if np.isfinite(score[name]) else None for name in shown}

    whole, dark = np.ones(len(samples), bool), night(samples)
    folder.mkdir(parents=True, exist_ok=True)
    if each_missing:
        answers = {"both": predict(model, samples, run.specs, batch_size=BATCH, variant=Variant())}
        evidence = run.task.evidence(samples.targets, answers["both"])
        everything = scores(evidence, whole)
        for name in run.specs if len(run.specs) > 1 else ():
            dead = predict(model, samples, run.specs, batch_size=BATCH, variant=Variant(absent=frozenset({name})))
            without = scores(run.task.evidence(samples.targets, dead), whole)
            everything[DEAD.format(run.task.metric, name)] = without[run.task.metric]
            answers[f"without_{name}"] = dead
        write_answers(folder / ANSWERS, answers)
    else:
        evidence = predict_evidence(model, samples, run.specs, run.task, batch_size=BATCH, variant=Variant())
        everything = scores(evidence, whole)
        write_answers(folder / EVIDENCE, {"both": evidence})
    at_night = scores(evidence, dark) if dark.any() else {}
    trained = training(run.folder, run.task, train.epochs)
    # Written last: this file marks the variant as finished.
    write_json(folder / SCORES, {"all": everything, "night": at_night, "training": trained})


if __name__ == "__main__":
    sys.exit(main())
