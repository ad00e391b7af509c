"""What is measured of a file: each output by itself, under the samples' weights, on their groups."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

import numpy as np
import pytest

from export.source import Source
from export.verification.passes import Infer
from export.verification.results import ScenarioResult
from export.verification.verify import Reference
from mmkeras.core.errors import ExportError


def answering(outputs: Mapping[str, np.ndarray]) -> Infer:
    """Return what answers with rows of the outputs, batch after batch from the first sample on."""
    at = 0

    def infer(inputs: dict[str, Any]) -> dict[str, np.ndarray]:
        nonlocal at
        start, at = at, at + len(next(iter(inputs.values())))
        return {name: value[start:at] for name, value in outputs.items()}

    return infer


pytestmark = pytest.mark.tfio


@pytest.fixture(scope="module")
def reference(source: Source) -> Reference:
    return Reference(dataclasses.replace(source, samples=source.samples[:16]))


def test_an_equal_file_differs_by_nothing(reference: Reference) -> None:
    case = reference.cases[0]
    found = reference.measure(case, answering(case.outputs))
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
    found = reference.measure(case, answering(rolled), 5)
    assert found.flips == 8
    assert (found.metric_change, found.calibration_change) == (0.0, 0.0)
    heavy = {name: np.where(light[:, None], v, np.roll(v, 1, -1)) for name, v in case.outputs.items()}
    assert reference.measure(case, answering(heavy)).metric_change < -0.5


def test_a_temperature_shows_in_the_calibration_and_not_in_the_decisions(reference: Reference) -> None:
    case = reference.cases[0]
    logits = np.log(case.outputs["probabilities"]) / 4
    soft = np.exp(logits) / np.exp(logits).sum(-1, keepdims=True)
    found = reference.measure(case, answering({"probabilities": soft}))
    assert found.flips == 0
    assert found.calibration_change is not None
    assert found.calibration_change > 0.1


def test_near_ties_are_set_aside_where_a_modality_is_missing_and_only_there(reference: Reference) -> None:
    def with_ties(name: str) -> ScenarioResult:
        case = next(each for each in reference.cases if each.scenario.name == name)
        probabilities = np.full_like(case.outputs["probabilities"], 0.1)
        probabilities[:, 0], probabilities[:, 1] = 0.46, 0.44
        tied = reference.case(case.scenario, case.inputs, answering({"probabilities": probabilities}))
        swapped = probabilities[:, [1, 0, *range(2, probabilities.shape[1])]]
        found = reference.measure(tied, answering({"probabilities": swapped}))
        assert (found.flips, found.close) == (found.samples, found.samples)
        assert found.metric_change != 0
        return found

    whole, missing = with_ties("all"), with_ties("without_image")
    assert whole.held == whole.metric_change
    assert (missing.held, missing.metric_error) == (0, 0)


def test_an_output_that_is_missing_or_of_another_shape_is_named(reference: Reference) -> None:
    case = reference.cases[0]
    with pytest.raises(ExportError, match=r"expected the output 'probabilities' .* got only \['other'\]"):
        reference.measure(case, answering({"other": case.outputs["probabilities"]}))
    with pytest.raises(ExportError, match="got shape"):
        reference.measure(case, answering({"probabilities": case.outputs["probabilities"][:, :2]}))


def test_outputs_that_are_not_finite_are_counted_and_nothing_else_is_said_of_them(reference: Reference) -> None:
    case = reference.cases[0]
    bad = {name: value.copy() for name, value in case.outputs.items()}
    bad["probabilities"][3] = np.nan
    found = reference.measure(case, answering(bad), 4)
    assert found.not_finite == bad["probabilities"].shape[1]
    assert found.calibration_change is not None
    assert np.isnan([found.max_abs_diff, found.mean_abs_diff, found.calibration_change]).all()
    assert reference.keys[3] in found.flipped
