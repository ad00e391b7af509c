"""How the top answers of two models differ. numpy only."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from mmkeras.tasks.matching.recall import TIE

__all__ = ["lost_margins"]


def lost_margins(reference: Sequence[np.ndarray], candidate: Sequence[np.ndarray]) -> np.ndarray:
    """Return float (B,): how much closer the reference's top answer is than the candidate's, in the reference.

    Both models search the batch both ways, and the larger loss counts. It is 0 if the top answers are equally close
    (`TIE`), such as copies of one picture. NaN for a sample without valid vectors, which is no answer to others.

    Args:
        reference: vectors of length 1 of the two towers, (B, D) each.
        candidate: those of the other model.
    """
    valid = np.all([np.isfinite(each).all(axis=-1) for each in (*reference, *candidate)], axis=0)
    lost = np.full(len(valid), np.nan)
    if not valid.any():
        return lost
    first, second = ([each[valid] for each in model] for model in (reference, candidate))
    worst = np.zeros(int(valid.sum()))
    for way in (0, 1):
        before, after = (model[way] @ model[1 - way].T for model in (first, second))
        rows = np.arange(len(before))
        gap = before.max(axis=1) - before[rows, after.argmax(axis=1)]
        worst = np.maximum(worst, np.where(gap > TIE, gap, 0.0))
    lost[valid] = worst
    return lost
