"""Key fields of receipts as strings from the entities of an answer, and their F1 against the true strings."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from mmkeras.data.sources._key_fields import FIELDS, amount_of, date_of, normalised
from mmkeras.evaluation.draws import Interval

__all__ = ["LEAST", "counts_of", "f1_of", "fields_of", "read_fields"]

LEAST = 0.02
"""Smallest probability of a date or a total that has no entity."""
_DECIMALS = re.compile(r"\d[.,]\d\d(?!\d)")


def read_fields(entities: Sequence[Mapping[str, Any]]) -> dict[str, str]:
    """Return the value of each field from quoted entities; empty for a field without an entity.

    Of several entities the one of the highest confidence is taken; an address is all entities of the label in reading
    order that are at least half as confident. Of a date and a total the date and the number alone are returned.
    """
    found = dict.fromkeys(FIELDS, "")
    for field in FIELDS:
        own = [entity for entity in entities if entity["label"] == field]
        # An entity whose text has no date or no number cannot be one.
        own = [entity for entity in own if normalised(field, entity["text"])]
        if not own:
            continue
        best = max(own, key=lambda entity: entity["confidence"] or 0.0)
        if field == "address":
            least = 0.5 * (best["confidence"] or 0.0)
            kept = [entity["text"] for entity in own if (entity["confidence"] or 0.0) >= least]
            found[field] = " ".join(kept)
        else:
            found[field] = {"date": date_of, "total": amount_of}.get(field, str)(best["text"])
    return found


def fields_of(task: Any, spec: Any, raw: Sequence[Mapping[str, Any]], outputs: Mapping[str, np.ndarray]) -> list[Any]:
    """Return the fields of each receipt from outputs (N, ...) and raw values by modality.

    A date or total without an entity is the word in the form of one whose tag has the highest probability, if that is
    at least `LEAST`: every receipt has them.
    """
    answers = task.decode(outputs)
    found = []
    for answer, values, probabilities in zip(answers, raw, outputs["tags"], strict=True):
        words = spec.words_of(values[task.reads])
        fields = read_fields(task.quoted(answer, words)["entities"])
        for field in ("date", "total"):
            if not fields[field] and field in task.labels:
                fields[field] = _likely(
                    field, words[: len(probabilities)], probabilities[:, task.tags.numbers[f"B-{field}"]]
                )
        found.append(fields)
    return found


def _likely(field: str, words: Sequence[Any], probabilities: np.ndarray) -> str:
    """Return the value of the word of a field's form with the highest probability; empty without one."""
    form = {"date": date_of, "total": amount_of}[field]
    # A total has decimals: whole numbers are counts.
    fitting = [
        place
        for place, word in enumerate(words)
        if form(word.text) and (field == "date" or _DECIMALS.search(word.text))
    ]
    best = max(fitting, key=lambda place: float(probabilities[place]), default=None)
    return "" if best is None or probabilities[best] < LEAST else form(words[best].text)


def counts_of(found: Sequence[Mapping[str, str]], truth: Sequence[Mapping[str, str]]) -> np.ndarray:
    """Return int64 (N, 4, 3): of each receipt and field whether it is right, found, and there."""
    rows = []
    for answer, true in zip(found, truth, strict=True):
        pairs = [(normalised(field, answer[field]), normalised(field, true[field])) for field in FIELDS]
        rows.append([(bool(a) and a == b, bool(a), bool(b)) for a, b in pairs])
    return np.array(rows, np.int64)


def f1_of(counts: np.ndarray, resamples: int, seed: int) -> dict[str, Any]:
    """Return the F1 over all fields with its 95 % interval by a bootstrap of receipts, and that of each field.

    Args:
        counts: see `counts_of`.
        resamples: of the bootstrap.
        seed: of the bootstrap.
    """

    def f1(sums: np.ndarray) -> np.ndarray:
        return np.asarray(2 * sums[..., 0] / np.maximum(sums[..., 1] + sums[..., 2], 1))

    rng = np.random.default_rng(seed)
    drawn = rng.integers(0, len(counts), (resamples, len(counts)))
    low, high = np.quantile(f1(counts.sum(axis=1)[drawn].sum(axis=1)), (0.025, 0.975))
    whole = Interval(float(f1(counts.sum(axis=(0, 1)))), float(low), float(high))
    by_field = {field: float(f1(counts[:, place].sum(axis=0))) for place, field in enumerate(FIELDS)}
    return {"receipts": len(counts), "f1": whole.to_json(), "by_field": by_field}
