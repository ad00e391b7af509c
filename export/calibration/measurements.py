"""What tells measurements from noise: the range and spread of every column, and columns that belong together."""

from __future__ import annotations

import numpy as np

from export.calibration.checks import Check

__all__ = ["check_measurements"]

ROOM = 1.0
"""Values may lie beyond those of the training samples by so many times their span, on either side."""
OUTSIDE = 0.1
"""Share of the values that may lie further out."""
SPREAD = 5.0
"""Factor by which a column may be narrower or wider than in training."""
BOUND = 0.8
"""Correlation from which two columns belong together, whatever the scene."""
KEPT = 0.5
"""Share of that correlation that must be left."""
ENOUGH = 30
"""Rows from which a spread and a correlation can be told."""


def check_measurements(
    name: str, values: np.ndarray, mask: np.ndarray | None, training: np.ndarray, training_mask: np.ndarray | None
) -> list[Check]:
    """Compare measurements with those of the training split.

    Args:
        name: of the tensor.
        values: (N, ..., columns).
        mask: (N, rows), 1 where a row is real; None where all are.
        training: values of training samples.
        training_mask: their mask.
    """
    rows, known = _rows(values, mask), _rows(training, training_mask)
    checks = _padding(name, values, mask, training, training_mask)
    if len(rows) < ENOUGH or len(known) < ENOUGH:
        return checks
    low, high = known.min(axis=0), known.max(axis=0)
    margin = ROOM * (high - low)
    low, high = low - margin, high + margin
    outside = ((rows < low) | (rows > high)).mean(axis=0)
    worst = int(outside.argmax())
    line = f"share of values in column {worst} beyond {low[worst]:.3g} to {high[worst]:.3g}"
    checks.append(Check(name, line, float(outside[worst]), 0.0, most=OUTSIDE))
    spread, usual = rows.std(axis=0), known.std(axis=0)
    varies = usual > 1e-6 * np.maximum(np.abs(known).max(axis=0), 1e-12)
    for column in np.flatnonzero(varies):
        line = f"standard deviation of column {column}"
        checks.append(
            Check(
                name, line, float(spread[column]), float(usual[column]), usual[column] / SPREAD, usual[column] * SPREAD
            )
        )
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
    """Columns that say the same in two ways, such as a distance and its logarithm, do so in every scene."""
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
        checks.append(Check(name, line, value, expected, least=KEPT * expected))
    return checks


def _rows(values: np.ndarray, mask: np.ndarray | None) -> np.ndarray:
    """Return float64 (rows, columns) of what is real."""
    if values.ndim < 2:
        return values.reshape(-1, 1).astype(np.float64)
    if mask is not None and values.shape[:2] == mask.shape:
        values = values[mask > 0]
    return values.reshape(-1, values.shape[-1]).astype(np.float64)
