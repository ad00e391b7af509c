import warnings

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mmkeras.evaluation.ranked import RankedPrecision
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


@pytest.mark.parametrize("strange", [np.nan, np.inf, -np.inf])
def test_confidence_that_is_not_finite_ranks_as_in_the_score(strange):
    truth = np.asarray([[1, 0], [0, 1], [1, 1]], bool)
    scores = np.asarray([[0.2, 0.9], [strange, 0.1], [0.7, strange]], np.float32)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        found = RankedPrecision(truth, scores)(np.ones((1, 3)))
    assert found[0] == pytest.approx(_score(truth, scores, np.ones(3)))


def test_no_positive_has_no_precision():
    assert np.isnan(RankedPrecision(np.zeros((4, 2), bool), np.ones((4, 2)))(np.ones((1, 4)))).all()
