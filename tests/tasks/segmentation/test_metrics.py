"""Metrics of masks against scikit-learn and against definitions written out."""

from __future__ import annotations

import base64
import io
from typing import Any

import numpy as np
import pytest
from PIL import Image

from mmkeras.evaluation.words import number, title
from mmkeras.tasks.segmentation.masks import NOT_ASKED, VOID
from mmkeras.tasks.segmentation.scores import edges
from mmkeras.tasks.segmentation.spec import Config

LABELS = ("sky", "road", "car")
SIZE = (12, 16)


def _scores(said: np.ndarray, classes: int) -> dict[str, np.ndarray]:
    return {"mask": np.eye(classes, dtype=np.float32)[said]}


def _blocks(rng: np.random.Generator, count: int, classes: int = 3) -> np.ndarray:
    """Return masks (count, 12, 16) of 4 x 4 blocks."""
    small: Any = rng.integers(0, classes, (count, 3, 4))
    return small.repeat(4, axis=1).repeat(4, axis=2).astype(np.uint8)


def test_mean_iou_is_that_of_scikit_learns_confusion_matrix() -> None:
    metrics = pytest.importorskip("sklearn.metrics", reason="scikit-learn is a test oracle")
    rng = np.random.default_rng(0)
    truth = _blocks(rng, 6)
    said = np.where(rng.random(truth.shape) < 0.3, rng.integers(0, 3, truth.shape), truth)
    truth[rng.random(truth.shape) < 0.1] = VOID
    task = Config(LABELS, size=SIZE).spec()
    score = task.score(truth, _scores(said, 3))
    known = truth != VOID
    matrix = metrics.confusion_matrix(truth[known], said[known], labels=range(3))
    iou = np.diag(matrix) / (matrix.sum(axis=0) + matrix.sum(axis=1) - np.diag(matrix))
    assert score["mean_iou"] == pytest.approx(iou.mean())
    assert [score[f"iou_{label}"] for label in LABELS] == pytest.approx(iou)
    assert score["pixel_accuracy"] == pytest.approx(metrics.accuracy_score(truth[known], said[known]))
    np.testing.assert_array_equal(task.evidence(truth, _scores(said, 3))["counts"].sum(axis=0)[:, :3], matrix)


def test_a_class_without_a_pixel_is_left_out_of_the_mean() -> None:
    truth = np.zeros((2, *SIZE), np.uint8)
    truth[:, :, 8:] = 1
    said = truth.copy()
    said[0, 0, 0] = 2
    score = Config(LABELS, size=SIZE).spec().score(truth, _scores(said, 3))
    assert np.isnan(score["iou_car"])
    assert score["mean_iou"] == pytest.approx((191 / 192 + 1) / 2)


def test_scores_that_are_not_finite_are_wrong_everywhere() -> None:
    truth = np.zeros((2, *SIZE), np.uint8)
    outputs = _scores(truth, 3)
    outputs["mask"][1, 3, 3, 2] = np.nan
    assert Config(LABELS, size=SIZE).spec().score(truth, outputs)["pixel_accuracy"] == 0.5


def test_an_edge_counts_within_its_reach() -> None:
    truth, said = np.zeros((1, *SIZE), np.int16), np.zeros((1, *SIZE), np.int16)
    truth[:, :, 8:], said[:, :, 10:] = 1, 1
    for reach, found in ((1, 0), (2, 12)):
        np.testing.assert_array_equal(edges(truth, said, 2, reach)[0, 1], [found, 12, found, 12])
    truth[:, :, 8:] = VOID
    assert not edges(truth, said, 2, 2).any(), "ignored pixels have no edges"


def test_edges_agree_with_distances_written_out() -> None:
    rng = np.random.default_rng(1)
    truth, said = _blocks(rng, 2, 70).astype(np.int16), _blocks(rng, 2, 70).astype(np.int16)
    said[:, 3:, 5:] = truth[:, 3:, 5:]
    found = edges(truth, said, 70, 2)

    def points(mask: np.ndarray, value: int) -> list[tuple[int, int]]:
        result = []
        for row, column in np.argwhere(mask == value):
            around = ((row + 1, column), (row - 1, column), (row, column + 1), (row, column - 1))
            inside = [at for at in around if 0 <= at[0] < SIZE[0] and 0 <= at[1] < SIZE[1]]
            if any(mask[at] != value for at in inside):
                result.append((int(row), int(column)))
        return result

    for sample in range(2):
        for value in np.unique(truth[sample]):
            own, other = points(said[sample], value), points(truth[sample], value)
            near = [sum(any(max(abs(a - c), abs(b - d)) <= 2 for c, d in second) for a, b in first)
                    for first, second in ((own, other), (other, own))]  # fmt: skip
            assert found[sample, value].tolist() == [near[0], len(own), near[1], len(other)]


def test_a_prompt_is_scored_by_what_it_names_and_by_false_alarms() -> None:
    task = Config(LABELS, prompt="text", size=SIZE, least_share=0.02).spec()
    scene = np.zeros(SIZE, np.uint8)
    scene[6:] = 1
    only_road = np.where(scene == 1, 1, scene + NOT_ASKED).astype(np.uint8)
    nothing = (scene + NOT_ASKED).astype(np.uint8)
    road, empty = np.where(scene == 1, 1, 3), np.full(SIZE, 3)
    speck, alarm = empty.copy(), empty.copy()
    speck[0, :3], alarm[0, :4] = 2, 2
    targets = np.stack([only_road, nothing, nothing, nothing, nothing])
    score = task.score(targets, _scores(np.stack([road, empty, speck, alarm, alarm]), 4))
    assert (score["mean_iou"], score["iou_road"], score["false_alarms"]) == (1.0, 1.0, 0.5)
    every = task.score(targets[:1], _scores(scene[None], 4))
    assert (every["scene_iou"], every["iou_road"]) == (1.0, 1.0)
    assert every["pixel_accuracy"] == 0.5, "the sky is not named"
    assert np.isnan(every["false_alarms"])


def test_metrics_are_shown_as_shares_with_their_names() -> None:
    shown = [f"{title(name)} {number(name, 0.5)}" for name in ("mean_iou", "iou_traffic_sign", "false_alarms")]
    assert [each.replace("\u00a0", " ") for each in shown] == [
        "mean IoU 50.0 %",
        "IoU of traffic sign 50.0 %",
        "false alarms 50.0 %",
    ]


def test_the_answer_is_a_mask_as_png() -> None:
    task = Config(LABELS, prompt="text", size=SIZE).spec()
    said = np.full((1, *SIZE), 3)
    said[0, :, 4:] = 2
    (answer,) = task.decode(_scores(said, 4))
    assert answer["found"] == [{"label": "car", "share": 0.75}]
    with Image.open(io.BytesIO(base64.b64decode(answer["mask"]))) as image:
        np.testing.assert_array_equal(np.asarray(image), np.where(said[0] == 3, VOID, 2))


def test_two_answers_differ_by_more_than_a_thousandth_of_the_pixels() -> None:
    task = Config(LABELS, size=(50, 60)).spec()
    said = np.zeros((2, 50, 60), np.int64)
    other = said.copy()
    other[0, 0, :3], other[1, 0, :4] = 1, 1
    assert task.flips(_scores(said, 3), _scores(other, 3)).tolist() == [False, True]
