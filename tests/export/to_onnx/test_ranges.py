"""The ranges of int8: one pass over the samples, and a limit that pays a few cut values for finer steps."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from export.to_onnx.ranges import LEVELS, Magnitudes


def of(*parts: np.ndarray) -> Magnitudes:
    magnitudes = Magnitudes()
    for part in parts:
        magnitudes.add(part)
    return magnitudes


def error(values: np.ndarray, limit: float) -> float:
    """What int8 with this limit really does to the values."""
    step = limit / LEVELS
    return float(np.mean((np.clip(np.rint(values / step), -LEVELS, LEVELS) * step - values) ** 2))


def test_even_values_are_all_kept() -> None:
    values = np.random.default_rng(0).uniform(-3, 3, 100_000).astype("float32")
    assert of(values).limit() == pytest.approx(3, rel=0.01)


@pytest.mark.parametrize("tail", ["normal", "laplace", "standard_t"])
def test_the_limit_errs_less_than_the_largest_value_and_little_more_than_the_best(tail: str) -> None:
    rng = np.random.default_rng(0)
    values = (rng.standard_t(3, 50_000) if tail == "standard_t" else getattr(rng, tail)(size=50_000)).astype("float32")
    magnitudes = of(*np.split(values, 10))
    assert magnitudes.largest == np.abs(values).max()
    best = min(error(values, limit) for limit in np.linspace(0.05, 1, 200) * magnitudes.largest)
    assert error(values, magnitudes.limit()) <= 1.05 * best
    assert error(values, magnitudes.limit()) < error(values, magnitudes.largest)


def test_one_stray_value_does_not_take_the_steps_of_all_others() -> None:
    values = np.random.default_rng(0).normal(size=100_000).astype("float32")
    assert of(values, np.array([200.0])).limit() < 200


def test_zeros_cost_nothing_and_change_nothing() -> None:
    values = np.random.default_rng(0).normal(size=10_000).astype("float32")
    assert of(np.zeros(100_000, "float32"), values).limit() == of(values).limit()
    assert of(np.zeros(5, "float32")).limit() == 0
    assert of(np.zeros((0, 3), "float32")).limit() == 0


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_what_is_not_finite_is_refused(value: float) -> None:
    with pytest.raises(ValueError, match="NaN or infinite"):
        of(np.array([1.0, value]))


@settings(max_examples=50, deadline=None)
@given(arrays.arrays(np.float32, st.integers(1, 50), elements=st.floats(-(2.0**127), 2.0**127, width=32)), st.randoms())
def test_any_values_in_any_order_have_a_limit_within_them(values: np.ndarray, random: object) -> None:
    parts = [values[i : i + 1] for i in range(len(values))]
    random.shuffle(parts)  # type: ignore[attr-defined]
    limit = of(*parts).limit()
    assert 0 <= limit <= np.abs(values).max()
    assert (limit > 0) == bool(np.any(np.abs(values) > 0))
