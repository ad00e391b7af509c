"""Masks over their pictures, for the report and the device."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from mmkeras.core.errors import DataError
from mmkeras.modalities.image.spec import Config as ImageConfig
from mmkeras.tasks.segmentation import review
from mmkeras.tasks.segmentation.masks import NOT_ASKED
from mmkeras.tasks.segmentation.picture import colours_of, overlay
from mmkeras.tasks.segmentation.spec import Config
from tests.tasks.segmentation.scenes import png

LABELS = ("sky", "road", "car")
SIZE = (24, 40)
TASK = Config(LABELS, colours=("#0000ff", "#00ff00", "#ff0000"), prompt="text", size=SIZE).spec()
SPECS: dict[str, Any] = {"image": ImageConfig(size=SIZE).spec("image")}
MASK = np.full(SIZE, 3)
MASK[12:] = 1


def test_a_mask_is_drawn_in_the_colours_of_its_classes() -> None:
    drawn = overlay(np.full((*SIZE, 3), 100, np.uint8), MASK, LABELS, TASK.colours, scale=1, legend=False)
    assert drawn.shape == (*SIZE, 3)
    assert drawn[2, 5].tolist() == [100, 100, 100], "what is not named stays as it is"
    assert drawn[20, 5].tolist() == [40, 193, 40]
    assert len(set(colours_of([str(number) for number in range(20)]))) == 20


def test_the_report_shows_data_and_answer_side_by_side() -> None:
    outputs = {"mask": np.eye(4, dtype=np.float32)[MASK]}
    target = np.where(MASK == 1, 1, NOT_ASKED).astype(np.uint8)
    picture = png(np.random.default_rng(0).integers(0, 256, (48, 80, 3)).astype(np.uint8))
    shown = []
    for values in ({"image": picture, "text": "the road"}, {"image": None, "text": None}):
        (drawn,) = review.sample_pictures(TASK, SPECS, values, target, outputs)
        shown.append(drawn)
    assert shown[0].shape == shown[1].shape
    half = shown[0].shape[1] // 2
    np.testing.assert_array_equal(shown[0][40:60, :half], shown[0][40:60, half:])
    assert (shown[0] != shown[1]).any()
    assert review.truths(TASK, target[None]) == review.answers(TASK, {"mask": outputs["mask"][None]}) == ["road 50 %"]
    nothing = np.full((1, *SIZE), NOT_ASKED, np.uint8)
    assert review.truths(TASK, nothing) == ["nothing"]


def test_an_answer_without_a_picture_or_finite_scores_is_not_drawn() -> None:
    scores = np.eye(4, dtype=np.float32)[MASK][None]
    picture = np.zeros((*SIZE, 3), np.uint8)
    good, bad = (TASK.decode({"mask": values})[0] for values in (scores, scores * np.nan))
    drawn = TASK.overlay(SPECS, {"image": picture}, good)
    assert drawn[:48, :80][30, 10].tolist() == [0, 153, 0]
    with pytest.raises(DataError, match="got no picture"):
        TASK.overlay(SPECS, {"text": "the road"}, good)
    with pytest.raises(DataError, match="got no finite scores"):
        TASK.overlay(SPECS, {"image": picture}, bad)
