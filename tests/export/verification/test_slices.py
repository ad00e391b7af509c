"""Slices: what an exported file loses on a part of the data."""

from __future__ import annotations

import numpy as np

from export.verification.slices import Slices
from mmkeras.tasks.classification.spec import Spec

TASK = Spec(labels=("a", "b"))


def said(targets: np.ndarray, labels: np.ndarray) -> dict[str, np.ndarray]:
    """Return the evidence of chosen labels."""
    return TASK.evidence(targets, {"probabilities": np.eye(2, dtype=np.float32)[labels]})


def test_the_slice_that_lost_most_comes_first_and_small_ones_are_left_out() -> None:
    targets = np.tile([0, 1], 100)
    weather = np.array(["day"] * 120 + ["night"] * 70 + ["fog"] * 10)
    columns = [{"weather": value, "always": "the same"} for value in weather]
    slices = Slices(TASK, columns, np.ones(200), np.arange(200))
    file = targets.copy()
    # Seven wrong at night, and all of fog.
    file[120:127] = 1 - file[120:127]
    file[190:] = 1 - file[190:]
    night, day = slices.compare(said(targets, targets), said(targets, file), file != targets)
    assert (night.name, night.samples, night.flips) == ("weather = night", 70, 7)
    np.testing.assert_allclose([night.metric, night.metric_change], [0.9, -0.1])
    assert (day.name, day.flips, day.metric_change) == ("weather = day", 0, 0.0)


def test_data_without_columns_has_no_slices() -> None:
    targets = np.tile([0, 1], 50)
    slices = Slices(TASK, [{}] * 100, np.ones(100), np.arange(100))
    assert slices.compare(said(targets, targets), said(targets, 1 - targets), np.ones(100, bool)) == ()
