"""The most probable legal sequence of tags. numpy only."""

from __future__ import annotations

import numpy as np

__all__ = ["best_tags"]

_LEAST = 1e-12
"""A probability is at least this, so that its logarithm is finite."""


def best_tags(probabilities: np.ndarray, follows: np.ndarray) -> np.ndarray:
    """Return the legal tags with the largest product of probabilities, int64 (B, n).

    Without forbidden pairs it is the most probable tag of each word. Source: Viterbi 1967,
    doi:10.1109/TIT.1967.1054010.

    Args:
        probabilities: of the tags of each word, (B, n, T); a word with values that are not finite has no preference.
        follows: bool (1 + T, T): whether a tag may follow another; the last row is for the first word.
    """
    given = np.asarray(probabilities, np.float64)
    finite = np.isfinite(given).all(axis=-1, keepdims=True)
    scores = np.log(np.clip(np.where(finite, given, 1.0), _LEAST, None))
    samples, length, count = scores.shape
    if follows.all() or not length:
        return scores.argmax(axis=-1)
    allowed = np.where(follows, 0.0, -np.inf)
    total = scores[:, 0] + allowed[-1]
    came = np.zeros((samples, length, count), np.int64)
    for word in range(1, length):
        steps = total[:, :, None] + allowed[None, :-1]
        came[:, word] = steps.argmax(axis=1)
        total = steps.max(axis=1) + scores[:, word]
    found = np.zeros((samples, length), np.int64)
    found[:, -1] = total.argmax(axis=1)
    for word in range(length - 1, 0, -1):
        found[:, word - 1] = came[np.arange(samples), word, found[:, word]]
    return found
