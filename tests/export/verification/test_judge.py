"""The gates let through what they should, and nothing else."""

from __future__ import annotations

import dataclasses
import math
from typing import Any

import pytest

from export.verification.gates import GATES, Gate, gates_of
from export.verification.judge import judge
from export.verification.report import FileResult
from export.verification.results import OutputDifference, ScenarioResult, SliceResult
from mmkeras.core.errors import ConfigError
from mmkeras.tasks.classification.spec import Spec as Classification
from mmkeras.tasks.regression.spec import Spec as Regression
from tests.tasks.detection import maps


def result(
    diff: float = 0.0, flips: int = 0, change: float = 0.0, bad: int = 0, noise: float = 0.0, **more: Any
) -> ScenarioResult:
    keys = tuple(f"k{i}" for i in range(flips))
    outputs = {"y": OutputDifference(diff, diff, diff, noise)}
    return ScenarioResult(500, diff, diff / 10, keys, 0.9 + change, change, not_finite=bad, outputs=outputs, **more)


def verdict(precision: str, sign: int = 1, tolerance: float = 1e-5, **results: ScenarioResult) -> str:
    return judge(precision, tolerance, {"all": result(), **results}, "accuracy", sign)


@pytest.mark.parametrize("precision", GATES)
def test_an_equal_file_passes_and_one_value_that_is_not_finite_fails_anywhere(precision: str) -> None:
    assert verdict(precision) == ""
    assert "NaN" in verdict(precision, without_image=result(math.nan, bad=1))
    assert "not verified" in judge(precision, 1e-5, {}, "accuracy", 1)
    assert "no output" in verdict(precision, all=dataclasses.replace(result(), outputs={}))


def test_float32_allows_its_tolerance_and_no_flip_in_any_scenario() -> None:
    assert verdict("float32", without_image=result(9e-6)) == ""
    assert "y differs by 2e-05" in verdict("float32", without_image=result(2e-5))
    assert verdict("float32", 1, 1e-4, without_image=result(2e-5)) == ""
    assert "1 of 500" in verdict("float32", empty_text=result(1e-8, flips=1))
    assert "y differs" in verdict("float32", empty_text=result(math.nan))


@pytest.mark.parametrize(
    ("most", "largest", "passes"), [(1e-5, 1e-4, True), (1e-5, 1.1e-4, False), (1.1e-5, 1e-4, False)]
)
def test_float32_allows_one_value_in_100_000_ten_times_its_tolerance(most: float, largest: float, passes: bool) -> None:
    outputs = {"y": OutputDifference(largest, largest, most, 0.0)}
    found = verdict("float32", all=dataclasses.replace(result(), outputs=outputs))
    assert (found == "") == passes
    assert passes or f"without one value in 100,000: relative {most:.2g}" in found


def test_one_output_of_several_fails_by_itself() -> None:
    outputs = {"near": OutputDifference(1e-3, 1e-6, 1e-6, 0.01), "far": OutputDifference(1e-4, 2e-5, 2e-5, 0.6)}
    mixed = dataclasses.replace(result(), outputs=outputs)
    assert verdict("float32", all=mixed).startswith("all: far differs")
    assert verdict("int8", all=mixed) == "all: far: noise 0.6 of its spread, allowed 0.5"


@pytest.mark.parametrize(("precision", "limit"), [("float16", 0.02), ("int8-weights", 0.15), ("int8", 0.5)])
def test_the_noise_of_an_output_is_held_in_every_scenario(precision: str, limit: float) -> None:
    assert verdict(precision, without_text=result(noise=limit)) == ""
    assert "without_text: y: noise" in verdict(precision, without_text=result(noise=limit + 0.01))


def test_float16_allows_half_a_percent_of_flips() -> None:
    assert verdict("float16", all=result(0.1, flips=2)) == ""
    assert "3 of 500" in verdict("float16", without_text=result(0.1, flips=3))


def test_int8_allows_half_a_point_in_all() -> None:
    assert verdict("int8-dynamic", all=result(0.3, flips=9, change=-0.005)) == ""
    assert "0.60 points worse" in verdict("int8-dynamic", all=result(0.3, flips=9, change=-0.006))
    assert verdict("int8-dynamic", all=result(0.3, flips=9, change=0.05)) == ""


