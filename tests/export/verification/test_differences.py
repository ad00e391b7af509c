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
    assert found.max_abs_diff == pytest.approx(0.005)
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
    assert whole.result.max_abs_diff == parts.result.max_abs_diff == apart.max()
    assert whole.mean == pytest.approx(apart.mean(), rel=1e-12)
    assert parts.mean == pytest.approx(whole.mean, rel=1e-12)
    assert parts.result.relative == whole.result.relative
    per_channel = np.sqrt(np.mean((channels(apart) / 2.0) ** 2, axis=0))
    assert parts.result.noise == pytest.approx(per_channel.max(), rel=1e-12)


@pytest.mark.parametrize("samples", [999, 1000, 3500])
def test_the_largest_difference_is_also_given_without_one_value_in_100_000(samples: int) -> None:
    reference = np.zeros((samples, 25, 4), np.float32)
    got = reference.copy()
    wrong = [(0, 0, 0), (1, 7, 1), (samples // 2, 3, 3), (samples - 1, 9, 2), (samples - 1, 24, 3)]
    for place, size in zip(wrong, (5, 1, 4, 3, 2), strict=True):
        got[place] = size * 1e-6
    difference = Difference("y", Moments.of(channels(reference)), np.array(1.0))
    for start in range(0, samples, 100):
        difference.add(reference[start : start + 100], {"y": got[start : start + 100]})
    assert difference.result.relative == pytest.approx(5e-6)
    left_out = samples // 1000
    assert difference.result.relative_most == pytest.approx((5 - left_out) * 1e-6)
