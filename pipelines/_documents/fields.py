"""Key fields of receipts as strings from the entities of an answer, and their F1 against the true strings."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from mmkeras.data.sources._key_fields import FIELDS, amount_of, date_of, normalised
from mmkeras.evaluation.draws import Interval

__all__ = ["counts_of", "f1_of", "fields_of", "read_fields"]


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
    """Return the fields of each receipt from outputs (N, ...) and raw values by modality."""
    answers = task.decode(outputs)
    return [
        read_fields(task.quoted(answer, spec.words_of(values[task.reads]))["entities"])
        for answer, values in zip(answers, raw, strict=True)
    ]


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
