"""Cross-validation: each fold of the data is answered by a model that is trained on the others.

A small set has a test split of a few dozen samples, which says little. With folds every sample is answered once, by a
model that has not seen its group.
"""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np
from rich.table import Table

from mmkeras.core.components import Choice, find
from mmkeras.core.console import Console
from mmkeras.core.errors import ConfigError, TrainingError
from mmkeras.evaluation.intervals import Bootstrap
from mmkeras.evaluation.words import number, span, title
from mmkeras.tasks._evidence import joined
from pipelines._stages.again import asked_for, train_again
from pipelines._stages.alone_config import StoryConfig
from pipelines._stages.by_scene import EVIDENCE, read_answers
from pipelines._stages.contract import Evaluated

if TYPE_CHECKING:
    from mmkeras.evaluation.samples import Samples

__all__ = ["cross_validate", "first_fold"]

StoryT = TypeVar("StoryT", bound=StoryConfig)

_OPTIONS = ("fold", "folds")


def first_fold(config: StoryT) -> StoryT:
    """Return the configuration whose test split is the first fold; the same one without folds.

    Raises:
        ConfigError: the source cannot divide its data into folds, or is asked for another fold.
    """
    count = config.cross_validation.folds
    if not count:
        return config
    source = find("data.sources", config.data.source.name).Source
    if not {field.name for field in dataclasses.fields(source)}.issuperset(_OPTIONS):
        raise ConfigError(
            f"cross_validation.folds: the source {config.data.source.name!r} has no options {' and '.join(_OPTIONS)}; "
            "leave it out"
        )
    options = config.data.source.options
    if count < 2 or options.get("fold", 0) != 0 or options.get("folds", count) != count:
        given = ", ".join(f"{name} {options[name]}" for name in _OPTIONS if name in options)
        raise ConfigError(
            f"cross_validation.folds: expected 2 or more, and fold 0 of as many folds in data.source.options, got "
            f"{count} and {given or 'none of them'}"
        )
    return _with_fold(config, 0)


def _with_fold(config: StoryT, number: int) -> StoryT:
    options = {**config.data.source.options, "fold": number, "folds": config.cross_validation.folds}
    source = Choice(config.data.source.name, options)
    return dataclasses.replace(config, data=dataclasses.replace(config.data, source=source))


def cross_validate(done: Evaluated) -> dict[str, Any]:
    """Train a model for each further fold, and score the answers to all of them.

    The run itself is fold 0. Finished folds of an interrupted run are not trained again.

    Returns:
        ``folds`` of metrics.json: the primary metric on all samples, with an interval by a bootstrap of groups, and on
        each fold.

    Raises:
        TrainingError: a fold has other labels, or a sample is in two of them.
    """
    count, task = done.config.cross_validation.folds, done.run.task
    found = [_fold(done, number) for number in range(count)]
    _check_apart([samples for samples, _ in found])
    weights = np.concatenate([samples.weights for samples, _ in found])
    # Groups are numbered within each test split, and none is in two of them.
    groups = np.array([(fold, group) for fold, (samples, _) in enumerate(found) for group in samples.groups])
    groups = np.unique(groups, axis=0, return_inverse=True)[1]
    settings = done.config.evaluate
    bootstrap = Bootstrap(settings.bootstrap, settings.confidence, done.config.train.seed)
    evidence = joined([each for _, each in found])
    draws = bootstrap.score(task, evidence, weights, groups, only=(task.metric,))
    each = [
        {"samples": len(samples), "value": float(task.finish(own, samples.weights)[task.metric])}
        for samples, own in found
    ]
    score = draws.interval(task.metric).to_json()
    result = {"metric": task.metric, "samples": len(weights), "score": score, "each": each}
    _show(result, settings.confidence, done.console)
    return result


def _fold(done: Evaluated, number: int) -> tuple[Samples, dict[str, np.ndarray]]:
    """Return the samples of a fold, and the evidence of the model that has not seen them."""
    from mmkeras.evaluation.predict import predict_evidence
    from mmkeras.evaluation.samples import read
    from mmkeras.training.run import Run
    from pipelines._stages.variant import measure

    batch = done.config.evaluate.batch_size
    if not number:
        run, samples = done.run, done.samples
        return samples, predict_evidence(done.model, samples, run.specs, run.task, batch_size=batch)
    folder: Path = done.run.folder / "folds" / str(number)
    if (folder / EVIDENCE).is_file():
        run = Run.open(folder)
    else:
        done.console.print(f"fold {number + 1} of {done.config.cross_validation.folds}", highlight=False)
        run = train_again(_with_fold(asked_for(done), number), folder, done.console)
    samples = read(run.index, "test", run.specs, run.task, batch_size=batch)
    if run.task.label_names != done.run.task.label_names:
        raise TrainingError(f"fold {number}: the labels differ from those of the run; every fold must have all of them")
    if not (folder / EVIDENCE).is_file():
        measure(run.model(), samples, run, done.config.train, folder, each_missing=False)
    return samples, read_answers(folder / EVIDENCE)["both"]


def _check_apart(folds: list[Samples]) -> None:
    keys = [key for samples in folds for key in samples.keys]
    if len(set(keys)) < len(keys):
        raise TrainingError("cross_validation.folds: a sample is in the test split of two folds; correct the source")


def _show(result: dict[str, Any], confidence: float, console: Console) -> None:
    metric = result["metric"]
    table = Table(title=f"{len(result['each'])} folds, each answered by a model of the others")
    for heading in ("fold", "samples", title(metric), f"{100 * confidence:g} % interval"):
        table.add_column(heading, justify="right")
    for place, each in enumerate(result["each"], start=1):
        table.add_row(str(place), str(each["samples"]), number(metric, each["value"]), "")
    score = result["score"]
    whole = (number(metric, score["value"]), span(metric, score))
    table.add_row("all", str(result["samples"]), *whole, style="bold")
    console.print(table)