@pytest.mark.parametrize(("precision", "elsewhere"), [("int8-weights", 25), ("int8-dynamic", 25), ("int8", 50)])
def test_int8_may_change_few_decisions_in_any_scenario(precision: str, elsewhere: int) -> None:
    assert verdict(precision, all=result(flips=10)) == ""
    assert "11 of 500" in verdict(precision, all=result(flips=11))
    assert verdict(precision, without_image=result(flips=elsewhere)) == ""
    # Yes and no swapped where the text is missing: nearly every decision changes, and the metric hardly does.
    swapped = result(flips=441, change=-0.005, metric_error=0.04)
    assert "441 of 500 decisions changed" in verdict(precision, without_text=swapped)


def test_two_decisions_may_change_among_however_few_samples() -> None:
    few = dataclasses.replace(result(flips=2), samples=20)
    assert verdict("int8", all=few) == ""
    assert "3 of 20" in verdict("int8", all=dataclasses.replace(result(flips=3), samples=20))


def test_a_degraded_scenario_allows_two_standard_errors_and_never_more_than_a_point() -> None:
    def held(change: float, error: float, scenario: str = "without_image") -> str:
        changed = {"all": result(), scenario: result(flips=20, change=change, metric_error=error)}
        return judge("int8", 1e-5, changed, "accuracy", 1)

    assert held(-0.011, 0.003) == ""
    assert "1.20 points worse, allowed 1.10" in held(-0.012, 0.003)
    assert held(-0.015, 0.05) == ""
    assert "1.60 points worse, allowed 1.50" in held(-0.016, 0.05)
    assert held(-0.006, 0.0)


def test_where_a_lower_metric_is_better_a_rise_is_the_drop() -> None:
    assert verdict("int8-dynamic", -1, all=result(0.1, change=0.004)) == ""
    assert "0.60 points worse" in verdict("int8-dynamic", -1, all=result(0.1, change=0.006))
    assert verdict("int8-dynamic", -1, all=result(0.1, change=-0.2)) == ""


def test_calibration_may_grow_little() -> None:
    assert verdict("int8", all=result(calibration_change=0.042)) == ""
    assert "calibration error grows by 5.0 points" in verdict("int8", without_text=result(calibration_change=0.05))
    assert "calibration" in verdict("int8-dynamic", all=result(calibration_change=0.03))
    assert "calibration" in verdict("float16", all=result(calibration_change=math.nan))
    assert verdict("int8", all=result(calibration_change=-0.2)) == ""


def test_a_nan_in_one_scenario_is_not_lost_in_the_summary() -> None:
    file = FileResult("onnx", "float32", scenarios={"all": result(0.1), "empty_text": result(math.nan, bad=2)})
    assert math.isnan(file.max_abs_diff)
    assert file.to_json()["max_abs_diff"] is None
    assert file.to_json()["scenarios"]["all"]["max_abs_diff"] == 0.1


def test_a_task_gated_by_its_metric_counts_no_float16_flips_but_holds_float32_to_them() -> None:
    gates = gates_of(maps.spec())
    assert gates_of(Classification(labels=("a", "b"))) == GATES

    def held(precision: str, **results: ScenarioResult) -> str:
        return judge(precision, 1e-5, {"all": result(), **results}, "mAP", 1, gates)

    assert held("float16", all=result(0.1, flips=400, change=-0.002)) == ""
    assert "0.21 points worse" in held("float16", all=result(0.1, flips=400, change=-0.0021))
    assert held("int8-dynamic", all=result(0.3, flips=400, change=-0.005)) == ""
    assert "noise" in held("int8", all=result(0.3, noise=0.6))
    assert "1 of 500" in held("float32", all=result(1e-7, flips=1))


def test_numbers_are_counted_as_decisions_in_float16_and_not_in_int8() -> None:
    gates = gates_of(Regression(("x",), (), (0.0,), (1.0,), 0.05))
    assert gates["float16"] == GATES["float16"]
    assert (gates["int8"].flips, gates["int8"].flips_elsewhere, gates["int8"].metric_drop) == (None, None, 0.005)


