"""Single samples: which ones to look at, and how they are shown.

A modality says how it is drawn in ``mmkeras/modalities/<kind>/picture.py``: ``image(value) -> uint8 (H, W,
3)`` or ``caption(value) -> str``. One without that file is left out of the pictures.

A task whose answers are neither labels nor numbers says in ``mmkeras/tasks/<kind>/review.py`` how wrong a sample is,
what is true and what was answered in words, and how a sample is drawn: see `mmkeras.tasks.detection.review`.
"""

from __future__ import annotations

import importlib
import importlib.util
from collections.abc import Mapping, Sequence
from types import ModuleType
from typing import Any

import numpy as np

from mmkeras.core.rounding import percent
from mmkeras.evaluation.classes import label_names, thresholds
from mmkeras.evaluation.pictures.gallery import Scene
from mmkeras.evaluation.pictures.samples import Card
from mmkeras.evaluation.samples import Samples
from mmkeras.modalities import ModalitySpec
from mmkeras.tasks import TaskSpec
from mmkeras.tasks._contract import Outputs

__all__ = ["answers", "cards", "review", "right", "scenes", "truths", "wrong_samples", "wrongness"]


def review(task: TaskSpec) -> ModuleType | None:
    """Return the task's own way of showing samples, ``None`` where it has none."""
    room = f"mmkeras.tasks.{task.kind}"
    if not importlib.util.find_spec(room) or not importlib.util.find_spec(f"{room}.review"):
        return None
    return importlib.import_module(f"{room}.review")


def right(task: TaskSpec, targets: np.ndarray, outputs: Outputs) -> np.ndarray | None:
    """Return bool (N,) where the decision equals the truth; ``None`` for a task whose answers are numbers."""
    if review(task):
        return np.asarray(wrongness(task, targets, outputs) == 0)
    if "probabilities" not in outputs:
        return None
    probabilities = outputs["probabilities"]
    if task.target.shape == ():
        return np.asarray(probabilities.argmax(1) == targets)
    return np.asarray(((probabilities >= thresholds(task)) == (targets > 0.5)).all(1))


def wrongness(task: TaskSpec, targets: np.ndarray, outputs: Outputs) -> np.ndarray:
    """Return how far each sample is from its truth, float (N,): the larger, the worse.

    One label: 1 - the probability of the true class. Several: the largest distance of a label. Numbers: the
    mean absolute error, each number in units of its standard deviation. Other tasks say it themselves.
    """
    if own := review(task):
        return np.asarray(own.wrongness(task, targets, outputs))
    if "probabilities" in outputs and task.target.shape == ():
        picked = np.take_along_axis(outputs["probabilities"], targets[:, None].astype(np.int64), 1)[:, 0]
        return np.asarray(1.0 - picked.astype(np.float64))
    if "probabilities" in outputs:
        return np.asarray(np.abs(targets - outputs["probabilities"]).max(1))
    truth = targets.reshape(len(targets), -1).astype(np.float64)
    spread = np.maximum(truth.std(0), 1e-12)
    value = next(iter(outputs.values())).reshape(truth.shape)
    return np.asarray((np.abs(value - truth) / spread).mean(1))


def truths(task: TaskSpec, targets: np.ndarray) -> list[str]:
    """Return what is true of each sample, in words."""
    if own := review(task):
        return list(own.truths(task, targets))
    names = label_names(task)
    if task.target.shape == () and task.target.dtype.startswith("int"):
        return [names[int(i)] for i in targets]
    rows = targets.reshape(len(targets), -1)
    if task.outputs[0].name == "probabilities":
        return [_listed(names, row > 0.5) for row in rows]
    return [_numbers(names, row) for row in rows]


def answers(task: TaskSpec, outputs: Outputs) -> list[str]:
    """Return what the model says of each sample, in words, with its confidence where it has one."""
    if own := review(task):
        return list(own.answers(task, outputs))
    names = label_names(task)
    if "probabilities" not in outputs:
        return [_numbers(names, row) for row in next(iter(outputs.values())).reshape(-1, len(names))]
    probabilities = outputs["probabilities"]
    if task.target.shape == ():
        return [f"{names[int(row.argmax())]} ({percent(float(row.max()), 0)} %)" for row in probabilities]
    return [_listed(names, row) for row in probabilities >= thresholds(task)]


def _listed(names: Sequence[str], chosen: np.ndarray) -> str:
    return ", ".join(name for name, there in zip(names, chosen, strict=True) if there) or "none"


