"""What is measured of a file: each output by itself, under the samples' weights, on their groups."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from export.source import Source
from export.verification.results import ScenarioResult
from export.verification.verify import Case, Reference

pytestmark = pytest.mark.tfio


@pytest.fixture(scope="module")
def reference(source: Source) -> Reference:
    return Reference(dataclasses.replace(source, samples=source.samples[:16]))


def test_an_equal_file_differs_by_nothing(reference: Reference) -> None:
    case = reference.cases[0]
    found = reference.compare(case, case.outputs)
    assert (found.max_abs_diff, found.flips, found.metric_change, found.metric_error) == (0.0, 0, 0.0, 0.0)
    assert found.calibration_change == 0.0
    assert found.outputs["probabilities"].noise == 0.0


def test_the_weights_of_samples_count_in_the_exported_metric(source: Source) -> None:
    """A file that is wrong on samples that weigh nothing has lost nothing; the other half of them is everything."""
    samples = [dataclasses.replace(s, weight=float(row % 2)) for row, s in enumerate(source.samples[:16])]
    reference = Reference(dataclasses.replace(source, samples=samples))
    case = reference.cases[0]
    light = np.arange(16) % 2 == 0
    rolled = {name: np.where(light[:, None], np.roll(v, 1, -1), v) for name, v in case.outputs.items()}
    found = reference.compare(case, rolled)
    assert found.flips == 8
    assert (found.metric_change, found.calibration_change) == (0.0, 0.0)
    heavy = {name: np.where(light[:, None], v, np.roll(v, 1, -1)) for name, v in case.outputs.items()}
    assert reference.compare(case, heavy).metric_change < -0.5


def test_a_temperature_shows_in_the_calibration_and_not_in_the_decisions(reference: Reference) -> None:
    case = reference.cases[0]
    logits = np.log(case.outputs["probabilities"]) / 4
    soft = np.exp(logits) / np.exp(logits).sum(-1, keepdims=True)
    found = reference.compare(case, {"probabilities": soft})
    assert found.flips == 0
    assert found.calibration_change is not None
    assert found.calibration_change > 0.1


def test_relative_differences_are_to_the_value_and_its_channel_not_to_the_largest_of_all() -> None:
    from export.verification.verify import _difference

    reference = np.array([[1000.0, 0.5], [990.0, -0.5]])
    got = reference + np.array([[0.005, 0.0], [0.0, 2e-5]])
    found, _, bad = _difference("y", reference, got, np.array([5.0, 0.5]), ["y"])
    assert bad == 0
    assert found.max_abs == pytest.approx(0.005)
    # The second channel is small: its 2e-5 counts more than 0.005 of 1000.
    assert found.relative == pytest.approx(1e-5, rel=1e-3)
    assert found.noise == pytest.approx(0.005 / 5 / np.sqrt(2), rel=1e-3)


def test_near_ties_are_set_aside_where_a_modality_is_missing_and_only_there(reference: Reference) -> None:
    def with_ties(name: str) -> ScenarioResult:
        case = next(each for each in reference.cases if each.scenario.name == name)
        probabilities = np.full_like(case.outputs["probabilities"], 0.1)
        probabilities[:, 0], probabilities[:, 1] = 0.46, 0.44
        tied = Case(case.scenario, case.inputs, {"probabilities": probabilities}, 0.0)
        score = reference.compare(tied, tied.outputs)
        swapped = probabilities[:, [1, 0, *range(2, probabilities.shape[1])]]
        found = reference.compare(dataclasses.replace(tied, metric=score.metric), {"probabilities": swapped})
        assert (found.flips, found.close) == (found.samples, found.samples)
        assert found.metric_change != 0
        return found

    whole, missing = with_ties("all"), with_ties("without_image")
    assert whole.held == whole.metric_change
    assert (missing.held, missing.metric_error) == (0, 0)
