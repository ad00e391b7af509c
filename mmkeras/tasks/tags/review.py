"""Entities of documents in words and pictures, for the report: see `mmkeras.evaluation.examples`."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from mmkeras.media.document.drawing import Marked, flowing_boxes, tagged_page
from mmkeras.media.image.pixels import read_rgb
from mmkeras.modalities import ModalitySpec
from mmkeras.modalities._words import Word, WordSpec
from mmkeras.tasks._contract import Outputs
from mmkeras.tasks.tags.scheme import Span
from mmkeras.tasks.tags.spec import Spec

__all__ = ["answers", "sample_pictures", "truths"]

_GAP = 12
_A4 = (210.0, 297.0)
"""Size of a page without a picture: only its words know the true one."""


def truths(task: Spec, targets: np.ndarray) -> list[str]:
    """Return the entities of each document by label: ``2 date, 1 total``."""
    return [_listed(task, task.tags.spans(row)) for row in targets]


def answers(task: Spec, outputs: Outputs) -> list[str]:
    """Return the entities found in each document, like `truths`."""
    return [_listed(task, task.tags.spans(row)) for row in task.decisions(outputs)]


def sample_pictures(
    task: Spec, specs: Mapping[str, ModalitySpec], values: Mapping[str, Any], target: np.ndarray, outputs: Outputs
) -> list[np.ndarray]:
    """Return one picture: the page with its true entities beside the page with those that were found.

    The page is the picture of the first image modality, or its words in their boxes. Words without boxes, those of a
    text, are drawn in lines below the picture.

    Args:
        task: the task.
        specs: modality specs by name.
        values: raw values by modality; without words the page is blank.
        target: the encoded target (N,).
        outputs: probabilities (N, T) of this document.
    """
    value, spec = values.get(task.reads), specs[task.reads]
    words: Sequence[Word] = ()
    if value is not None and isinstance(spec, WordSpec):
        words = spec.words_of(value)[: task.words]
    picture = next((read_rgb(values[name]) for name, each in specs.items() if _shown(each, values.get(name))), None)
    found = task.decisions({name: each[None] for name, each in outputs.items()})[0]
    pages = []
    for tags in (target, found):
        marked = [(span.start, span.stop, task.labels[span.label]) for span in task.tags.spans(tags[: len(words)])]
        pages.append(_page(words, marked, picture))
    return [np.concatenate([pages[0], np.full((len(pages[0]), _GAP, 3), 255, np.uint8), pages[1]], axis=1)]


def _shown(spec: ModalitySpec, value: Any) -> bool:
    return spec.kind == "image" and value is not None


def _page(words: Sequence[Word], marked: list[Marked], picture: Any) -> np.ndarray:
    texts = [word.text for word in words]
    if all(word.box is not None for word in words):
        boxes = np.array([word.box for word in words], np.float64).reshape(-1, 4)
        return tagged_page(texts, boxes, _A4, marked, picture)
    boxes, height = flowing_boxes(texts)
    text = tagged_page(texts, boxes / [520, height, 520, height], (520, height), marked)
    if picture is None:
        return text
    above = np.asarray(picture.resize((max(1, picture.width * 200 // picture.height), 200)), np.uint8)[
        :, : text.shape[1]
    ]
    above = np.pad(above, ((0, 0), (0, text.shape[1] - above.shape[1]), (0, 0)), constant_values=255)
    return np.concatenate([above, text])


def _listed(task: Spec, spans: list[Span]) -> str:
    counts = Counter(task.labels[span.label] for span in spans)
    return ", ".join(f"{counts[name]} {name}" for name in task.labels if counts[name]) or "nothing"
