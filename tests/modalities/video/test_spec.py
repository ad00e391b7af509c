"""Clips on the host: tensors, difficult clips, options."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from mmkeras.core.errors import ConfigError
from mmkeras.modalities import spec_from_json
from mmkeras.modalities.video.picture import image
from mmkeras.modalities.video.spec import Config, Spec
from tests.media.clips.films import numbered

SPEC = Spec("clip", 6, 24, 32)
MOVING = [
    np.roll(np.random.default_rng(0).integers(0, 256, (24, 32, 3)), 2 * t, axis=1).astype(np.uint8) for t in range(6)
]


def test_the_tensors_have_every_slot_and_what_is_new():
    made = SPEC.preprocess(MOVING)
    assert {name: (value.shape, value.dtype.name) for name, value in made.items()} == {
        tensor.name: (tensor.shape, tensor.dtype) for tensor in SPEC.tensors
    }
    np.testing.assert_array_equal(made["clip"], np.stack(MOVING))
    assert made["clip_fresh"].tolist() == [1] * 6
    assert SPEC.preprocess(MOVING[:2])["clip_fresh"].tolist() == [1, 0, 0, 1, 0, 0]


def test_frames_are_resized_as_pictures_are():
    letterbox = Config(frames=2, size=(32, 32), resize="letterbox").spec("clip")
    frames = letterbox.preprocess([np.full((10, 20, 3), 200, np.uint8)] * 2)["clip"]
    assert (frames[:, 0] == 0).all()
    assert (frames[:, 16] == 200).all()


def test_half_lost_repeats_the_frame_before():
    whole, lost = SPEC.preprocess(MOVING), SPEC.preprocess(SPEC.scenarios()["half_lost"](MOVING))
    fresh = lost["clip_fresh"].astype(bool)
    assert fresh.sum() == 3
    np.testing.assert_array_equal(lost["clip"][fresh][1:], whole["clip"][fresh][1:])
    for slot in np.flatnonzero(~fresh):
        np.testing.assert_array_equal(lost["clip"][slot], lost["clip"][slot - 1])


def test_one_frozen_shows_one_frame_twice_without_a_sign_of_it():
    whole, frozen = SPEC.preprocess(MOVING), SPEC.preprocess(SPEC.scenarios()["one_frozen"](MOVING))
    (changed,) = np.flatnonzero((whole["clip"] != frozen["clip"]).any(axis=(1, 2, 3)))
    np.testing.assert_array_equal(frozen["clip"][changed], whole["clip"][changed - 1])
    assert frozen["clip_fresh"].tolist() == [1] * 6


def test_dark_is_dark_with_noise_and_the_same_each_time():
    dark = SPEC.scenarios()["dark"]
    made = SPEC.preprocess(dark(MOVING))["clip"]
    assert made.mean() < 0.2 * np.mean(MOVING)
    assert len(np.unique(SPEC.preprocess(dark(numbered(6)))["clip"][0])) > 8
    np.testing.assert_array_equal(made, SPEC.preprocess(dark(MOVING))["clip"])


def test_scenarios_change_film_strips_of_few_frames_too():
    for change in SPEC.scenarios().values():
        made = SPEC.preprocess(change(MOVING[:1]))
        assert made["clip_fresh"].tolist() == [1, 0, 0, 0, 0, 0]


def test_the_spec_comes_back_from_its_json(tmp_path: Path):
    assert spec_from_json(SPEC.to_json(), tmp_path) == SPEC


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"frames": 1}, "frames: expected 2 to 256, got 1"),
        ({"size": (4, 64)}, "size: expected height and width"),
        ({"cells": (0, 1)}, "cells: expected rows"),
        ({"seconds": -1.0}, "seconds"),
        ({"lose": 1.0}, "lose"),
        ({"architecture": "edgy"}, "edgy.*did you mean 'edge'"),
        ({"weights": "imagenet", "width_factor": 0.5}, "fit width_factor 1.0"),
    ],
)
def test_wrong_options_are_named(options: dict[str, object], message: str):
    with pytest.raises(ConfigError, match=message):
        Config(**options)  # type: ignore[arg-type]


def test_a_contact_sheet_has_the_frames_in_order_and_repeated_ones_dark():
    sheet = image(SPEC.preprocess(MOVING)["clip"])
    assert sheet.shape == (2 * 24 + 2, 4 * 32 + 3 * 2, 3)
    np.testing.assert_array_equal(sheet[26:50, :32], MOVING[2 if len(MOVING) == 5 else 3])
    bright = [np.full((24, 32, 3), 240, np.uint8)] * 2
    sheet = image([Image.fromarray(frame) for frame in bright])
    assert sheet[0, 0, 0] == 240
    assert sheet[0, 34, 0] == 80
