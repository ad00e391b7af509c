"""Mean and deviation in batches: what numpy gives of the whole."""

from __future__ import annotations

import numpy as np
import pytest

from mmkeras.tasks._moments import Moments, moments
from tests.tasks.helpers import task


def test_batches_are_merged_without_losing_digits() -> None:
    rows = np.random.default_rng(0).normal([1e6, 0.0], [1e-3, 2.0], (100, 2))
    found = Moments.of(rows[:1]) + Moments.of(rows[1:40]) + Moments.of(rows[40:])
    assert found.count == 100
    np.testing.assert_allclose(found.mean, rows.mean(0), rtol=1e-15)
    np.testing.assert_allclose(found.variance, rows.var(0), rtol=1e-6)
    np.testing.assert_allclose(found.mean_square, (rows**2).mean(0), rtol=1e-12)
    np.testing.assert_array_equal(found.largest, np.abs(rows).max(0))
    count, mean, std = moments([rows[:30], rows[:0], rows[30:]])
    assert count == 100
    np.testing.assert_allclose((mean, std), (rows.mean(0), rows.std(0)), rtol=1e-6)
    assert moments([])[0] == 0


def test_an_output_varies_around_the_mean_of_each_channel() -> None:
    spec, _ = task("classification")
    values = np.random.default_rng(0).normal([0, 5, 9], [1, 2, 3], (400, 3))
    spread = spec.spread({"probabilities": Moments.of(values)})["probabilities"]
    assert spread == pytest.approx(np.sqrt(np.mean((values - values.mean(0)) ** 2)))
    steady = spec.spread({"probabilities": Moments.of(np.full((9, 3), -7.0))})["probabilities"]
    assert steady == pytest.approx(0.7)
