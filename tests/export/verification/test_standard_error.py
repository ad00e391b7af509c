"""Standard errors of the task's metric: known answers, groups, and samples that a redraw may lack."""

from __future__ import annotations

import numpy as np
import pytest

from export.verification.standard_error import level_error, metric_error
from mmkeras.tasks.classification.spec import Spec as Classification
from tests.tasks.detection import maps

TASK = Classification(labels=("a", "b"))


def answers(right: np.ndarray, targets: np.ndarray) -> dict[str, np.ndarray]:
    """Return the evidence of answers that are right where said."""
    outputs = {"probabilities": np.eye(2, dtype=np.float32)[np.where(right, targets, 1 - targets)]}
    return TASK.evidence(targets, outputs)


def test_it_is_that_of_the_difference_on_the_same_samples() -> None:
    """Accuracy has it in closed form."""
    rng = np.random.default_rng(0)
    targets, weights, alone = rng.integers(0, 2, 400), np.ones(400), np.arange(400)
    right = rng.random(400) < 0.7
    flipped = np.where(alone < 40, ~right, right)
    reference, other = answers(right, targets), answers(flipped, targets)
    found = metric_error(TASK, weights, alone, reference, other)
    change = np.float64(flipped) - right
    assert found == pytest.approx(change.std() / 20, rel=0.25)
    assert metric_error(TASK, weights, alone, reference, reference) == 0.0
    assert level_error(TASK, weights, alone, reference) == pytest.approx(right.std() / 20, rel=0.25)


def test_samples_of_one_group_are_drawn_together() -> None:
    """Twenty groups of twenty that all change or all stay tell no more than twenty samples."""
    rng = np.random.default_rng(1)
    groups = np.repeat(np.arange(20), 20)
    targets, weights = rng.integers(0, 2, 400), np.ones(400)
    right = np.ones(400, bool)
    other = answers(np.repeat(np.arange(20) >= 4, 20), targets)
    grouped = metric_error(TASK, weights, groups, answers(right, targets), other)
    single = metric_error(TASK, weights, np.arange(400), answers(right, targets), other)
    assert grouped == pytest.approx(0.4 / np.sqrt(20), rel=0.25)
    assert single == pytest.approx(0.4 / np.sqrt(400), rel=0.25)


def test_weights_count() -> None:
    targets, alone = np.tile([0, 1], 100), np.arange(200)
    right = np.ones(200, bool)
    other = np.where(alone < 40, False, True)
    weights = np.where(alone < 40, 0.0, 1.0)
    assert metric_error(TASK, weights, alone, answers(right, targets), answers(other, targets)) == 0.0


@pytest.mark.parametrize(("seen", "empty"), [(3, 1), (1, 11)])
def test_a_redraw_without_any_object_does_not_spoil_it(seen: int, empty: int) -> None:
    """Among few samples a redraw may hold none of those with an object; their metric does not exist."""
    task = maps.spec()
    targets = np.stack(
        [
            task.encode({"boxes": maps.random_boxes(np.random.default_rng(i), 4 if i < seen else 0)})
            for i in range(seen + empty)
        ]
    )
    reference = maps.perfect_maps(task, targets)
    other = {name: np.where(values > 0.5, values * 0.9, values) for name, values in reference.items()}
    sides = [task.evidence(targets, each) for each in (reference, other)]
    found = metric_error(task, np.ones(len(targets)), np.arange(len(targets)), *sides)
    assert np.isfinite(found)
