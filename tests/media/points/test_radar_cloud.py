from __future__ import annotations

import math
import pickle
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mmkeras.core.errors import DataError
from mmkeras.media.geometry import Pose
from mmkeras.media.points.radar_cloud import (
    POINT_FIELDS,
    RadarFilter,
    Sweep,
    SweepFile,
    SweepFiles,
    points_in_camera,
    read_nuscenes_radar,
)
from tests.driving.drives.tiny_nuscenes import CAMERA, RECORD, radar_file, records

FIVE = [(10.0 + n, n - 2.0, 0.5, 3.0 * n, -1.0, 0.25) for n in range(5)]


@pytest.mark.parametrize("trailing", [b"", b"\0", b"\n"])
def test_files_with_and_without_the_extra_byte(trailing, tmp_path):
    assert RECORD.itemsize == 43
    path = tmp_path / "radar.pcd"
    path.write_bytes(radar_file(records(*FIVE), trailing))
    np.testing.assert_array_equal(read_nuscenes_radar(path), np.array(FIVE, np.float32))


def test_state_filters(tmp_path):
    points = records(*FIVE)
    points["invalid_state"][0] = 4
    points["dyn_prop"][1] = 7
    points["ambig_state"][2] = 1
    path = tmp_path / "radar.pcd"
    path.write_bytes(radar_file(points))

    def kept(filter: RadarFilter) -> list[float]:
        return read_nuscenes_radar(path, filter)[:, 0].tolist()

    assert kept(RadarFilter()) == [13.0, 14.0]
    assert kept(RadarFilter(invalid_states=(0, 4))) == [10.0, 13.0, 14.0]
    assert kept(RadarFilter(dyn_props=None)) == [11.0, 13.0, 14.0]
    assert kept(RadarFilter(ambig_states=None)) == [12.0, 13.0, 14.0]
    assert len(kept(RadarFilter(None, None, None))) == 5
    assert kept(RadarFilter(dyn_props=())) == []


def test_nan_first_is_an_empty_cloud_and_later_an_error(tmp_path):
    path = tmp_path / "radar.pcd"
    points = records(*FIVE)
    points["y_rms"] = 1
    points["rcs"][0] = math.nan
    path.write_bytes(radar_file(points))
    assert read_nuscenes_radar(path).shape == (0, 6)
    points["rcs"][:2] = 1.0, math.nan
    path.write_bytes(radar_file(points))
    with pytest.raises(DataError, match=r"radar\.pcd: record 1 of 5 holds NaN"):
        read_nuscenes_radar(path)
    points["invalid_state"][1] = 1
    path.write_bytes(radar_file(points))
    assert len(read_nuscenes_radar(path)) == 4


def test_files_that_are_no_radar(tmp_path):
    path = tmp_path / "radar.pcd"
    with pytest.raises(DataError, match=r"radar\.pcd: no such file"):
        read_nuscenes_radar(path)
    path.write_bytes(radar_file(records()))
    with pytest.raises(DataError, match=r"radar\.pcd: no records"):
        read_nuscenes_radar(path)
    path.write_bytes(radar_file(records(*FIVE), b"")[:-1])
    with pytest.raises(DataError, match=r"radar\.pcd: truncated"):
        read_nuscenes_radar(path)
    path.write_bytes(radar_file(records(*FIVE)).replace(b" rcs ", b" rsc "))
    with pytest.raises(DataError, match=r"radar\.pcd: not a nuScenes radar file: .*'rcs'; did you mean 'rsc'"):
        read_nuscenes_radar(path)
    path.write_bytes(radar_file(records(*FIVE)).replace(b" ambig_state ", b" ambig_stage "))
    with pytest.raises(DataError, match="'ambig_state'"):
        read_nuscenes_radar(path)
    assert len(read_nuscenes_radar(path, RadarFilter(ambig_states=None))) == 5


ANGLE = st.floats(-math.pi, math.pi)
METRES = st.floats(-1000, 1000)


@given(*[ANGLE] * 5, *[METRES] * 4)
def test_a_point_in_the_world_stays_where_it_is(a, b, c, d, e, x, y, px, py):
    """A post and a velocity fixed in the world look the same from wherever the radar was."""
    frame, camera = Pose.flat(x, y, a), Pose.flat(1, 0, b, 1.5) @ CAMERA
    place, velocity = np.array([[px, py, 1.0]]), np.array([[3.0, -4.0, 0.0]])
    sweeps = []
    for number, (ego, sensor) in enumerate([(frame, Pose.flat(3, 0, c)), (Pose.flat(y, x, d), Pose.flat(2, 1, e))]):
        radar = ego @ sensor
        cloud = np.hstack([radar.inverse.apply(place), [[7.0]], radar.inverse.rotate(velocity)[:, :2]])
        sweeps.append(Sweep(cloud, 1_000_000 - number * 70_000, sensor, ego))
    points = points_in_camera(sweeps, camera, frame, 1_050_000)
    assert points.dtype == np.float32
    assert points.shape == (2, len(POINT_FIELDS))
    expected = (frame @ camera).inverse
    for point in points:
        np.testing.assert_allclose(point[:3], expected.apply(place)[0], atol=1e-3)
        np.testing.assert_allclose(point[4:7], expected.rotate(velocity)[0], atol=1e-5)
    np.testing.assert_allclose(points[:, 7], [0.05, 0.12], atol=1e-7)
    np.testing.assert_array_equal(points[:, 3], 7.0)


def test_no_sweep_gives_no_point():
    assert points_in_camera([], CAMERA, Pose(), 0).shape == (0, 8)
    empty = Sweep(np.empty((0, 6)), 0, Pose(), Pose())
    assert points_in_camera([empty], CAMERA, Pose(), 0).shape == (0, 8)


def test_a_recipe_reads_in_another_process(tmp_path):
    full, empty = tmp_path / "full.pcd", tmp_path / "empty.pcd"
    full.write_bytes(radar_file(records(*FIVE)))
    empty.write_bytes(radar_file(records((math.nan,) * 6)))
    egos = np.array([[0, 0, 0, 1, 0, 0, 0.0], [1, 0, 0, 1, 0, 0, 0]])
    sensor = Pose.flat(3.4, 0.0, 0.0)

    def recipe(*paths: object, **options: Any) -> SweepFiles:
        chosen = tuple(map(str, paths))
        return SweepFiles(chosen, (100_000, 0), (sensor, sensor), egos, CAMERA, Pose.flat(1, 0, 0), 100_000, **options)

    made = recipe(full, empty)
    points = pickle.loads(pickle.dumps(made)).points()
    np.testing.assert_array_equal(points, made.points())
    np.testing.assert_allclose(points[:, 2], [10 + n + 3.4 - 1 - 1.7 for n in range(5)], atol=1e-5)
    with pytest.raises(DataError, match=r"empty\.pcd: no radar point in this sweep and 1 others"):
        recipe(empty, empty).points()
    assert recipe(empty, empty, allow_empty=True).points().shape == (0, 8)
    egos[1, 3] = 0.5
    with pytest.raises(DataError, match=r"empty\.pcd: its ego pose: expected a rotation"):
        recipe(full, empty).points()
    one = SweepFile(str(full), 0, sensor, Pose(), "RADAR_FRONT").read(RadarFilter(None, None, None))
    assert (one.channel, one.path, len(one.cloud)) == ("RADAR_FRONT", str(full), 5)
