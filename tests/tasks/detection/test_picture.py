from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from PIL import ImageColor

from mmkeras.media.canvas import Canvas, class_colour, depth_colour
from mmkeras.media.geometry import PinholeCamera, Pose
from mmkeras.tasks.detection.birds_eye import birds_eye
from mmkeras.tasks.detection.picture import beside, camera_picture, corners
from mmkeras.tasks.detection.review import answers, sample_pictures, truths
from tests.evaluation.frames import frames, specs, task
from tests.tasks.detection.maps import perfect_maps

CAMERA = PinholeCamera(256, 96, 200, 128, 40)
POSE = Pose.from_matrix(np.array([[0, 0, 1, 1.5], [-1, 0, 0, 0], [0, -1, 0, 1.5], [0, 0, 0, 1.0]]))
BLACK = np.zeros((96, 256, 3), np.uint8)


def _answer(x: float = 20.0, y: float = 0.0, **other: Any) -> dict[str, Any]:
    found = {"class": "car", "score": 0.8, "box": [0, 0, 1, 1], "centre": [x, y, 0.8], "size": [1.9, 4.4, 1.6]}
    return {**found, "yaw": 0.0, "velocity": [8.0, 0.0], "distance": math.hypot(x, y), "attribute": "", **other}


def _pixels(picture: np.ndarray, colour: str, tolerance: int = 40) -> np.ndarray:
    """Return rows and columns (N, 2) of the pixels of about a colour."""
    wanted = np.asarray(ImageColor.getrgb(colour)[:3])
    return np.argwhere(np.abs(picture.astype(int) - wanted).max(-1) <= tolerance)


def test_a_box_is_drawn_where_the_camera_sees_it():
    answer = _answer(20.0, 3.0)
    picture = camera_picture(BLACK, [answer], camera=CAMERA, camera_pose=POSE, scale=3)
    assert picture.dtype == np.uint8
    assert picture.shape[1] == 768
    drawn = _pixels(picture[:288], class_colour("car"))
    inside = CAMERA.project(POSE.inverse.apply(corners(answer))) * 3
    assert len(drawn) > 100
    assert drawn[:, 1].min() == pytest.approx(inside[:, 0].min(), abs=4)
    assert drawn[:, 0].max() == pytest.approx(inside[:, 1].max(), abs=4)
    assert inside[:, 0].max() < 384, "left of the axis"


def test_the_size_depends_on_no_content():
    sizes = {
        camera_picture(BLACK, found, truth, points, camera=CAMERA, camera_pose=POSE).shape
        for found, truth, points in (
            ([], None, None),
            ([_answer(), _answer(30, 4, **{"class": "pedestrian"})], [_answer()], np.ones((3, 8), np.float32)),
        )
    }
    assert len(sizes) == 1
    view: dict[str, Any] = {"camera": CAMERA, "camera_pose": POSE, "height": 506}
    seen = birds_eye([_answer()], [_answer()], np.ones((2, 8), np.float32), **view)
    assert birds_eye([], **view).shape == seen.shape


def test_what_is_behind_beside_unknown_or_huge_does_no_harm():
    odd = [
        _answer(-20.0),
        _answer(0.5),
        _answer(1.6, 0.0, size=[2.5, 12.0, 4.0]),
        _answer(3.0, 40.0),
        _answer(20.0, velocity=[None, None]),
        _answer(25.0, velocity=[math.nan, math.nan]),
        _answer(1e6, 1e6),
        _answer(20.0, 0.0, **{"class": "nobody_knows", "attribute": "?"}),
    ]
    points = np.array([[0, 0, -5, 0, 1, 1, 1, 0], [0, 0, 1e-9, 0, 0, 0, 0, 0], [1e5, 0, 1, 0, 0, 0, 0, 0]], np.float32)
    for found in ([each] for each in odd):
        camera_picture(BLACK, found, found, points, camera=CAMERA, camera_pose=POSE)
        birds_eye(found, found, points, camera=CAMERA, camera_pose=POSE, height=506)


def test_radar_points_have_the_colour_of_their_depth():
    point = np.array([[0, 0, 30.0, 5, 0, 0, 10.0, 0]], np.float32)
    picture = camera_picture(BLACK, [], None, point, camera=CAMERA, camera_pose=POSE)
    drawn = _pixels(picture[:288], depth_colour(30.0, 60.0), 12)
    assert np.abs(drawn - [120, 384]).max() <= 24
    assert _pixels(picture[:288], depth_colour(30.0, 60.0), 90)[:, 0].min() < 110, (
        "the mark of a point that moves away goes up"
    )
    assert depth_colour(-1, 60) == depth_colour(0, 60) != depth_colour(60, 60) == depth_colour(600, 60)


def test_from_above_forward_is_up_and_left_is_left():
    car, person = _answer(40.0, 5.0), _answer(10.0, -5.0, **{"class": "pedestrian", "velocity": [0.0, 0.0]})
    picture = birds_eye([car, person], camera=CAMERA, camera_pose=POSE, height=566)
    ahead, near = (_pixels(picture[:540], class_colour(name)).mean(0) for name in ("car", "pedestrian"))
    assert ahead[0] < near[0]
    assert ahead[1] < picture.shape[1] / 2 < near[1]
    assert birds_eye([], camera=CAMERA, camera_pose=POSE, height=314).shape[0] == 314


def test_pictures_side_by_side_keep_their_pixels():
    tall, wide = np.full((30, 10, 3), 7, np.uint8), np.full((10, 40, 3), 9, np.uint8)
    joined = beside(tall, wide)
    assert joined.shape == (30, 50, 3)
    assert (joined[:, :10] == 7).all()
    assert (joined[10:20, 10:] == 9).all()
    assert (joined[:10, 10:] == 255).all()


def test_labels_never_cover_each_other():
    board = Canvas(200, 100)
    area = (0.0, 0.0, 200.0, 100.0)
    placed = sum(board.label(["car 80 %", "car"], [(20, 30), (20, 60)], "#0072B2", area) for _ in range(5))
    assert placed == 2
    assert not board.label(["far too long for this board, by a good deal"], [(0, 90)], "#000000", area)


def test_frames_are_judged_by_what_is_missed_and_what_is_not_there():
    own, samples = task(), frames(6)
    maps = perfect_maps(own, samples.targets)
    counted = own.wrongness(own.evidence(samples.targets, maps))
    assert counted.shape == (6,)
    nothing = {name: np.zeros_like(value) for name, value in maps.items()}
    missed = own.wrongness(own.evidence(samples.targets, nothing))
    assert (missed >= counted).all()
    assert missed.sum() > 6
    twice = {name: value.copy() for name, value in maps.items()}
    twice["depth"] += 10.0
    assert own.wrongness(own.evidence(samples.targets, twice)).sum() > missed.sum(), (
        "moved objects are missed and false at once"
    )
    assert answers(own, nothing) == ["nothing"] * 6
    assert len(truths(own, samples.targets)) == 6


def test_a_frame_is_drawn_from_its_raw_values_even_when_a_sensor_is_missing():
    own, samples = task(), frames(2)
    maps = {name: value[0] for name, value in perfect_maps(own, samples.targets).items()}
    (whole,) = sample_pictures(own, specs(), samples.raw[0], samples.targets[0], maps)
    (blind,) = sample_pictures(own, specs(), {"camera": None, "radar": None}, samples.targets[0], maps)
    assert whole.shape == blind.shape
    assert whole[40:200, :700].mean() > blind[40:200, :700].mean()
