"""Calibration by temperature, and withheld answers."""

from __future__ import annotations

import numpy as np
import pytest

from mmkeras.core.errors import DataError
from mmkeras.evaluation.selective import fit_temperature, risk_coverage, selective, sharpened, threshold_for

RNG = np.random.default_rng(0)


def _answers(count: int, too_sure: float) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return probabilities that are ``too_sure`` times as sharp as the truth that is drawn from them."""
    true = sharpened(RNG.dirichlet(np.ones(4), count), 1.0)
    truth = np.array([RNG.choice(4, p=row) for row in true])
    return sharpened(true, 1 / too_sure), truth, np.ones(count)


def test_the_temperature_undoes_confidence_that_is_too_high_and_keeps_every_decision():
    probabilities, truth, weights = _answers(6000, 3.0)
    temperature = fit_temperature(probabilities, truth, weights)
    assert temperature == pytest.approx(3.0, rel=0.1)
    np.testing.assert_array_equal(sharpened(probabilities, temperature).argmax(1), probabilities.argmax(1))
    found = selective((probabilities, truth, weights), _answers(6000, 3.0), 0.2)
    assert found["ece"] < 0.03 < 0.1 < found["ece_before"]


def test_weights_count():
    sharp, calibrated = _answers(3000, 3.0), _answers(3000, 1.0)
    both = [np.concatenate(each) for each in zip(sharp, calibrated, strict=True)]
    both[2][:3000] = 0.0
    assert fit_temperature(both[0], both[1], both[2]) == pytest.approx(1.0, rel=0.1)


def test_risk_and_coverage_by_hand():
    confidence = np.array([0.9, 0.5, 0.8, 0.5])
    right = np.array([True, False, False, True])
    found = risk_coverage(confidence, right, np.ones(4))
    assert found["coverage"] == [0.25, 0.5, 1.0]
    assert found["risk"] == [0.0, 0.5, 0.5]
    assert found["area"] == pytest.approx(0.375)


def test_the_threshold_is_the_lowest_that_keeps_the_risk():
    confidence = np.array([0.9, 0.8, 0.7, 0.6])
    right = np.array([True, True, False, True])
    weights = np.ones(4)
    assert threshold_for(confidence, right, weights, 0.0) == 0.8
    assert threshold_for(confidence, right, weights, 0.25) == 0.6
    assert threshold_for(confidence, ~right, weights, 0.1) is None


def test_answers_are_withheld_until_the_risk_is_kept():
    found = selective(_answers(6000, 2.0), _answers(6000, 2.0), 0.25)
    assert found["risk_of_all"] > 0.3
    assert found["risk"] == pytest.approx(0.25, abs=0.03)
    assert 0.1 < found["coverage"] < 0.7
    hopeless = (np.full((9, 2), 0.5), np.ones(9, int), np.ones(9))
    none = selective(hopeless, hopeless, 0.1)
    assert (none["threshold"], none["coverage"], none["risk"]) == (None, 0.0, None)


def test_an_empty_split_is_named():
    empty = (np.zeros((0, 2)), np.zeros(0, int), np.zeros(0))
    with pytest.raises(DataError, match="the validation split has no samples"):
        selective(empty, _answers(9, 1.0), 0.1)
