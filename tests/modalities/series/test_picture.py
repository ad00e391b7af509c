"""Plots of series."""

from __future__ import annotations

import numpy as np

from mmkeras.modalities.series.picture import caption, image
from mmkeras.modalities.series.values import write_npy


def _columns(picture: np.ndarray, colour: tuple[int, int, int]) -> np.ndarray:
    """Return whether each column has ink near a colour."""
    return (np.abs(picture.astype(int) - colour).sum(axis=-1) < 60).any(axis=0)


def test_a_line_for_each_feature_with_gaps_where_numbers_are_missing() -> None:
    steps = np.stack([np.arange(60.0), -(np.arange(60.0) ** 2)], axis=1)
    whole = image(write_npy(steps))
    assert whole is not None
    assert (whole.shape, whole.dtype) == ((240, 360, 3), np.uint8)
    for colour in ((0, 114, 178), (213, 94, 0)):  # where the lines cross, one covers the other
        assert _columns(whole, colour)[20:340].mean() > 0.95
    steps[20:40, 0] = np.nan
    gap = image(steps)
    assert gap is not None
    assert not _columns(gap, (0, 114, 178))[150:210].any()
    assert _columns(gap, (0, 114, 178))[250:340].all()


def test_one_step_a_constant_and_a_feature_without_numbers_are_drawn() -> None:
    for value in ("5", [2.0, 2.0, None], np.array([[1.0, np.nan], [2.0, np.nan]])):
        assert image(value) is not None


def test_a_value_by_column_is_described() -> None:
    assert image({"low": [1, 2], "high": [3, 4]}) is None
    assert caption({"low": [1, 2], "high": [3, 4]}) == "low, high"
