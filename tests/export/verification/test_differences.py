"""Differences of outputs, batch by batch: exact small examples."""

from __future__ import annotations

import numpy as np
import pytest

from export.verification.differences import Difference, channels
from mmkeras.tasks._moments import Moments


def test_relative_differences_are_to_the_value_and_its_channel_not_to_the_largest_of_all() -> None:
    reference = np.array([[1000.0, 0.5], [990.0, -0.5]])
    got = reference + np.array([[0.005, 0.0], [0.0, 2e-5]])
    difference = Difference("y", Moments.of(reference), np.array([5.0, 0.5]))
    for row in range(2):
        difference.add(reference[row : row + 1], {"y": got[row : row + 1]})
    found = difference.result
    assert difference.not_finite == 0
    assert found.max_abs == pytest.approx(0.005)
    # The second channel is small: its 2e-5 counts more than 0.005 of 1000.
    assert found.relative == pytest.approx(1e-5, rel=1e-3)
    assert found.noise == pytest.approx(0.005 / 5 / np.sqrt(2), rel=1e-3)


@pytest.mark.parametrize("shape", [(30,), (30, 3), (30, 4, 5, 3)])
def test_batches_give_what_the_whole_gives(shape: tuple[int, ...]) -> None:
    rng = np.random.default_rng(0)
    reference = rng.normal(300, 2, shape).astype(np.float32)
    got = reference + rng.normal(0, 0.1, shape).astype(np.float32)
    moments, spread = Moments.of(channels(reference)), np.array(2.0)
    whole, parts = Difference("y", moments, spread), Difference("y", moments, spread)
    whole.add(reference, {"y": got})
    for start in range(0, 30, 7):
        parts.add(reference[start : start + 7], {"y": got[start : start + 7]})
    apart = np.abs(np.float64(got) - np.float64(reference))
    assert whole.result.max_abs == parts.result.max_abs == apart.max()
    assert whole.mean == pytest.approx(apart.mean(), rel=1e-12)
    assert parts.mean == pytest.approx(whole.mean, rel=1e-12)
    assert parts.result.relative == whole.result.relative
    per_channel = np.sqrt(np.mean((channels(apart) / 2.0) ** 2, axis=0))
    assert parts.result.noise == pytest.approx(per_channel.max(), rel=1e-12)
