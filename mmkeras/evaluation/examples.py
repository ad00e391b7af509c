"""Single samples: which ones to look at, and how they are shown.

A modality says how it is drawn in ``mmkeras/modalities/<kind>/picture.py``: ``image(value) -> uint8 (H, W,
3)`` or ``caption(value) -> str``. One without that file is left out of the pictures.

A task whose answers are neither labels nor numbers says in ``mmkeras/tasks/<kind>/review.py`` what is true and what was
answered in words, and how a sample is drawn: see `mmkeras.tasks.detection.review`.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from mmkeras.core.rounding import percent
from mmkeras.evaluation.modules import picture_of, review_of
from mmkeras.evaluation.pictures.gallery import Scene
from mmkeras.evaluation.pictures.samples import Card
from mmkeras.evaluation.samples import Samples
from mmkeras.modalities import ModalitySpec
from mmkeras.tasks import TaskSpec
from mmkeras.tasks._contract import Outputs
from mmkeras.tasks._evidence import Evidence, rows_of

__all__ = ["Answered", "answers", "cards", "scenes", "truths", "wrong_samples"]

Answered = Callable[[np.ndarray], Outputs]
"""Positions (n,) of samples -> outputs (n, ...) of the model on them."""
_LONGEST = 80


def _right(task: TaskSpec, evidence: Evidence) -> np.ndarray | None:
    """Return bool (N,) where the decision equals the truth; ``None`` for a task whose answers are numbers."""
    if decisions := task.decisions_of(evidence):
        return np.asarray((decisions.truth == decisions.decided).all(axis=1))
    return np.asarray(task.wrongness(evidence) == 0) if review_of(task.kind) else None


def truths(task: TaskSpec, targets: np.ndarray, evidence: Evidence) -> list[str]:
    """Return what is true of each sample, in words; empty for a task that has no words for it."""
    if own := review_of(task.kind):
        return list(own.truths(task, targets))
    if decisions := task.decisions_of(evidence):
        return [_listed(decisions.labels, row) for row in decisions.truth]
    if numbers := task.numbers_of(evidence):
        return [_numbers(numbers.names, row) for row in numbers.truth]
    return [""] * len(targets)


def answers(task: TaskSpec, outputs: Outputs, evidence: Evidence) -> list[str]:
    """Return what the model says of each sample, in words, with its confidence where it has one."""
    if own := review_of(task.kind):
        return list(own.answers(task, outputs))
    if decisions := task.decisions_of(evidence):
        said = [_listed(decisions.labels, row) for row in decisions.decided]
        sure = task.confidences_of(evidence)
        if sure is None or sure.labels:
            return said
        return [f"{each} ({percent(float(p), 0)} %)" for each, (p,) in zip(said, sure.confidence, strict=True)]
    if numbers := task.numbers_of(evidence):
        return [_numbers(numbers.names, row) for row in numbers.value]
    said = [json.dumps(answer, ensure_ascii=False) for answer in task.decode(outputs)]
    return [each if len(each) <= _LONGEST else f"{each[:_LONGEST]} ..." for each in said]


def _listed(names: Sequence[str], chosen: np.ndarray) -> str:
    return ", ".join(name for name, there in zip(names, chosen, strict=True) if there) or "none"


def _numbers(names: Sequence[str], row: np.ndarray) -> str:
    if len(names) == 1:
        return f"{row[0]:.4g}"
    return ", ".join(f"{name} {value:.4g}" for name, value in zip(names, row, strict=True))


def wrong_samples(
    task: TaskSpec, samples: Samples, evidence: Evidence, answered: Answered, limit: int = 50
) -> list[dict[str, Any]]:
    """Return the worst samples for ``metrics.json``: wrong ones only where answers are right or wrong.

    Returns:
        ``[{"key", "truth", "prediction", "wrongness"}]``, the worst first.
    """
    worst = _worst(task, evidence)[:limit]
    if not len(worst):
        return []
    amount = task.wrongness(evidence)[worst]
    texts = _texts(task, samples, rows_of(evidence, worst), worst, answered(worst))
    return [
        {"key": samples.key(int(i)), "truth": truth, "prediction": answer, "wrongness": float(distance)}
        for i, (truth, answer), distance in zip(worst, texts, amount, strict=True)
    ]


def _worst(task: TaskSpec, evidence: Evidence) -> np.ndarray:
    order = np.argsort(-task.wrongness(evidence), kind="stable")
    good = _right(task, evidence)
    return order if good is None else order[~good[order]]


def _texts(
    task: TaskSpec, samples: Samples, evidence: Evidence, chosen: np.ndarray, outputs: Outputs
) -> list[tuple[str, str]]:
    """Return what is true and what was answered, of the chosen samples."""
    true, said = truths(task, samples.targets[chosen], evidence), answers(task, outputs, evidence)
    return list(zip(true, said, strict=True))


def cards(
    task: TaskSpec,
    samples: Samples,
    specs: Mapping[str, ModalitySpec],
    evidence: Evidence,
    answered: Answered,
    positions: Sequence[int] | None = None,
    limit: int = 12,
) -> list[Card]:
    """Return samples as cards for ``samples_figure``.

    Args:
        task: the task spec.
        samples: with raw values; without them there are no cards.
        specs: modality specs by name; their kinds say how values are drawn.
        evidence: of the model on the samples.
        answered: gives the model's outputs on some of them.
        positions: samples to show; the worst ones when not given.
        limit: cards at most.
    """
    if not samples.raw or review_of(task.kind):
        return []
    chosen = np.asarray(_worst(task, evidence) if positions is None else positions, np.int64)[:limit]
    if not len(chosen):
        return []
    part = rows_of(evidence, chosen)
    good = _right(task, part)
    result = []
    for place, (truth, answer) in enumerate(_texts(task, samples, part, chosen, answered(chosen))):
        images, captions = _drawn(samples.raw[int(chosen[place])], specs)
        result.append(Card(images, captions, truth, answer, None if good is None else bool(good[place])))
    return result


def scenes(
    task: TaskSpec,
    samples: Samples,
    specs: Mapping[str, ModalitySpec],
    evidence: Evidence,
    answered: Answered,
    positions: Sequence[int] | None = None,
    limit: int = 6,
) -> list[Scene]:
    """Return samples as the task itself draws them, for ``gallery_figure``; none for a task that is shown as cards.

    Args:
        task: the task spec.
        samples: with raw values; without them there are no pictures.
        specs: modality specs by name.
        evidence: of the model on the samples.
        answered: gives the model's outputs on some of them.
        positions: samples to show; the worst ones when not given.
        limit: samples at most.
    """
    own = review_of(task.kind)
    if own is None or not samples.raw:
        return []
    chosen = np.asarray(_worst(task, evidence) if positions is None else positions, np.int64)[:limit]
    if not len(chosen):
        return []
    outputs = answered(chosen)
    result = []
    for row, (truth, answer) in enumerate(_texts(task, samples, rows_of(evidence, chosen), chosen, outputs)):
        i = int(chosen[row])
        frame = {name: value[row] for name, value in outputs.items()}
        drawn = own.sample_pictures(task, specs, samples.raw[i], samples.targets[i], frame)
        result.append(Scene(tuple(drawn), f"{samples.key(i)}: true {truth}; found {answer}"))
    return result


def _drawn(
    values: Mapping[str, Any], specs: Mapping[str, ModalitySpec]
) -> tuple[tuple[np.ndarray, ...], tuple[str, ...]]:
    images: list[np.ndarray] = []
    captions: list[str] = []
    for name, spec in specs.items():
        value, shown = values.get(name), picture_of(spec.kind)
        if value is None:
            captions.append(f"({name} missing)")
        elif shown is not None:
            image = shown.image(value)
            if image is None:
                captions.append(shown.caption(value))
            else:
                images.append(image)
    return tuple(images), tuple(captions)
