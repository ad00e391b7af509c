"""Astyx and comma2k19, on real frames of both."""

from __future__ import annotations

import json
import math
import shutil

import numpy as np
import pytest

from mmkeras.core.errors import DataError
from mmkeras.driving.drives import astyx, comma2k19
from mmkeras.driving.drives.open import drive_format, open_drive
from mmkeras.media.geometry import Pose
from mmkeras.media.image.pixels import read_rgb
from mmkeras.modalities.radar.spec import read_points
from tests.driving.drives import tiny_nuscenes as tiny

ASTYX = "radar/astyx_demo_CC-BY-NC-SA-4.0/dataset_astyx_demo"
COMMA = "radar/comma2k19_MIT"


def pixels(snapshot, points):
    """Return the pixels of points in the camera's frame."""
    projected = points @ snapshot.intrinsic.T
    return projected[:, :2] / projected[:, 2:]


@pytest.fixture
def astyx_folder(shared_data, tmp_path):
    """Return a copy of Astyx without its pictures' content, to be damaged."""
    folder = shared_data("radar") / ASTYX
    shutil.copytree(folder, tmp_path / "astyx", ignore=lambda path, names: [n for n in names if n.endswith(".png")])
    for number in range(3):
        (tmp_path / "astyx" / "camera_bfly" / f"00000{number}.png").touch()
    return tmp_path / "astyx"


@pytest.fixture
def comma_folder(shared_data, tmp_path):
    """Return a copy of comma2k19, to be damaged."""
    return shutil.copytree(shared_data("radar") / COMMA, tmp_path / "comma")


def test_astyx_frames(shared_data):
    found = list(open_drive(shared_data("radar") / ASTYX))
    assert [snapshot.name for snapshot in found] == ["000000", "000001", "000002"]
    assert [len(snapshot.points) for snapshot in found] == [1941, 2209, 1167]
    assert [len(snapshot.boxes) for snapshot in found] == [15, 14, 10]
    assert [round(snapshot.speed * 3.6, 3) for snapshot in found] == [0.108, 1.944, 30.132]
    for snapshot in found:
        assert read_rgb(snapshot.path).size == (2048, 618)
        np.testing.assert_array_equal(read_points(snapshot.points), snapshot.points)
        assert np.isfinite(snapshot.points).all()


def test_astyx_points_fall_on_the_cars(shared_data):
    """Returns around a box fall into its outline in the picture, and not into that of a camera turned by 5 degrees."""
    shares: dict[float, list[float]] = {0.0: [], 5.0: []}
    for snapshot in astyx.snapshots(shared_data("radar") / ASTYX):
        near = [box for box in snapshot.boxes if box.centre[0] < 35 and abs(box.centre[1]) < 8 and box.visibility == 4]
        assert len(near) >= 2
        ego = snapshot.camera.apply(snapshot.points[:, :3])
        for box in near:
            assert box.radar_points > 0
            beside = np.linalg.norm(ego[:, :2] - box.centre[:2], axis=1) < 1.5
            seen = pixels(snapshot, snapshot.points[beside, :3])
            for degrees, found in shares.items():
                turned = snapshot.camera.inverse @ Pose.flat(0, 0, math.radians(degrees))
                corners = pixels(snapshot, turned.apply(box.corners()))
                low, high = corners.min(axis=0) - 15, corners.max(axis=0) + 15
                found.append(((seen >= low) & (seen <= high)).all(axis=1).mean())
    # The rest are returns by way of the road, which seem to lie below the cars.
    assert np.mean(shares[0.0]) > 0.7
    assert np.mean(shares[5.0]) < 0.4


def test_astyx_is_freed_of_its_own_speed(shared_data):
    """At 30 km/h most of the returns are trees and signs; over ground they stand still."""
    moving = list(astyx.snapshots(shared_data("radar") / ASTYX))[2]
    speeds = np.linalg.norm(moving.points[:, 4:7], axis=1)
    assert np.median(speeds) < 0.4
    assert (speeds < 1.0).mean() > 0.8
    assert speeds.max() <= astyx.WRAP / 2 + 1e-5
    along = np.abs((moving.points[:, 4:7] * moving.points[:, :3]).sum(axis=1))
    ranges = np.linalg.norm(moving.points[:, :3], axis=1)
    far = ranges > 10
    np.testing.assert_allclose(along[far] / ranges[far], speeds[far], atol=0.05)