def _numbers(names: Sequence[str], row: np.ndarray) -> str:
    if len(names) == 1:
        return f"{row[0]:.4g}"
    return ", ".join(f"{name} {value:.4g}" for name, value in zip(names, row, strict=True))


def wrong_samples(task: TaskSpec, samples: Samples, outputs: Outputs, limit: int = 50) -> list[dict[str, Any]]:
    """Return the worst samples for ``metrics.json``: wrong ones only where answers are right or wrong.

    Returns:
        ``[{"key", "truth", "prediction", "wrongness"}]``, the worst first.
    """
    worst = _worst(task, samples, outputs)[:limit]
    part = {name: value[worst] for name, value in outputs.items()}
    amount = wrongness(task, samples.targets[worst], part) if len(worst) else np.zeros(0)
    return [
        {"key": samples.key(int(i)), "truth": truth, "prediction": answer, "wrongness": float(distance)}
        for i, truth, answer, distance in zip(
            worst, truths(task, samples.targets[worst]), answers(task, part), amount, strict=True
        )
    ]


def _worst(task: TaskSpec, samples: Samples, outputs: Outputs) -> np.ndarray:
    order = np.argsort(-wrongness(task, samples.targets, outputs), kind="stable")
    good = right(task, samples.targets, outputs)
    return order if good is None else order[~good[order]]


def cards(
    task: TaskSpec,
    samples: Samples,
    specs: Mapping[str, ModalitySpec],
    outputs: Outputs,
    positions: Sequence[int] | None = None,
    limit: int = 12,
) -> list[Card]:
    """Return samples as cards for ``samples_figure``.

    Args:
        task: the task spec.
        samples: with raw values; without them there are no cards.
        specs: modality specs by name; their kinds say how values are drawn.
        outputs: outputs of the model.
        positions: samples to show; the worst ones when not given.
        limit: cards at most.
    """
    if not samples.raw or review(task):
        return []
    chosen = np.asarray(_worst(task, samples, outputs) if positions is None else positions, np.int64)[:limit]
    part = {name: value[chosen] for name, value in outputs.items()}
    good = right(task, samples.targets[chosen], part)
    texts = zip(truths(task, samples.targets[chosen]), answers(task, part), strict=True)
    result = []
    for place, (i, (truth, answer)) in enumerate(zip(chosen, texts, strict=True)):
        images, captions = _drawn(samples.raw[int(i)], specs)
        result.append(Card(images, captions, truth, answer, None if good is None else bool(good[place])))
    return result


def scenes(
    task: TaskSpec,
    samples: Samples,
    specs: Mapping[str, ModalitySpec],
    outputs: Outputs,
    positions: Sequence[int] | None = None,
    limit: int = 6,
) -> list[Scene]:
    """Return samples as the task itself draws them, for ``gallery_figure``; none for a task that is shown as cards.

    Args:
        task: the task spec.
        samples: with raw values; without them there are no pictures.
        specs: modality specs by name.
        outputs: outputs of the model.
        positions: samples to show; the worst ones when not given.
        limit: samples at most.
    """
    own = review(task)
    if own is None or not samples.raw:
        return []
    chosen = np.asarray(_worst(task, samples, outputs) if positions is None else positions, np.int64)[:limit]
    part = {name: value[chosen] for name, value in outputs.items()}
    texts = zip(truths(task, samples.targets[chosen]), answers(task, part), strict=True)
    result = []
    for row, (i, (truth, answer)) in enumerate(zip(chosen, texts, strict=True)):
        frame = {name: value[row] for name, value in part.items()}
        drawn = own.sample_pictures(task, specs, samples.raw[int(i)], samples.targets[i], frame)
        caption = f"{samples.key(int(i))}: true {truth}; found {answer}"
        result.append(Scene(tuple(drawn), caption))
    return result


def _drawn(
    values: Mapping[str, Any], specs: Mapping[str, ModalitySpec]
) -> tuple[tuple[np.ndarray, ...], tuple[str, ...]]:
    images: list[np.ndarray] = []
    captions: list[str] = []
    for name, spec in specs.items():
        value, room = values.get(name), f"mmkeras.modalities.{spec.kind}.picture"
        if value is None:
            captions.append(f"({name} missing)")
        elif importlib.util.find_spec(room):
            module = importlib.import_module(room)
            if hasattr(module, "image"):
                images.append(module.image(value))
            else:
                captions.append(module.caption(value))
    return tuple(images), tuple(captions)
