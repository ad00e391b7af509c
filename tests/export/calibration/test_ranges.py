"""Ranges of a real LiteRT file: compared with the quantiser's, with other samples and between two halves."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from export.calibration import prepare_calibration
from export.calibration.calibration import Calibration
from export.calibration.choose import choose_samples
from export.calibration.ranges import (
    activation_values,
    activations,
    agreement,
    audit_ranges,
    extremes,
    measure_ranges,
    saturation,
)
from export.source import Source
from mmkeras.core.errors import ExportError
from tests.export.calibration.test_prepare import config


@pytest.fixture(scope="module")
def calibration(source: Source) -> Calibration:
    return prepare_calibration(source, config(samples=48))


@pytest.mark.filterwarnings("ignore:.*experimental_preserve_all_tensors")
def test_ranges_are_the_quantisers_without_its_moving_average(float32, calibration):
    from ai_edge_quantizer import calibrator, recipe, recipe_manager
    from ai_edge_quantizer.utils import qsv_utils

    manager = recipe_manager.RecipeManager()
    manager.load_quantization_recipe(recipe.static_wi8_ai8())
    theirs = calibrator.Calibrator(str(float32), qsv_update_func=qsv_utils.min_max_update)
    theirs.calibrate({"serving_default": list(calibration.batches())}, manager)
    measured = measure_ranges(float32, calibration.inputs)
    expected = theirs.get_model_qsvs()
    assert set(measured) <= set(expected)
    for name, (low, high) in measured.items():
        assert (low, high) == (float(np.min(expected[name]["min"])), float(np.max(expected[name]["max"])))


def test_activations_carry_their_keras_layers(float32):
    found = {each.layer.layer: each for each in activations(float32) if each.written}
    assert found["image_branch/edge/stem_conv"].layer.operation == "CONV_2D"
    assert found["head_logits"].layer.branch == "head"
    assert any(not each.written for each in activations(float32))


def test_good_ranges_hold_and_narrow_ones_name_the_layers(float32, calibration, source):
    fresh = choose_samples(lambda: source.training, source.specs, source.task, 32, seed=1).inputs
    ranges = measure_ranges(float32, calibration.inputs)
    assert not [line for line in audit_ranges(float32, calibration, calibration.inputs, ranges) if "Saturation" in line]
    logits = next(each for each in activations(float32) if each.layer.layer == "head_logits" and each.written)
    low, high = ranges[logits.name]
    narrow = {**ranges, logits.name: (low / 4, high / 4)}
    (line,) = [line for line in audit_ranges(float32, calibration, fresh, narrow) if "Saturation" in line]
    assert line.startswith("Saturation: on 32 fresh samples, values lie beyond the range of head_logits (")
    only = audit_ranges(float32, calibration, {}, {logits.name: (low, high)})
    assert not [line for line in only if "Saturation" in line]


def test_few_samples_disagree_and_many_agree(float32, calibration):
    dark = {name: array.copy() for name, array in calibration.inputs.items()}
    order = np.random.default_rng(0).permutation(48)
    for name in ("image", "image_present", "text_present", "text_padding_mask", "text_token_ids"):
        dark[name][order[:24]] = 0
    ranges = measure_ranges(float32, dark)
    halves = audit_ranges(float32, dataclasses.replace(calibration, inputs=dark), {}, ranges)
    assert len(halves) == 1
    assert halves[0].startswith("Two halves of the 48 calibration samples disagree on the range of ")
    assert "% in common)" in halves[0]
    one = Calibration(next(calibration.batches()), ("a",), "train")
    assert audit_ranges(float32, one, {}, ranges) == []


def test_agreement_and_saturation_are_shares(float32, calibration):
    seen = np.array([[[-1, 2], [0, 0], [1, 3]]] * 4, np.float32)
    assert agreement(seen).tolist() == [1, 1, 1]
    assert agreement(np.array([[[0, 1]], [[0, 2]]], np.float32)).tolist() == [0.5]
    found = activations(float32)[:3]
    everything = np.stack([extremes(float32, calibration.inputs, found)[..., n] for n in (0, 1)], -1)
    inside = np.stack([everything[..., 0].min(0), everything[..., 1].max(0)], 1)
    assert saturation(float32, calibration.inputs, found, inside).tolist() == [0, 0, 0]
    nothing = saturation(float32, calibration.inputs, found, np.zeros((3, 2)))
    values = next(activation_values(float32, calibration.inputs, found))
    assert len(values) == 3
    assert (nothing > 0.5).any()


def test_without_samples_there_are_no_ranges(float32):
    with pytest.raises(ExportError, match="got none"):
        measure_ranges(float32, {})
