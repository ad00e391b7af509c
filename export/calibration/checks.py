"""Compares properties of calibration samples with those of training samples: measurements, pictures, token ids."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

__all__ = ["Check", "check_mask", "check_measurements", "check_pictures", "check_tokens"]

MARGIN = 1.0
"""Allowed distance beyond the training samples' range, on either side, as a multiple of its width."""
OUTSIDE = 0.1
"""Share of the values that may lie further outside."""
SPREAD = 5.0
"""Factor by which a column may be narrower or wider than in training."""
BOUND = 0.8
"""Correlation from which two columns are considered dependent."""
KEPT_CORRELATION = 0.5
"""Share of that correlation that the samples must reach."""
ENOUGH_ROWS = 30
"""Rows needed to estimate a spread and a correlation."""
FLAT = 1.0
"""Standard deviation, in levels of 255, below which a picture is blank."""
KEPT = (0.3, 0.1)
"""Least likeness and axis of a picture, as shares of the way from noise to the training pictures' median."""
KEPT_MIDDLE = 0.3
"""The same for the median of all pictures: single pictures of blurred noise come near it."""
ODD_SHARE = 0.1
"""Share of the pictures that may be odd: a covered lens, a scanned empty page."""
FRAME = 0.99
"""Share of the training samples that must have a property, such as the first token id, for it to count as a rule."""
KEPT_FRAME = 0.9
"""Share of the samples that must follow such a rule."""
KEPT_PAIRS = 1 / 3
"""Least share of known pairs, relative to unseen training texts: texts about other subjects have other pairs."""


@dataclass(frozen=True)
class Check:
    """A measured property and its limits for real data."""

    tensor: str
    what: str
    """The property in words."""
    got: float
    """Measured on the calibration samples."""
    usual: float
    """Measured on the training samples."""
    least: float = -math.inf
    most: float = math.inf

    @property
    def passed(self) -> bool:
        """Whether the number is within its limits; NaN is not."""
        return self.least <= self.got <= self.most

    @property
    def limits(self) -> str:
        """The expected range, in words."""
        if math.isfinite(self.least) and math.isfinite(self.most):
            return f"{self.least:.3g} to {self.most:.3g}"
        return f"at least {self.least:.3g}" if self.most == math.inf else f"at most {self.most:.3g}"

    def __str__(self) -> str:
        """Return a line for people."""
        usual = f"training samples: {self.usual:.3g}"
        return f"{self.tensor}: {self.what}: expected {self.limits} ({usual}), got {self.got:.3g}"


def check_measurements(
    name: str, values: np.ndarray, mask: np.ndarray | None, training: np.ndarray, training_mask: np.ndarray | None
) -> list[Check]:
    """Compare measurements (N, ..., columns) with those of the training split.

    A mask (N, rows) is 1 where a row is real; without a mask every row is.
    """
    rows, known = _rows(values, mask), _rows(training, training_mask)
    checks = _padding(name, values, mask, training, training_mask)
    if len(rows) < ENOUGH_ROWS or len(known) < ENOUGH_ROWS:
        return checks
    low, high = known.min(axis=0), known.max(axis=0)
    margin = MARGIN * (high - low)
    low, high = low - margin, high + margin
    outside = ((rows < low) | (rows > high)).mean(axis=0)
    worst = int(outside.argmax())
    line = f"share of values in column {worst} beyond {low[worst]:.3g} to {high[worst]:.3g}"
    checks.append(Check(name, line, float(outside[worst]), 0.0, most=OUTSIDE))
    spread, usual = rows.std(axis=0), known.std(axis=0)
    varies = usual > 1e-6 * np.maximum(np.abs(known).max(axis=0), 1e-12)
    for column in np.flatnonzero(varies):
        line, expected = f"standard deviation of column {column}", float(usual[column])
        checks.append(Check(name, line, float(spread[column]), expected, expected / SPREAD, expected * SPREAD))
    return checks + _together(name, rows, known, np.flatnonzero(varies))


def _padding(
    name: str, values: np.ndarray, mask: np.ndarray | None, training: np.ndarray, training_mask: np.ndarray | None
) -> list[Check]:
    if mask is None or training_mask is None or values.ndim != 3:
        return []
    behind, usual = (
        np.abs(v[m == 0]).max(axis=-1, initial=0) > 0 for v, m in ((values, mask), (training, training_mask))
    )
    if not len(behind) or not len(usual) or usual.any():
        return []
    return [Check(name, "share of rows that are not 0 though masked", float(behind.mean()), 0.0, most=OUTSIDE)]


def _together(name: str, rows: np.ndarray, known: np.ndarray, columns: np.ndarray) -> list[Check]:
    """Compare columns that are correlated in every scene, such as a distance and its logarithm."""
    if len(columns) < 2:
        return []
    usual = np.corrcoef(known[:, columns], rowvar=False)
    with np.errstate(invalid="ignore", divide="ignore"):
        got = np.corrcoef(rows[:, columns], rowvar=False)
    checks = []
    for first, second in np.argwhere(np.triu(np.abs(usual) >= BOUND, 1)):
        expected = abs(float(usual[first, second]))
        line = f"correlation of columns {columns[first]} and {columns[second]}, taken as positive"
        value = float(got[first, second] * np.sign(usual[first, second]))
        checks.append(Check(name, line, value, expected, least=KEPT_CORRELATION * expected))
    return checks


