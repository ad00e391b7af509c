"""What intervals of few groups cover, on simulated data: the same draws every time."""

from dataclasses import replace

import numpy as np
import pytest

from mmkeras.evaluation.draws import Draws, Support
from mmkeras.evaluation.intervals import Bootstrap
from tests.coverage import __main__ as program
from tests.coverage.__main__ import Setting, coverage
from tests.coverage.grouped_data import PROBLEMS, Evaluation, group_sizes
from tests.evaluation.problems import scored

AP = "mean_average_precision"


def several_labels(groups: int, seed: int) -> tuple[Evaluation, np.ndarray]:
    """Return a simulated evaluation and the group of each of its samples."""
    rng = np.random.default_rng(seed)
    of = np.repeat(np.arange(groups), group_sizes(rng, groups, 8))
    return PROBLEMS["several labels"](rng, of, 1.0), of


def test_mean_average_precision_of_few_groups_is_covered():
    # 100 resamples of few groups alone hold the truth too rarely; the jackknife and the groups' influence mend it.
    drawn, _ = several_labels(20_000, seed=1000)
    truth = drawn.task.score(drawn.targets, drawn.first)[AP]
    held = {"as it is": 0, "of the resamples alone": 0}
    for seed in range(150):
        drawn, of = several_labels(20, seed)
        draws = scored(Bootstrap(100, seed=seed), drawn.task, drawn.targets, drawn.first, None, of, only=(AP,))
        for name, each in zip(held, (draws, replace(draws, left_out={})), strict=True):
            interval = each.interval(AP)
            held[name] += interval.low <= truth <= interval.high
    assert held["as it is"] >= 0.9 * 150
    assert held["as it is"] >= held["of the resamples alone"] + 3


def test_differences_of_few_groups_are_not_too_wide(monkeypatch):
    monkeypatch.setattr(program, "MANY", (20_000, 20_000))
    found = coverage("regression", Setting(10, 8, 1.0), 300)
    assert 0.93 <= found["difference of r2"].coverage <= 0.975
    assert found["difference of mae"].coverage >= 0.92


def _draws(left_out: list[float]) -> Draws:
    groups = len(left_out)
    rng = np.random.default_rng(0)
    return Draws(
        values={"own": 1.0},
        draws={"own": rng.normal(1, 0.5, 100)},
        methods={"own": "bootstrap"},
        confidence=0.95,
        support=Support(groups, groups / 2),
        left_out={"own": np.asarray(left_out)},
    )


def test_a_difference_takes_the_error_of_the_jackknife():
    spread = np.linspace(0.9, 1.1, 9)
    zero = Draws(
        {"own": 0.0}, {"own": np.zeros(100)}, {"own": "bootstrap"}, 0.95, Support(9, 4.5), {}, {"own": spread * 0}
    )
    expected = np.sqrt(8 / 9 * np.square(spread - 1).sum())
    assert _draws(spread.tolist()).difference_error(zero, "own") == pytest.approx(expected)


def test_a_difference_that_needs_one_group_takes_the_resamples():
    # Without the last group the metric does not exist, so that the jackknife cannot tell how much the group moves it.
    spread = [1.0] * 8 + [np.nan]
    zero = Draws(
        {"own": 0.0}, {"own": np.zeros(100)}, {"own": "bootstrap"}, 0.95, Support(9, 4.5), {}, {"own": np.zeros(9)}
    )
    found = _draws(spread)
    assert found.difference_error(zero, "own") == pytest.approx(found.draws["own"].std() * np.sqrt(9 / 8))
