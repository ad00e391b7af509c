"""The scenarios follow from the specs, and each one reaches the model as it says."""

from __future__ import annotations

import numpy as np

from export.source import Source
from export.verification.proof.faults import faults_of
from export.verification.scenarios import ALL, ScenarioInputs, scenarios


def test_every_modality_is_taken_away_and_every_difficult_case_is_there(source: Source) -> None:
    names = [scenario.name for scenario in scenarios(source.specs)]
    assert names == [ALL, "without_image", "without_text", "empty_text", "longest_text"]


def test_the_only_modality_is_never_taken_away(source: Source) -> None:
    specs = {"text": source.specs["text"]}
    assert [scenario.name for scenario in scenarios(specs)] == [ALL, "empty_text", "longest_text"]
    assert not [fault for fault in faults_of(specs, source.task) if fault.scenario.startswith("without_")]


def test_inputs_are_what_the_device_would_preprocess(source: Source) -> None:
    values = [sample.values for sample in source.samples]
    inputs = ScenarioInputs(source.specs, values)
    by_name = {scenario.name: inputs.inputs(scenario) for scenario in scenarios(source.specs)}
    whole = by_name[ALL]
    first = source.specs["image"].inputs(values[0]["image"]) | source.specs["text"].inputs(values[0]["text"])
    assert {name: array.dtype for name, array in whole.items()} == {
        tensor.name: np.dtype(tensor.dtype)
        for spec in source.specs.values()
        for tensor in (*spec.tensors, spec.present)
    }
    for name, value in first.items():
        np.testing.assert_array_equal(whole[name][0], value)
    assert not by_name["without_image"]["image"].any()
    assert not by_name["without_image"]["image_present"].any()
    np.testing.assert_array_equal(by_name["without_image"]["text_token_ids"], whole["text_token_ids"])
    there = np.array([value["text"] is not None for value in values])
    assert there.any()
    assert not there.all()
    assert (by_name["empty_text"]["text_padding_mask"].sum(1)[there] == 2).all()
    assert (by_name["longest_text"]["text_padding_mask"][there] == 1).all()
    # A text that is missing stays missing: it is no empty or long one.
    for name in ("empty_text", "longest_text"):
        np.testing.assert_array_equal(by_name[name]["text_present"], there.astype("float32"))
        assert not by_name[name]["text_token_ids"][~there].any()
