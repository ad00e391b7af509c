"""Quality and epochs within a time limit, on simulated machines, and the measured step on this one."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import pytest

from mmkeras.core.console import Console
from mmkeras.core.errors import ConfigError
from pipelines._table.time_plan import EXPORT, TimePlan, plan_time, seconds_of, shown
from pipelines._table.timing import Measured

STEPS = {"fast": 0.1, "balanced": 0.4, "best": 2.0}
EPOCHS = {"fast": 20, "balanced": 40, "best": 80}
PROPOSALS = {name: {"name": name, "train": {"epochs": epochs}} for name, epochs in EPOCHS.items()}


def _machine(slower: float) -> Callable[[dict[str, Any]], Measured]:
    def measure(proposed: dict[str, Any]) -> Measured:
        return Measured(10 * slower, STEPS[proposed["name"]] * slower, 1 * slower, batch=32, training=820)

    return measure


def _plan(limit: str, slower: float = 1.0, exports: bool = True) -> TimePlan:
    return plan_time(
        PROPOSALS,
        seconds_of(limit),
        began=time.monotonic(),
        exports=exports,
        console=Console(quiet=True),
        measure=_machine(slower),
    )


@pytest.mark.parametrize(
    ("limit", "quality", "epochs"),
    [
        # 25 steps: epochs of 3.5, 11 and 51 s, 50 s before and after them.
        ("90s", "fast", 10),
        ("3m", "fast", 20),
        ("7m", "balanced", 31),
        ("20m", "balanced", 40),
        ("1h", "best", 66),
        ("2h", "best", 80),
    ],
)
def test_the_largest_quality_that_fits_is_chosen_with_the_epochs_that_do(limit: str, quality: str, epochs: int):
    plan = _plan(limit)
    assert (plan.quality, plan.proposed["train"]["epochs"]) == (quality, epochs)
    each = 25 * STEPS[quality] + 1
    assert plan.expected == pytest.approx(10 + epochs * each - 1 + 10 * EXPORT)
    assert plan.expected <= seconds_of(limit)
    assert 60 * plan.proposed["train"]["max_minutes"] <= seconds_of(limit) - 10 * EXPORT
    assert PROPOSALS[quality]["train"] == {"epochs": EPOCHS[quality]}


def test_a_slower_machine_gets_less_and_a_run_without_export_more():
    assert _plan("7m", slower=3.0).quality == "fast"
    assert _plan("90s", exports=False).proposed["train"]["epochs"] == 20


def test_a_limit_that_is_too_short_says_what_is_needed():
    with pytest.raises(ConfigError, match="one epoch of 'fast' needs about 55 s in all"):
        _plan("40s")


def test_times_are_read_and_shown():
    assert [seconds_of(each) for each in ("90s", "10m", "1h30m", "0.5m", 12)] == [90, 600, 5400, 30, 12]
    for wrong in ("10", "m", "ten minutes", "-5s", "0s", 0, float("nan")):
        with pytest.raises(ConfigError, match="expected a time such as 90s"):
            seconds_of(wrong)
    assert (shown(59.6), shown(45)) == ("1 min 0 s", "45 s")
