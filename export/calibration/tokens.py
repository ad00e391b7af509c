"""What tells a text from random ids: its frame of special tokens, its padding, and which tokens follow each other."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from export.calibration.checks import Check

__all__ = ["check_mask", "check_tokens", "known_pairs"]

FRAME = 0.99
"""Share of the training samples from which a rule of the frame counts as one."""
KEPT_FRAME = 0.9
"""Share of the samples that must keep it."""
KEPT_PAIRS = 1 / 3
"""Share of what unseen training texts reach that must be reached: other subjects have other pairs."""


def check_tokens(
    name: str, ids: np.ndarray, mask: np.ndarray, training: np.ndarray, training_mask: np.ndarray
) -> list[Check]:
    """Compare token ids with those of the training split.

    Args:
        name: of the tensor.
        ids: (N, length).
        mask: (N, length), 1 where a token is real.
        training: ids of training samples.
        training_mask: their mask.
    """
    checks = []
    for what, usual, got in zip(
        ("begin", "end", "are padded"), _ends(training, training_mask), _ends(ids, mask), strict=True
    ):
        values, counts = np.unique(usual, return_counts=True)
        share = float(counts.max() / counts.sum()) if len(counts) else 0.0
        if share >= FRAME and len(got):
            token = int(values[counts.argmax()])
            kept = float((got == token).mean())
            checks.append(Check(name, f"share of samples that {what} with id {token}", kept, share, least=KEPT_FRAME))
    half = len(training) // 2
    unseen = known_pairs(training[half:], training_mask[half:], training[:half], training_mask[:half])
    known = known_pairs(ids, mask, training, training_mask)
    if np.isfinite(unseen) and np.isfinite(known):
        line = "share of tokens that training texts have one after the other"
        checks.append(Check(name, line, known, unseen, least=KEPT_PAIRS * unseen))
    return checks


def check_mask(name: str, mask: np.ndarray, training: np.ndarray) -> list[Check]:
    """Compare masks (N, length) with those of the training split: real tokens and points come first in both."""
    usual = float(_first(training).mean())
    if usual < FRAME:
        return []
    line = "share of masks in which what is real comes first"
    return [Check(name, line, float(_first(mask).mean()), usual, least=KEPT_FRAME)]


def known_pairs(ids: np.ndarray, mask: np.ndarray, training: np.ndarray, training_mask: np.ndarray) -> float:
    """Return the share of neighbouring tokens that stand one after the other in the training texts; NaN without any."""
    known = set(_pairs(training, training_mask))
    found = list(_pairs(ids, mask))
    return sum(pair in known for pair in found) / len(found) if found else float("nan")


def _pairs(ids: np.ndarray, mask: np.ndarray) -> Iterator[tuple[int, int]]:
    # A text of two tokens is an empty one: its frame alone.
    both = (mask[:, 1:] > 0) & (mask[:, :-1] > 0) & (mask.sum(axis=1, keepdims=True) > 2)
    yield from zip(ids[:, :-1][both].tolist(), ids[:, 1:][both].tolist(), strict=True)


def _ends(ids: np.ndarray, mask: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return the first token and the last real one of each sample that has any, and what stands behind."""
    real = mask > 0
    some = real.any(axis=1)
    last = real.shape[1] - 1 - real[:, ::-1].argmax(axis=1)
    padded = ids[~real]
    return ids[some, 0], ids[some, last[some]], padded


def _first(mask: np.ndarray) -> np.ndarray:
    return np.asarray((np.diff(mask.astype(np.int64), axis=1) <= 0).all(axis=1))
