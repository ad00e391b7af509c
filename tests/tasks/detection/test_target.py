from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import hypothesis
import numpy as np
import pytest
from hypothesis import strategies as st

from mmkeras.core.errors import DataError
from mmkeras.driving.drives.snapshot import Box
from mmkeras.media.geometry import Pose, box_corners
from mmkeras.tasks.detection.boxes import pixel_boxes, to_camera_plane, to_ego_plane
from tests.tasks.detection.maps import perfect_maps, random_boxes, spec

AHEAD = Pose((1.7, 0.0, 1.5), (0.5, -0.5, 0.5, -0.5))
CAR = {"name": "car", "centre": [20.0, 1.0, 0.8], "size": [1.8, 4.5, 1.6], "yaw": 0.3, "velocity": [3.0, 0.2]}


def tilted(rng: np.random.Generator) -> Pose:
    """Return a camera that looks ahead, but not quite."""
    turn = rng.normal(size=3) * 0.05
    return Pose((1.5, 0.2, 1.6), AHEAD.rotation) @ Pose(
        (0.0, 0.0, 0.0), tuple(np.array([1.0, *turn]) / np.linalg.norm([1.0, *turn]))
    )


def test_one_car_by_hand():
    row = spec().encode({"boxes": [CAR], "camera": AHEAD})[0]
    x, y, z = -1.0, 1.5 - 0.8, 20 - 1.7
    np.testing.assert_allclose(row[6:9], [x, y, z], atol=1e-6)
    np.testing.assert_allclose(row[[0, 1]], [1, 0])
    np.testing.assert_allclose(row[9:12], [1.8, 4.5, 1.6], atol=1e-6)
    # Turned to the left: camera x is negative.
    np.testing.assert_allclose(row[12:14], [-math.sin(0.3), math.cos(0.3)], atol=1e-6)
    np.testing.assert_allclose(row[14:16], [-0.2, 3.0], atol=1e-6)
    np.testing.assert_array_equal(row[16:], [4, -1, -1, 1])
    u, v = 230 * x / z + 128, 230 * y / z + 40
    assert row[2] < u < row[4]
    assert row[3] < v < row[5]


@pytest.mark.parametrize("seed", range(12))
def test_perfect_maps_give_the_boxes_back(seed: int):
    rng = np.random.default_rng(seed)
    task, pose = spec(max_objects=8), tilted(rng)
    boxes = random_boxes(rng, int(rng.integers(1, 20)))
    target = task.encode({"boxes": boxes, "camera": pose})
    maps = perfect_maps(task, target[None])
    truth = task.truth(target[None])
    answers = task.decode(maps, [pose])[0]["detections"]
    cells = (maps["heatmap"].max(axis=-1) > 0).sum()
    assert len(answers) == cells <= len(truth) <= 8
    for answer in answers:
        apart = [np.linalg.norm(np.subtract(box["centre"], answer["centre"])) for box in boxes]
        assert min(apart) < 1e-3
        box = boxes[int(np.argmin(apart))]
        assert answer["class"] == box["name"]
        assert answer["score"] == pytest.approx(0.9)
        assert answer["size"] == pytest.approx(box["size"], abs=1e-3)
        assert answer["velocity"] == pytest.approx(box["velocity"], abs=1e-3)
        assert math.remainder(answer["yaw"] - box["yaw"], 2 * math.pi) == pytest.approx(0, abs=1e-3)
        assert answer["distance"] == pytest.approx(math.hypot(*box["centre"][:2]), abs=1e-3)
        row = truth.take(np.linalg.norm(truth.centre - answer["centre"], axis=1) < 1e-3)
        np.testing.assert_allclose(answer["box"], row.box[0], atol=1e-3)