def _rows(values: np.ndarray, mask: np.ndarray | None) -> np.ndarray:
    """Return float64 (rows, columns) of the real rows."""
    if values.ndim < 2:
        return values.reshape(-1, 1).astype(np.float64)
    if mask is not None and values.shape[:2] == mask.shape:
        values = values[mask > 0]
    return values.reshape(-1, values.shape[-1]).astype(np.float64)


def check_pictures(name: str, pictures: np.ndarray, training: np.ndarray) -> list[Check]:
    """Compare pictures (N, ..., height, width, channels) of any scale with those of the training split."""
    scale = max(float(np.abs(training).max()), 1e-9) / 255
    (shown, flat), (known, usual_flat) = (_measure(each, FLAT * scale) for each in (pictures, training))
    checks = [Check(name, "share of pictures in one plain colour", flat, usual_flat, most=usual_flat + ODD_SHARE)]
    if not len(shown) or not len(known):
        return checks
    channels = pictures.shape[-1]
    # The value of each property for noise.
    properties = {"likeness of neighbouring pixels": 0.0, "share of the colours' variation on one axis": 1 / channels}
    for column, (what, noise) in enumerate(properties.items()):
        # A picture of one channel has one axis, and so has noise.
        if noise == 1:
            continue
        usual, got = float(np.median(known[:, column])), float(np.median(shown[:, column]))
        limit, least = (noise + share * (usual - noise) for share in (KEPT[column], KEPT_MIDDLE))
        checks.append(Check(name, f"median {what}", got, usual, least=least))
        odd, usual_odd = (float((each[:, column] < limit).mean()) for each in (shown, known))
        line = f"share of pictures whose {what} is below {limit:.2f}"
        checks.append(Check(name, line, odd, usual_odd, most=usual_odd + ODD_SHARE))
    return checks


def _measure(pictures: np.ndarray, flat: float) -> tuple[np.ndarray, float]:
    """Return likeness and axis (n, 2) of the pictures that are not blank, and the share of blank pictures.

    A picture is blank where no channel's standard deviation reaches ``flat``. The frames of a clip are joined into one
    picture. Pictures are measured one at a time: 400 large ones are 1 GB as floats.
    """
    found = []
    for each in pictures:
        picture = each.reshape(-1, *each.shape[-2:]).astype(np.float32)
        if picture.std(axis=(0, 1)).max() >= flat:
            found.append((_neighbour_correlation(picture), _colour_axis(picture)))
    return np.asarray(found).reshape(-1, 2), 1 - len(found) / len(pictures)


def _neighbour_correlation(picture: np.ndarray) -> float:
    """Return the correlation of a pixel with the next one to the right and below: near 1 if smooth, 0 for noise."""
    grey = picture.mean(axis=-1)
    grey = grey - grey.mean()
    variance = max(float((grey**2).mean()), 1e-12)
    right, below = (grey[:, 1:] * grey[:, :-1]).mean(), (grey[1:] * grey[:-1]).mean()
    return float((right + below) / 2 / variance)


def _colour_axis(picture: np.ndarray) -> float:
    """Return the share of the channels' variance that lies along one direction: 1 / channels for noise."""
    flat = picture.reshape(-1, picture.shape[-1])
    flat = flat - flat.mean(axis=0)
    powers = np.linalg.eigvalsh(flat.T @ flat)
    return float(powers[-1] / max(float(powers.sum()), 1e-12))


def check_tokens(
    name: str, ids: np.ndarray, mask: np.ndarray, training: np.ndarray, training_mask: np.ndarray
) -> list[Check]:
    """Compare token ids (N, length) with those of the training split; masks are 1 where a token is real."""
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
    unseen = _known_pairs(training[half:], training_mask[half:], training[:half], training_mask[:half])
    known = _known_pairs(ids, mask, training, training_mask)
    if np.isfinite(unseen) and np.isfinite(known):
        line = "share of neighbouring tokens that are one after the other in training texts too"
        checks.append(Check(name, line, known, unseen, least=KEPT_PAIRS * unseen))
    return checks


def check_mask(name: str, mask: np.ndarray, training: np.ndarray) -> list[Check]:
    """Compare masks (N, length) with those of the training split: real tokens and points come first in both."""
    usual = float(_first(training).mean())
    if usual < FRAME:
        return []
    line = "share of masks in which real tokens or points come first"
    return [Check(name, line, float(_first(mask).mean()), usual, least=KEPT_FRAME)]


def _known_pairs(ids: np.ndarray, mask: np.ndarray, training: np.ndarray, training_mask: np.ndarray) -> float:
    """Return the share of neighbouring tokens that are neighbours in the training texts too; NaN without any."""
    known = set(_pairs(training, training_mask))
    found = list(_pairs(ids, mask))
    return sum(pair in known for pair in found) / len(found) if found else float("nan")


def _pairs(ids: np.ndarray, mask: np.ndarray) -> Iterator[tuple[int, int]]:
    # A text of two tokens is empty: it has only its first and last token.
    both = (mask[:, 1:] > 0) & (mask[:, :-1] > 0) & (mask.sum(axis=1, keepdims=True) > 2)
    yield from zip(ids[:, :-1][both].tolist(), ids[:, 1:][both].tolist(), strict=True)


def _ends(ids: np.ndarray, mask: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return the first token and the last real token of each sample with real tokens, and all padding tokens."""
    real = mask > 0
    some = real.any(axis=1)
    last = real.shape[1] - 1 - real[:, ::-1].argmax(axis=1)
    return ids[some, 0], ids[some, last[some]], ids[~real]


def _first(mask: np.ndarray) -> np.ndarray:
    return np.asarray((np.diff(mask.astype(np.int64), axis=1) <= 0).all(axis=1))
