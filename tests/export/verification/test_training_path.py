"""The host's preprocessing is held to what training sees, and the reference to its evaluation."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest

from export.source import Source
from export.verification.held import hold_to_evaluation
from export.verification.scenarios import ScenarioInputs
from export.verification.training_path import TrainingPath
from export.verification.verify import Reference
from mmkeras.core.errors import ExportError
from mmkeras.media.image import resizing
from mmkeras.modalities.text.spec import Spec as TextSpec

pytestmark = pytest.mark.tfio


def few(source: Source, count: int = 8) -> Source:
    return dataclasses.replace(source, samples=source.samples[:count])


def test_reversed_channels_on_the_device_are_no_reference(source: Source, monkeypatch: pytest.MonkeyPatch) -> None:
    right = resizing.resize_rgb
    monkeypatch.setattr(resizing, "resize_rgb", lambda *given: np.ascontiguousarray(right(*given)[..., ::-1]))
    with pytest.raises(ExportError, match=r"would not give the inputs .*'all', 7 of 8 samples.*image of sample"):
        Reference(few(source))


def test_a_tokenizer_that_keeps_capitals_is_no_reference(source: Source, monkeypatch: pytest.MonkeyPatch) -> None:
    real = TextSpec.preprocess
    monkeypatch.setattr(TextSpec, "preprocess", lambda self, value: real(self, value.replace("what", "WHAT?!")))
    values = [{"text": "what is the shape", "image": None}, {"text": "is the red", "image": None}]
    with pytest.raises(ExportError, match=r"1 of 2 samples differ; text_token_ids of sample '0'"):
        ScenarioInputs({"text": source.specs["text"]}, values)


def test_missing_values_are_zeros_and_an_empty_text_is_none_of_them(source: Source) -> None:
    path = TrainingPath(source.specs["text"])
    inputs = path.inputs([None, "", "what shape"])
    np.testing.assert_array_equal(inputs["text_present"], [0, 1, 1])
    np.testing.assert_array_equal(inputs["text_padding_mask"].sum(1), [0, 2, 4])


@pytest.mark.parametrize(("evaluated", "samples", "fails"), [(0.0, 0, False), (0.01, 0, True), (0.01, 5000, False)])
def test_the_reference_is_held_to_its_evaluation(
    source: Source, tmp_path: Path, evaluated: float, samples: int, fails: bool
) -> None:
    """On the same samples to a thousandth; on a part of them to what chance explains."""
    reference = Reference(source)
    value = reference.cases[0].metric + evaluated
    metrics = {"samples": samples or len(source.samples), "test": {"accuracy": {"value": value}}}
    exported = dataclasses.replace(source, metrics=metrics)
    if fails:
        with pytest.raises(ExportError, match=r"does not reproduce its evaluation: accuracy is 0\.\d+ on 48"):
            hold_to_evaluation(exported, reference)
    else:
        hold_to_evaluation(exported, reference)
    far = {"samples": 5000, "test": {"accuracy": {"value": value - 0.4}}}
    with pytest.raises(ExportError, match=r"metrics\.json on 5000"):
        hold_to_evaluation(dataclasses.replace(source, metrics=far), reference)