@pytest.mark.parametrize("seed", range(5))
def test_truth_reads_what_was_encoded(seed: int):
    rng = np.random.default_rng(seed)
    task, pose = spec(), tilted(rng)
    boxes = random_boxes(rng, 10)
    boxes[0]["velocity"] = [math.nan, 1.0]
    del boxes[1]["velocity"], boxes[2]["lidar_points"]
    truth = task.truth(task.encode({"boxes": boxes, "camera": pose})[None])
    distance = [np.linalg.norm(centre[:2]) for centre in truth.centre]
    assert len(truth) > 3
    for i in range(len(truth)):
        box = min(boxes, key=lambda each, i=i: np.linalg.norm(each["centre"] - truth.centre[i]))  # type: ignore[misc]
        np.testing.assert_allclose(truth.centre[i], box["centre"], atol=1e-4)
        np.testing.assert_allclose(truth.size[i], box["size"], atol=1e-4)
        velocity = box.get("velocity", [math.nan] * 2)
        expected = velocity if np.isfinite(velocity).all() else [math.nan, math.nan]
        np.testing.assert_allclose(truth.velocity[i], expected, atol=1e-4)
        points = box["radar_points"] + box["lidar_points"] if "lidar_points" in box else -1
        assert truth.points[i] == points
    assert len(distance) == len(task.classes_of(task.encode({"boxes": boxes, "camera": pose})))


def test_boxes_of_a_reader_and_dicts_are_the_same():
    yaw = 0.3
    box = Box(
        category="vehicle.car",
        name="car",
        centre=(20.0, 1.0, 0.8),
        size=(1.8, 4.5, 1.6),
        rotation=(math.cos(yaw / 2), 0.0, 0.0, math.sin(yaw / 2)),
        velocity=(3.0, 0.2),
        radar_points=1,
        lidar_points=2,
        attribute="vehicle.moving",
    )
    same = CAR | {"radar_points": 1, "lidar_points": 2, "attribute": "vehicle.moving"}
    numbers = [*AHEAD.translation, *AHEAD.rotation]
    expected = spec().encode({"boxes": [box], "camera": AHEAD})
    for target in ({"boxes": [same], "camera": numbers}, {"boxes": [same]}):
        np.testing.assert_allclose(spec().encode(target), expected, atol=1e-6)


def test_what_is_left_out():
    task = spec(max_objects=2)
    others = [
        CAR | {"name": "bus"},
        CAR | {"name": ""},
        CAR | {"centre": [-20.0, 0.0, 1.0]},
        CAR | {"centre": [2.0, 0.0, 1.0]},
        CAR | {"centre": [20.0, 30.0, 1.0]},
        CAR | {"centre": [40.0, 0.0, 1.0]},
        CAR | {"centre": [30.0, 0.0, 1.0]},
    ]
    target = task.encode({"boxes": [*others, CAR]})
    np.testing.assert_allclose(target[:2, 8], [18.3, 28.3], atol=1e-5)
    assert task.classes_of(target) == ["car", "car"]
    empty = task.encode({"boxes": []})
    assert not empty[:2].any()
    assert len(task.truth(empty[None])) == len(task.truth(np.zeros((0, 3, 20)))) == 0


def test_cycles_in_a_rack_count_as_unseen():
    seen = {"radar_points": 3, "lidar_points": 5}
    inside = CAR | seen | {"name": "bicycle", "centre": [20.0, 1.5, 0.8]}
    outside = inside | {"centre": [20.0, 4.0, 0.8]}
    rack = {
        "name": "",
        "category": "static_object.bicycle_rack",
        "centre": [20.0, 1.0, 0.8],
        "size": [2.0, 6.0, 2.0],
        "yaw": 0.1,
    }
    truth = spec().truth(spec().encode({"boxes": [inside, outside, rack, CAR | seen]})[None])
    points = {
        name: truth.points[np.isclose(truth.centre[:, 1], y)] for name, y in (("in", 1.5), ("out", 4), ("car", 1))
    }
    assert [points[name].tolist() for name in ("in", "out", "car")] == [[0], [8], [8]]


