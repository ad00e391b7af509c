"""Single samples for the report: which are shown, and how.

``mmkeras/modalities/<kind>/picture.py`` draws the values of a modality; a modality without it is left out. Answers that
are neither labels nor numbers are put into words and pictures by ``mmkeras/tasks/<kind>/review.py``. See
`mmkeras.evaluation.modules`.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
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
"""Positions (n,) of samples -> the model's outputs (n, ...)."""
_LONGEST = 80


def _right(task: TaskSpec, evidence: Evidence) -> np.ndarray | None:
    """Return bool (N,) where the decision equals the truth; ``None`` if answers are not right or wrong."""
    if decisions := task.decisions_of(evidence):
        return np.asarray((decisions.truth == decisions.decided).all(axis=1))
    return np.asarray(task.wrongness(evidence) == 0) if review_of(task.kind) else None


def truths(task: TaskSpec, targets: np.ndarray, evidence: Evidence) -> list[str]:
    """Return the truth of each sample in words; empty for a task without labels, numbers and ``review.py``."""
    if own := review_of(task.kind):
        return list(own.truths(task, targets))
    if decisions := task.decisions_of(evidence):
        return [_listed(decisions.labels, row) for row in decisions.truth]
    if numbers := task.numbers_of(evidence):
        return [_numbers(numbers.names, row) for row in numbers.truth]
    return [""] * len(targets)


def answers(task: TaskSpec, outputs: Outputs, evidence: Evidence) -> list[str]:
    """Return the model's answer to each sample in words, with its confidence if the task has one."""
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
    """Return the worst samples for ``metrics.json``, or the wrong ones if answers are right or wrong.

    Returns:
        ``[{"key", "truth", "prediction", "wrongness"}]``, the worst first.
    """
    wrongness = task.wrongness(evidence)
    return [
        {"key": samples.key(i), "truth": truth, "prediction": answer, "wrongness": float(wrongness[i])}
        for i, truth, answer, _ in _read(task, samples, evidence, answered, None, limit)
    ]


def _read(
    task: TaskSpec,
    samples: Samples,
    evidence: Evidence,
    answered: Answered,
    positions: Sequence[int] | None,
    limit: int,
) -> Iterator[tuple[int, str, str, dict[str, np.ndarray]]]:
    """Yield position, truth, answer and outputs of samples at positions, or of the worst samples."""
    if positions is None:
        chosen = np.argsort(-task.wrongness(evidence), kind="stable")
        right = _right(task, evidence)
        chosen = chosen if right is None else chosen[~right[chosen]]
    else:
        chosen = np.asarray(positions, np.int64)
    chosen = chosen[:limit]
    if not len(chosen):
        return
    outputs, part = answered(chosen), rows_of(evidence, chosen)
    texts = zip(truths(task, samples.targets[chosen], part), answers(task, outputs, part), strict=True)
    for row, (truth, answer) in enumerate(texts):
        yield int(chosen[row]), truth, answer, {name: value[row] for name, value in outputs.items()}


def cards(
    task: TaskSpec,
    samples: Samples,
    specs: Mapping[str, ModalitySpec],
    evidence: Evidence,
    answered: Answered,
    positions: Sequence[int] | None = None,
    limit: int = 12,
) -> list[Card]:
    """Return samples as cards for ``samples_figure``; empty for a task that `scenes` draws.

    Args:
        task: the task spec.
        samples: with raw values; without them there are no cards.
        specs: modality specs by name; the kind of each decides how its values are drawn.
        evidence: of the model on the samples.
        answered: runs the model on some of the samples.
        positions: samples to show; by default the worst ones.
        limit: most cards.
    """
    if not samples.raw or review_of(task.kind):
        return []
    right = _right(task, evidence)
    return [
        Card(*_drawn(samples.raw[i], specs), truth, answer, None if right is None else bool(right[i]))
        for i, truth, answer, _ in _read(task, samples, evidence, answered, positions, limit)
    ]


def scenes(
    task: TaskSpec,
    samples: Samples,
    specs: Mapping[str, ModalitySpec],
    evidence: Evidence,
    answered: Answered,
    positions: Sequence[int] | None = None,
    limit: int = 6,
) -> list[Scene]:
    """Return samples drawn by the task's ``review.py``, for ``gallery_figure``; the arguments are those of `cards`."""
    review = review_of(task.kind)
    if review is None or not samples.raw:
        return []
    result = []
    for i, truth, answer, outputs in _read(task, samples, evidence, answered, positions, limit):
        drawn = review.sample_pictures(task, specs, samples.raw[i], samples.targets[i], outputs)
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
