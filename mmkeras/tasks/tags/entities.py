"""Entities of an answer: words, label, confidence, and their text and box in the document. numpy only."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from mmkeras.modalities._words import Word
from mmkeras.tasks.tags.scheme import Scheme

__all__ = ["entities", "quoted"]


def entities(scheme: Scheme, tags: np.ndarray, probabilities: np.ndarray) -> list[dict[str, Any]]:
    """Return the entities of decoded tags (n,) as ``{"label", "start", "stop", "confidence"}``, in order.

    The confidence is the lowest of the tags' probabilities (n, T); None if one is not finite.
    """
    own = np.take_along_axis(probabilities, tags[:, None], -1)[:, 0].astype(np.float64)
    found = []
    for span in scheme.spans(tags):
        lowest = float(own[span.start : span.stop].min())
        found.append(
            {
                "label": scheme.labels[span.label],
                "start": span.start,
                "stop": span.stop,
                "confidence": lowest if np.isfinite(lowest) else None,
            }
        )
    return found


def quoted(answer: dict[str, Any], words: Sequence[Word]) -> dict[str, Any]:
    """Return an answer with ``text`` of each entity and ``box``, around its words, as shares of the page.

    ``box`` is None where words have no box. Entities beyond the words, on padding, are left out.
    """
    result = []
    for entity in answer["entities"]:
        own = words[entity["start"] : entity["stop"]]
        if not own:
            continue
        boxes = [word.box for word in own if word.box is not None]
        around = None
        if len(boxes) == len(own):
            sides = np.array(boxes)
            around = [float(side) for side in (*sides[:, :2].min(axis=0), *sides[:, 2:].max(axis=0))]
        result.append({**entity, "text": " ".join(word.text for word in own), "box": around})
    return {**answer, "entities": result}
