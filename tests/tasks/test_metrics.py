import warnings

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn import metrics as sk

from mmkeras.tasks._metrics import RankedPrecision, mean_of_known, r2, ratio, weighted_rows
from mmkeras.tasks.multilabel.spec import Spec as Multilabel


def _score(truth: np.ndarray, scores: np.ndarray, weights: np.ndarray) -> float:
    labels = tuple(f"label {i}" for i in range(truth.shape[1]))
    task = Multilabel(labels, (0.5,) * len(labels))
    return task.score(truth.astype(np.float32), {"probabilities": scores}, weights)["mean_average_precision"]


@settings(max_examples=30, deadline=None)
@given(samples=st.integers(1, 30), steps=st.integers(1, 8), seed=st.integers(0, 1000))
def test_every_row_is_the_metric_under_its_weights(samples, steps, seed):
    rng = np.random.default_rng(seed)
    truth = rng.random((samples, 3)) < 0.3
    scores = (rng.integers(0, steps, (samples, 3)) / steps).astype(np.float32)  # few steps: many ties
    weights = rng.integers(0, 3, (4, samples)).astype(np.float64)
    weights[:, 0] += 0.5
    found = RankedPrecision(truth, scores)(weights)
    expected = [_score(truth, scores, row) for row in weights]
    np.testing.assert_allclose(found, expected, rtol=1e-12)
    for row, value in zip(weights, found, strict=True):
        theirs = [
            sk.average_precision_score(truth[:, i], scores[:, i], sample_weight=row)
            for i in range(3)
            if (truth[:, i] * row).any()
        ]
        assert value == pytest.approx(np.mean(theirs) if theirs else np.nan, nan_ok=True)


@pytest.mark.parametrize("strange", [np.nan, np.inf, -np.inf])
def test_confidence_that_is_not_finite_ranks_as_in_the_score(strange):
    truth = np.asarray([[1, 0], [0, 1], [1, 1]], bool)
    scores = np.asarray([[0.2, 0.9], [strange, 0.1], [0.7, strange]], np.float32)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        found = RankedPrecision(truth, scores)(np.ones((1, 3)))
    assert found[0] == pytest.approx(_score(truth, scores, np.ones(3)))


@pytest.mark.parametrize("strange", [np.nan, np.inf, -np.inf])
def test_confidences_that_are_not_finite_are_ties(strange):
    truth, scores = np.asarray([[1], [0], [1], [0]], bool), np.asarray([[strange], [strange], [0.5], [0.5]])
    finite = np.where(np.isfinite(scores), scores, 9.0 if strange == np.inf else -9.0)
    assert RankedPrecision(truth, scores)(np.ones((1, 4))) == RankedPrecision(truth, finite)(np.ones((1, 4)))


def test_no_positive_has_no_precision():
    assert np.isnan(RankedPrecision(np.zeros((4, 2), bool), np.ones((4, 2)))(np.ones((1, 4)))).all()


def test_a_mean_of_what_is_known():
    values = np.array([[1.0, np.nan, 3.0], [np.nan, np.nan, np.nan]])
    np.testing.assert_array_equal(mean_of_known(values), [2.0, np.nan])
    np.testing.assert_array_equal(ratio(np.array([1.0, 1.0]), np.array([2.0, 0.0])), [0.5, np.nan])


@pytest.mark.parametrize(("error", "expected"), [(0.0, 1.0), (0.5, 0.0)])
@pytest.mark.parametrize("kind", ["float32", "float64"])
def test_r2_of_a_resample_whose_targets_are_all_alike(error, expected, kind):
    """Rounding of the sums leaves a spread that is not 0."""
    weights, target = np.full(50, 0.1, kind), np.full(50, 0.3, kind)
    each = np.full(50, error**2, kind), target, target**2
    squares, first, second = (np.asarray(weights @ row, np.float64) for row in each)
    assert r2(squares, first, second, np.asarray(weights.sum(), np.float64)) == expected


def test_whole_weights_repeat_rows_and_other_weights_stay():
    sample = np.array([0, 0, 1, 2])
    rows, share = weighted_rows(sample, np.array([2.0, 0.0, 1.0]))
    assert (rows.tolist(), share.tolist()) == ([0, 0, 1, 1, 3], [1.0] * 5)
    rows, share = weighted_rows(sample, np.array([0.5, 0.0, 1.0]))
    assert (rows.tolist(), share.tolist()) == ([0, 1, 3], [0.5, 0.5, 1.0])