@pytest.mark.parametrize(
    ("file", "content", "words"),
    [
        ("radar_hires1/000000.txt", None, "no such file"),
        ("radar_hires1/000000.txt", "\nX Y Z V_r\n", r":2: expected the columns X Y Z V_r Mag"),
        ("radar_hires1/000000.txt", "X Y Z V_r Mag\n1 2 3 4\n", ":2: expected five finite numbers"),
        ("radar_hires1/000000.txt", "X Y Z V_r Mag\n1 2 nan 4 5\n", ":2: expected five finite numbers"),
        ("radar_hires1/000000.txt", "X Y Z V_r Mag\n", "no radar point"),
        ("calibration/000000.json", "{", "not valid JSON"),
        ("calibration/000000.json", '{"sensors": [{}]}', "expected sensors"),
        ("calibration/000000.json", '{"sensors": []}', "no sensor whose sensor_uid starts with 'camera'"),
        ("groundtruth_obj3d/000000.json", '{"objects": 3}', "expected a list of objects"),
        ("groundtruth_obj3d/000000.json", '{"objects": [{}]}', "object 0 has no 'dimension3d'"),
        ("canbus/000000.json", "[", "not valid JSON"),
        ("camera_bfly/000000.png", None, r"000000\.\*: no such picture"),
    ],
)
def test_broken_astyx_files_are_named(astyx_folder, file, content, words):
    path = astyx_folder / file
    path.unlink() if content is None else path.write_text(content)
    with pytest.raises(DataError, match=words) as caught:
        next(astyx.snapshots(astyx_folder))
    assert str(path.parent) in str(caught.value)


@pytest.mark.parametrize(
    ("file", "keys", "value", "words"),
    [
        ("calibration", ("sensors", 2, "calib_data", "K"), [[1, 2], [3, 4]], "camera_bfly: expected K"),
        ("calibration", ("sensors", 2, "calib_data", "T_to_ref_COS"), np.zeros((4, 4)).tolist(), "expected a pose"),
        ("groundtruth_obj3d", ("objects", 1, "orientation_quat"), [1, 1, 0, 0], "object 1: .*unit quaternion"),
        ("groundtruth_obj3d", ("objects", 0, "dimension3d"), [1, 0, 1], "object 0: expected dimension3d above 0"),
    ],
)
def test_broken_astyx_numbers_are_named(astyx_folder, file, keys, value, words):
    path = astyx_folder / file / "000000.json"
    content = part = json.loads(path.read_text())
    for key in keys[:-1]:
        part = part[key]
    part[keys[-1]] = value
    path.write_text(json.dumps(content))
    with pytest.raises(DataError, match=words) as caught:
        next(astyx.snapshots(astyx_folder))
    assert str(path) in str(caught.value)


def test_astyx_without_a_bus(astyx_folder):
    (astyx_folder / "canbus/000000.json").write_text('{"GPS_Speed_3D": NaN, "vehicle_speed": 36}')
    assert next(astyx.snapshots(astyx_folder)).speed == 10.0
    shutil.rmtree(astyx_folder / "canbus")
    assert math.isnan(next(astyx.snapshots(astyx_folder)).speed)


def test_comma2k19_tracks_fall_on_the_cars(shared_data):
    (snapshot,) = open_drive(shared_data("radar") / COMMA)
    assert (snapshot.points.shape, snapshot.boxes) == ((13, 8), ())
    assert math.isclose(snapshot.speed, 7.974, abs_tol=1e-3)
    assert read_rgb(snapshot.path).size == (1164, 874)
    np.testing.assert_allclose(snapshot.points[:, 7], -0.041, atol=0.003)
    by_distance = snapshot.points[np.argsort(snapshot.points[:, 2])]
    ahead, seen = by_distance[:, 2], pixels(snapshot, by_distance[:, :3])
    # Looked up in the picture: the white SUV and the silver car before us. Left, top, right, bottom.
    for near, rectangle in ((19.8, (700, 358, 827, 452)), (30.8, (567, 383, 622, 430))):
        left, top, right, bottom = rectangle
        ((x, y),) = seen[np.abs(ahead - near) < 0.5][:1]
        assert left < x < right
        assert top < y < bottom
    # A red car stands at the lights on the left, 54 m ahead of the bumper: 8 m/s towards us, none over ground.
    red = by_distance[np.argmin(np.abs(ahead - 55.7))]
    assert np.linalg.norm(red[4:7]) < 0.6
    assert red[0] < -4


