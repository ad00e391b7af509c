"""Regression: standardisation, losses against hand values, scores against scikit-learn, tolerance, units."""

from __future__ import annotations

from typing import Any, Literal

import hypothesis
import keras
import numpy as np
import pytest
import sklearn.metrics as sk
from hypothesis import strategies as st

from mmkeras.core.errors import ConfigError
from mmkeras.modalities import Facts
from mmkeras.tasks.regression.head import RegressionLoss, losses
from mmkeras.tasks.regression.spec import Config, Spec
from tests.tasks.helpers import WIDTH, call, head_model, task

TARGETS = np.array([[50.0, 2.0], [60.0, 1.0]], "float32")
VALUES = np.array([[55.0, 2.0], [30.0, 1.25]], "float32")
ERROR = np.array([[0.5, 0.0], [-3.0, 0.5]])


def _facts(*batches: Any) -> Facts:
    return Facts(targets=lambda: iter([np.asarray(batch) for batch in batches]))


def test_mean_and_spread_come_from_the_training_targets():
    config = Config(names=("a", "b")).completed(_facts([[1.0, 10.0], [3.0, 30.0]]))
    assert (config.mean, config.std) == ((2.0, 20.0), (1.0, 10.0))
    assert config.completed(_facts(np.zeros((3, 2)))) == config
    assert Config(names=("a", "b")).spec(facts=_facts([[1.0, 10.0]], [[3.0, 30.0]])).std == (1.0, 10.0)
    assert Config().spec().std == (1.0,)


def test_targets_that_cannot_be_standardised():
    with pytest.raises(ConfigError, match="nothing to learn: b has the same value in all 2"):
        Config(names=("a", "b")).completed(_facts([[1.0, 5.0], [2.0, 5.0]]))
    with pytest.raises(ConfigError, match=r"training targets \(N, 1\)"):
        Config().completed(_facts(np.zeros((3, 2))))


def test_training_without_mean_and_spread_is_refused():
    with pytest.raises(ConfigError, match="mean and std: expected those of the training targets"):
        losses(Config().spec(), Config())


def test_outputs_are_in_the_units_of_the_target():
    model = head_model("regression")
    model.get_layer("head_standardised").set_weights([np.zeros((WIDTH, 2)), np.array([0.0, 2.0])])
    np.testing.assert_allclose(call(model, {"pooled": np.ones((1, WIDTH))})["value"], [[50.0, 3.0]])


@pytest.mark.parametrize(
    ("kind", "expected"),
    [("mse", ERROR**2), ("mae", np.abs(ERROR)), ("huber", np.array([[0.125, 0.0], [2.5, 0.125]]))],
)
def test_losses_are_in_standard_deviations(kind: Literal["mse", "mae", "huber"], expected: np.ndarray):
    spec, config = task("regression", loss=kind)
    loss = losses(spec, config)["value"]
    assert float(loss(TARGETS, VALUES)) == pytest.approx(expected.mean())
    each = RegressionLoss(std=spec.std, kind=kind, reduction="none")(TARGETS, VALUES)
    np.testing.assert_allclose(keras.ops.convert_to_numpy(each), expected.mean(1))


def test_large_targets_keep_their_digits():
    loss = RegressionLoss(std=[1.0], kind="mae")
    assert float(loss(np.array([[1e6]], "float32"), np.array([[1e6 + 0.25]], "float32"))) == 0.25


def test_encoding_and_answer():
    spec, _ = task("regression")
    np.testing.assert_array_equal(spec.encode({"speed": 1, "distance": "7"}), [7, 1])
    np.testing.assert_array_equal(Config().spec().encode("1.5"), [1.5])
    assert spec.decode({"value": np.array([[1.5, np.nan]], "float32")}) == [
        {"value": {"distance": 1.5, "speed": None}, "units": {"distance": "m", "speed": "m/s"}}
    ]
    assert Config().spec().decode({"value": np.array([[2.0]])}) == [{"value": {"value": 2.0}}]


def test_flips_are_differences_beyond_the_tolerance():
    spec, _ = task("regression", tolerance=0.1)
    reference = {"value": np.array([[50.0, 2.0]] * 4)}
    candidate = {"value": np.array([[50.9, 2.04], [51.1, 2.0], [50.0, 1.94], [48.9, 2.0]])}
    np.testing.assert_array_equal(spec.flips(reference, candidate), [False, True, True, True])


@hypothesis.settings(max_examples=40, deadline=None)
@hypothesis.given(seed=st.integers(0, 10**6), samples=st.integers(2, 30), numbers=st.integers(1, 4))
def test_score_equals_scikit_learn(seed: int, samples: int, numbers: int):
    rng = np.random.default_rng(seed)
    std = rng.uniform(0.5, 5, numbers)
    spec = Spec(tuple(map(str, range(numbers))), (), (0.0,) * numbers, tuple(std), 0.05)
    targets, values = rng.normal(size=(2, samples, numbers))
    weight = rng.uniform(0.1, 2, samples)
    score = spec.score(targets, {"value": values}, weight)
    mae = sk.mean_absolute_error(targets, values, sample_weight=weight, multioutput="raw_values")
    expected = {
        "relative_mae": np.mean(mae / std),
        "mae": mae.mean(),
        "rmse": sk.root_mean_squared_error(targets, values, sample_weight=weight),
        "r2": sk.r2_score(targets, values, sample_weight=weight),
    }
    several = {f"mae_{i}": mae[i] for i in range(numbers)} if numbers > 1 else {}
    assert score == pytest.approx(expected | several)


@pytest.mark.parametrize("value", [3.0, 4.0])
def test_r2_of_a_constant_target(value: float):
    targets, values = np.full((4, 1), 3.0), np.full((4, 1), value)
    assert Config().spec().score(targets, {"value": values})["r2"] == sk.r2_score(targets, values)


def test_nan_makes_every_metric_nan():
    spec, _ = task("regression")
    score = spec.score(TARGETS, {"value": np.array([[np.inf, 2.0], [30.0, np.nan]])})
    assert all(np.isnan(value) for value in score.values())
