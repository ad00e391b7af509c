from __future__ import annotations

import dataclasses
import io
import json
import math
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from mmkeras.core.console import Console
from mmkeras.core.errors import DataError
from mmkeras.driving.drives.alignment import best_turn, measure
from mmkeras.driving.drives.calibration import check, inspect
from mmkeras.driving.drives.snapshot import Box, Snapshot
from mmkeras.media.geometry import Pose
from mmkeras.modalities.radar.spec import rotated

SIZE = (320, 180)
INTRINSIC = np.array([[250.0, 0, 160], [0, 250, 80], [0, 0, 1]])
CAMERA = Pose.from_matrix(np.array([[0, 0, 1, 1.7], [-1, 0, 0, 0], [0, -1, 0, 1.5], [0, 0, 0, 1.0]]))


def _box(x: float, y: float, seen: bool = True) -> Box:
    return Box("vehicle.car", "car", (x, y, 0.8), (1.9, 4.5, 1.6), (1.0, 0.0, 0.0, 0.0), radar_points=int(seen))


def _snapshots(folder: Path, count: int = 12, *, seed: int = 0) -> list[Snapshot]:
    """Cars with noisy returns, and clutter, as a radar of 1.5 degrees of noise gives them."""
    random = np.random.default_rng(seed)
    picture = folder / "picture.png"
    Image.new("RGB", SIZE, "#507090").save(picture)
    made = []
    for number in range(count):
        boxes = [_box(random.uniform(10, 50), random.uniform(-6, 6)) for _ in range(4)]
        places = [np.add(box.centre, random.normal(0, (0.5, 0.3, 0.1))) for box in boxes for _ in range(4)]
        places += [np.array([random.uniform(5, 55), random.uniform(-25, 25), 0.5]) for _ in range(30)]
        ego = np.asarray(places)
        turn = np.radians(random.normal(0, 1.5, len(ego)))
        ego[:, 0], ego[:, 1] = (
            ego[:, 0] * np.cos(turn) - ego[:, 1] * np.sin(turn),
            ego[:, 0] * np.sin(turn) + ego[:, 1] * np.cos(turn),
        )
        points = np.zeros((len(ego), 8), np.float32)
        points[:, :3] = CAMERA.inverse.apply(ego)
        made.append(Snapshot(str(number), str(picture), INTRINSIC, CAMERA, points, tuple(boxes)))
    return made


def _turned(snapshots: list[Snapshot], degrees: float) -> list[Snapshot]:
    return [dataclasses.replace(each, points=rotated(each.points, degrees)) for each in snapshots]


@pytest.mark.parametrize(
    ("degrees", "grade"),
    [(0, "good"), (0.5, "good"), (2.5, "suspicious"), (-2.5, "suspicious"), (5, "wrong"), (-5, "wrong")],
)
def test_a_turned_radar_is_found(tmp_path: Path, degrees: float, grade: str):
    verdict, _ = check(_turned(_snapshots(tmp_path, 40), degrees))
    assert verdict.grade == grade
    assert verdict.good == (grade == "good")
    assert verdict.turn is not None
    assert verdict.turn.degrees == pytest.approx(-degrees, abs=0.4)
    assert 0 < verdict.turn.uncertainty < 0.4
    if grade != "good":
        assert ("right" if degrees > 0 else "left") in verdict.reasons[0]


def test_few_boxes_prove_nothing(tmp_path: Path):
    bare = [dataclasses.replace(each, boxes=()) for each in _snapshots(tmp_path)]
    verdict, shown = check(bare)
    assert verdict.grade == "unproven"
    assert verdict.good
    assert verdict.turn is None
    assert verdict.numbers["boxes_hit"] is None
    assert verdict.numbers["best_yaw"] is None
    assert len(shown) == 6


def test_points_behind_the_camera_or_off_the_picture_are_wrong(tmp_path: Path):
    snapshots = _snapshots(tmp_path)
    behind = [
        dataclasses.replace(s, points=s.points * np.array([1, 1, -1, 1, 1, 1, 1, 1], np.float32)) for s in snapshots
    ]
    verdict, _ = check(behind)
    assert verdict.grade == "wrong"
    assert "in front of the camera" in verdict.reasons[0]
    high = [
        dataclasses.replace(s, points=s.points + np.array([0, -30, 0, 0, 0, 0, 0, 0], np.float32)) for s in snapshots
    ]
    verdict, _ = check(high)
    assert verdict.grade == "wrong"
    assert "fall into the picture" in verdict.reasons[0]
    none = [dataclasses.replace(s, points=np.zeros((0, 8), np.float32)) for s in snapshots]
    verdict, _ = check(none)
    assert verdict.grade == "wrong"
    assert "no radar point" in verdict.reasons[0]


def test_an_old_sweep_is_moved_on_with_its_box(tmp_path: Path):
    picture = tmp_path / "picture.png"
    Image.new("RGB", SIZE).save(picture)
    box = dataclasses.replace(_box(20.0, 0.0), velocity=(0.0, 8.0))
    # Half a second ago it was 4 m further right.
    point = np.zeros((1, 8), np.float32)
    point[0, :3] = CAMERA.inverse.apply(np.array([[18.0, -4.0, 0.5]]))
    point[0, 7] = 0.5
    found = measure(Snapshot("a", str(picture), INTRINSIC, CAMERA, point, (box,)), SIZE)
    assert found.offsets[0] == pytest.approx([0.0], abs=0.5)
    assert found.halves[0] == pytest.approx(math.degrees(math.atan2(0.95, 18.3 - 2.25)), abs=0.2)


def test_unseen_boxes_do_not_vote(tmp_path: Path):
    snapshots = _snapshots(tmp_path, 3)
    unseen = [
        dataclasses.replace(s, boxes=tuple(dataclasses.replace(box, radar_points=0) for box in s.boxes))
        for s in snapshots
    ]
    alignments = [measure(each, SIZE) for each in unseen]
    assert best_turn(alignments) is None
    assert not any(each.offsets for each in alignments)


def test_nothing_to_inspect_and_no_picture(tmp_path: Path):
    with pytest.raises(DataError, match="at least one picture"):
        check([])
    (snapshot,) = _snapshots(tmp_path, 1)
    with pytest.raises(DataError, match=r"lost\.png"):
        check([dataclasses.replace(snapshot, path=str(tmp_path / "lost.png"))])


def test_inspect_writes_a_picture_and_its_numbers(shared_data, tmp_path: Path):
    folder = shared_data("radar")
    astyx = next(folder.rglob("dataset_astyx_demo"))
    stream = io.StringIO()
    verdict = inspect(astyx, tmp_path / "out", Console(file=stream, width=100))
    assert verdict.grade == "good", verdict.reasons
    record = json.loads((tmp_path / "out" / "inspection.json").read_text())
    assert record["grade"] == "good"
    assert record["numbers"] == verdict.numbers
    assert record["numbers"]["boxes"] > 10
    with Image.open(tmp_path / "out" / "inspection.png") as picture:
        assert picture.width > 1000
    assert "best yaw of the radar" in stream.getvalue()
    assert "good" in stream.getvalue()

    comma = inspect(next(folder.rglob("comma2k19_MIT")), tmp_path / "comma")
    assert comma.grade == "unproven"
    assert comma.numbers["points_in_picture"] == 1.0