def test_a_camera_that_sees_the_road_meet_the_horizon():
    intrinsic = np.array(comma2k19.INTRINSIC)
    for point in ((582.0, 437.0), (594.0, 393.0), (400.0, 500.0)):
        pose = comma2k19.camera_pose(intrinsic, point)
        far = pose.inverse.apply(np.array([[1e6, 0.0, 0.0]]))
        projected = far @ intrinsic.T
        np.testing.assert_allclose(projected[0, :2] / projected[0, 2], point, atol=0.01)
        assert pose.translation == (0.0, 0.0, comma2k19.CAMERA_HEIGHT)
        assert abs(pose.inverse.rotate(np.array([[0.0, 1.0, 0.0]]))[0, 1]) < 1e-9


def test_comma2k19_as_upstream_lays_it_out(comma_folder):
    expected = next(comma2k19.snapshots(comma_folder))
    for old, new in (
        ("radar", "processed_log/CAN/radar"),
        ("speed", "processed_log/CAN/car_speed"),
        ("pose", "global_pos"),
    ):
        (comma_folder / new).parent.mkdir(parents=True, exist_ok=True)
        (comma_folder / old).rename(comma_folder / new)
    (comma_folder / "camera_intrinsics.txt").unlink()
    found = next(open_drive(comma_folder))
    np.testing.assert_array_equal(found.points, expected.points)
    assert found.speed == expected.speed
    shutil.rmtree(comma_folder / "processed_log/CAN/car_speed")
    assert math.isnan(next(comma2k19.snapshots(comma_folder)).speed)


@pytest.mark.parametrize(
    ("file", "content", "words"),
    [
        ("radar/t", None, "no such file"),
        ("radar/t", b"", "not a numpy array"),
        ("radar/value", np.zeros((3, 7)), r"expected t \(N,\) and value \(N, 7\), got \(10100,\) and \(3, 7\)"),
        ("radar/value", np.full((10100, 7), np.nan), "row 0 holds NaN"),
        ("pose/frame_times", None, "no such file"),
        ("pose/frame_times", np.zeros(0), r"expected times \(N,\)"),
        ("speed/value", np.zeros((2, 1)), "expected t"),
        ("camera_intrinsics.txt", b"[[1, 2], [3, 4]]", "expected a camera matrix"),
        ("camera_intrinsics.txt", b"import os", "expected a camera matrix"),
    ],
)
def test_broken_comma2k19_files_are_named(comma_folder, file, content, words):
    path = comma_folder / file
    if content is None:
        path.unlink()
    elif isinstance(content, bytes):
        path.write_bytes(content)
    else:
        with path.open("wb") as stream:
            np.save(stream, content)
    with pytest.raises(DataError, match=words) as caught:
        next(comma2k19.snapshots(comma_folder))
    assert str(path.parent) in str(caught.value)


def test_formats_are_told_apart(shared_data, tmp_path):
    folder = shared_data("radar")
    assert [drive_format(folder / name) for name in (ASTYX, COMMA, "radar")] == ["astyx", "comma2k19", ""]
    with pytest.raises(DataError, match=r"several drives, name one of them: .*dataset_astyx_demo, .*comma2k19_MIT"):
        open_drive(folder / "radar")
    assert len(list(open_drive((folder / ASTYX).parent))) == 3


def test_what_is_no_drive(tmp_path):
    with pytest.raises(DataError, match="no drive found"):
        open_drive(tmp_path)
    with pytest.raises(DataError, match="no such directory"):
        open_drive(tmp_path / "none")


def test_nuscenes_in_the_same_form(tmp_path):
    tiny.write(tmp_path / "drive", ("scene-0061",))
    found = list(open_drive(tmp_path))
    assert [snapshot.name for snapshot in found] == [f"scene-0061-p{number}" for number in range(tiny.SAMPLES)]
    last = found[-1]
    assert last.points.shape == (36, 8)
    assert len(last.boxes) == 1
    assert math.isnan(last.speed)