@pytest.mark.parametrize("precision", ["int8", "int8-full", "int8-weights", "int8-dynamic"])
def test_a_budget_takes_the_place_of_the_precisions_own_limits(precision: str) -> None:
    task = Classification(labels=("a", "b"))
    gates = gates_of(task, max_metric_drop=0.1, max_flips=1.0)

    def judged(changed: ScenarioResult, scenario: str = "all") -> str:
        return judge(precision, 1e-5, {"all": result(), scenario: changed}, "accuracy", 1, gates)

    assert judged(result(0.1, flips=5, change=-0.001)) == ""
    assert "6 of 500" in judged(result(0.1, flips=6))
    assert "0.20 points worse" in judged(result(0.1, flips=5, change=-0.002))
    # Without a sensor many samples are near a tie: there the precision's own share holds.
    assert judged(result(0.1, flips=25, change=-0.001), "without_image") == ""
    assert gates["float32"] == GATES["float32"]
    with pytest.raises(ConfigError, match="max_flips: expected a number from 0 to 100, got -1"):
        gates_of(task, max_flips=-1)


def sliced(change: float, flips: int, samples: int, error: float) -> ScenarioResult:
    worst = SliceResult("weather = night", samples, flips, 0.9 + change, change, error)
    best = SliceResult("weather = day", 400, 0, 0.9, 0.0, 0.0)
    return dataclasses.replace(result(0.1, flips=flips), slices=(worst, best))


def test_a_loss_in_one_slice_fails_though_the_whole_holds() -> None:
    assert verdict("int8", all=sliced(-0.06, 6, 100, 0.02)) == ""
    reason = verdict("int8", all=sliced(-0.07, 7, 100, 0.02))
    assert "7.00 points worse on the 100 samples with weather = night, allowed 6.50" in reason
    assert "day" not in reason
    # A large standard error does not excuse a third of a small slice.
    assert "13.33 points worse" in verdict("int8", all=sliced(-4 / 30, 4, 30, 0.09))


def test_a_slice_may_not_change_more_decisions_than_chance_explains() -> None:
    assert verdict("int8", all=sliced(0.0, 5, 30, 0.05)) == ""
    assert "6 decisions changed on the 30 samples" in verdict("int8", all=sliced(0.0, 6, 30, 0.05))


@pytest.mark.parametrize("searching", [False, True])
def test_with_everything_there_chance_excuses_a_quarter_of_a_point_at_most(searching: bool) -> None:
    def judged(change: float, error: float, samples: int = 500) -> str:
        measured = dataclasses.replace(result(0.1, change=change), metric_error=error, samples=samples)
        return judge("int8", 0.0, {"all": measured}, "mAP", 1, searching=searching)

    assert judged(-0.006, 0.001) == ""
    assert "0.62 points worse, allowed 0.60" in judged(-0.0062, 0.001)
    assert judged(-0.0075, 0.01) == ""
    assert "0.76 points worse, allowed 0.75" in judged(-0.0076, 0.01)
    assert judged(-0.015, 0.02, samples=100) == "", "one sample is a whole point"


def test_near_ties_are_set_aside_where_something_is_missing() -> None:
    ties = result(0.01, flips=100, change=-0.03, close=76, held_change=-0.005)
    assert verdict("int8-weights", without_image=ties) == ""
    assert "24 of 500" not in verdict("int8-weights", without_image=ties)
    clear = dataclasses.replace(ties, close=74)
    assert "26 of 500 decisions changed, without near ties, allowed 5.0%" in verdict("int8-weights", empty_text=clear)
    lost = dataclasses.replace(ties, held_change=-0.006)
    assert "0.60 points worse, allowed 0.50" in verdict("int8-weights", without_image=lost)
    assert "100 of 500 decisions changed, allowed 2.0%" in verdict("int8-weights", all=ties)
    assert "with near ties, allowed 2.0%" in verdict("float16", without_image=ties)


def test_swapped_answers_are_no_near_ties_however_unsure_the_model_is() -> None:
    swapped = result(0.01, flips=441, close=441, held_change=0.0)
    assert "441 of 500 decisions changed, with near ties, allowed 25.0%" in verdict("int8", without_text=swapped)


def test_a_search_ignores_what_its_samples_cannot_tell_from_chance() -> None:
    half = {"float16": Gate(flips=0.002)}
    few, more = ({"all": result(0.1, flips=flips)} for flips in (3, 4))  # of 500
    assert judge("float16", 0.0, few, "accuracy", 1, half, searching=True) == ""
    assert "changed" in judge("float16", 0.0, more, "accuracy", 1, half, searching=True)
    assert "changed" in judge("float16", 0.0, few, "accuracy", 1, half)