@pytest.mark.parametrize(
    ("target", "words"),
    [
        (None, "Expected a target like"),
        ([CAR], "Expected a target like"),
        ({"boxes": None}, "Expected a target like"),
        ({"boxes": [CAR], "camera": [1, 2, 3]}, "Expected a pose camera -> ego"),
        ({"boxes": [CAR], "camera": "front"}, "Expected a pose camera -> ego"),
        ({"boxes": [CAR], "camera": [10**400, 0, 0, 1, 0, 0, 0]}, "Expected a pose camera -> ego"),
        ({"boxes": [CAR], "camera": [0, 0, 0, 1, 1, 0, 0]}, "unit quaternion"),
        ({"boxes": [CAR], "camera": Pose()}, "looks up or down"),
        ({"boxes": [CAR | {"name": "lorry"}]}, r"boxes\[0\]: No label is called 'lorry'"),
        ({"boxes": [CAR | {"name": None}]}, r"boxes\[0\]: Expected a class name"),
        ({"boxes": [CAR, CAR | {"centre": [1, 2]}]}, r"boxes\[1\]\.centre: Expected 3 finite numbers"),
        ({"boxes": [CAR | {"centre": [1, 2, math.nan]}]}, r"centre: Expected 3 finite numbers"),
        ({"boxes": [CAR | {"size": ["big"] * 3}]}, r"size: Expected 3 finite numbers"),
        ({"boxes": [CAR | {"size": [1, 1, 0]}]}, r"size: Expected width, length and height above 0"),
        ({"boxes": [CAR | {"yaw": math.inf}]}, r"Expected a finite 'yaw'"),
        ({"boxes": [CAR | {"yaw": None}]}, r"Expected a finite 'yaw'"),
        ({"boxes": [CAR | {"rotation": [0, 0, 0, 0]}]}, r"rotation: Expected a unit quaternion"),
        ({"boxes": [CAR | {"velocity": [1]}]}, r"velocity: Expected 2"),
        ({"boxes": [CAR | {"attribute": "vehicle.flying"}]}, r"Expected an attribute of nuScenes"),
        ({"boxes": [CAR | {"visibility": "v80"}]}, r"Expected whole numbers"),
    ],
)
def test_targets_that_do_not_fit(target: Any, words: str):
    with pytest.raises(DataError, match=words):
        spec().encode(target)


NUMBERS = st.one_of(st.none(), st.floats(width=32), st.integers(-100, 100), st.text(max_size=3))


@hypothesis.settings(max_examples=150, deadline=None)
@hypothesis.given(
    change=st.dictionaries(
        st.sampled_from(["name", "centre", "size", "yaw", "rotation", "velocity", "attribute", "radar_points"]),
        st.one_of(
            NUMBERS,
            st.just(10**400),
            st.just([1e38, 1e38]),
            st.lists(NUMBERS, max_size=4),
            st.lists(st.floats(-50, 50), min_size=2, max_size=3),
        ),
        max_size=3,
    )
)
def test_any_box_is_encoded_or_refused(change: dict[str, Any]):
    task = spec()
    try:
        target = task.encode({"boxes": [CAR | change]})
    except DataError:
        return
    assert target.shape == task.target.shape
    assert target.dtype == np.float32
    assert np.isfinite(target).all()


def test_vectors_turn_there_and_back():
    rng = np.random.default_rng(0)
    rotation = np.stack([tilted(rng).matrix[:3, :3] for _ in range(20)])
    vectors = rng.normal(size=(20, 2))
    np.testing.assert_allclose(to_ego_plane(to_camera_plane(vectors, rotation), rotation), vectors, atol=1e-12)
    np.testing.assert_allclose(to_camera_plane(np.array([[1.0, 2.0]]), AHEAD.matrix[:3, :3]), [[-2.0, 1.0]], atol=1e-12)


def test_pixel_boxes_are_cut_at_the_image_and_the_camera():
    camera = spec().pinhole
    sizes, eye = np.array([[2.0, 2.0, 2.0]]), np.eye(3)[None]

    def box(centre: Sequence[float]) -> list[float]:
        result: list[float] = pixel_boxes(box_corners(np.array([centre]), sizes, eye), camera)[0].tolist()
        return result

    assert box([0, 0, 11]) == pytest.approx([128 - 23, 40 - 23, 128 + 23, 40 + 23])
    assert box([0, 0, 0.5]) == [0, 0, 256, 96]
    assert box([8, 0, 11])[2] == 256
    for hidden in ([0, 0, -5], [100, 0, 11], [-100, 0, 11]):
        left, top, right, bottom = box(hidden)
        assert (right - left) * (bottom - top) == 0
