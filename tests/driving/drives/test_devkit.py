"""Holds the reader to nuscenes-devkit, which is needed for these tests alone."""

from __future__ import annotations

import importlib
import math
import warnings

import numpy as np
import pytest

from mmkeras.driving.drives.nuscenes import NuScenes
from mmkeras.driving.drives.official_splits import official_split
from mmkeras.media.points.radar_cloud import RadarFilter, read_nuscenes_radar
from tests.driving.drives import tiny_nuscenes as tiny

HOW = "pip install --no-deps nuscenes-devkit==1.2.0 pyquaternion cachetools opencv-python-headless"


@pytest.fixture(scope="module")
def devkit():
    """Return a function that imports a module of the devkit, or skip."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            importlib.import_module("nuscenes.nuscenes")
    except ModuleNotFoundError as error:
        pytest.skip(f"{error.name} is missing; for this test: {HOW}")
    return importlib.import_module


@pytest.fixture(scope="module")
def both(devkit, tmp_path_factory):
    """Return one directory as this reader and as the devkit opens it."""
    folder = tiny.write(tmp_path_factory.mktemp("devkit"))
    return NuScenes(folder), devkit("nuscenes.nuscenes").NuScenes("v1.0-mini", str(folder), verbose=False)


def test_radar_files_and_filters(devkit, tmp_path):
    clouds = devkit("nuscenes.utils.data_classes").RadarPointCloud
    random = np.random.default_rng(0)
    points = np.zeros(400, tiny.RECORD)
    for name in ("x", "y", "z", "rcs", "vx", "vy", "vx_comp", "vy_comp"):
        points[name] = random.normal(0, 20, len(points))
    points["dyn_prop"] = random.integers(0, 8, len(points))
    points["ambig_state"] = random.integers(0, 5, len(points))
    points["invalid_state"] = random.integers(0, 18, len(points)) * random.integers(0, 2, len(points))
    path = tmp_path / "radar.pcd"
    path.write_bytes(tiny.radar_file(points))
    for ours, theirs in (
        (RadarFilter(), ()),
        (RadarFilter(None, None, None), (range(18), range(18), range(18))),
        (RadarFilter((0, 4), (0, 2, 6), (3, 4)), ([0, 4], [0, 2, 6], [3, 4])),
    ):
        expected = clouds.from_file(str(path), *theirs).points[[0, 1, 2, 5, 8, 9]].T
        assert 0 < len(expected) <= len(points)
        np.testing.assert_array_equal(read_nuscenes_radar(path, ours), expected.astype(np.float32))
    points["rcs"][0] = math.nan
    path.write_bytes(tiny.radar_file(points))
    assert clouds.from_file(str(path)).points.shape[1] == len(read_nuscenes_radar(path)) == 0


def test_sweeps_in_the_frame_of_the_camera(both, devkit):
    ours, theirs = both
    clouds = devkit("nuscenes.utils.data_classes").RadarPointCloud
    for name in tiny.SCENES:
        token = ours.samples(name)[-1]
        frame = ours.frame(token)
        # The devkit begins with the sweep of the sample, which may be younger than the picture: so does this recipe.
        sample = theirs.get("sample", token)
        for channel in tiny.RADARS:
            sweep, times = theirs.get("sample_data", sample["data"][channel]), []
            for _ in range(5):
                sweep = theirs.get("sample_data", sweep["prev"])
                times.append(sweep["timestamp"])
            recipe = ours.recipe(frame, [channel], 5)
            cloud, lags = clouds.from_file_multisweep(theirs, sample, channel, "CAM_FRONT", 6, min_distance=0.0)
            points = recipe.points()
            kept = lags[0] > 0
            np.testing.assert_allclose(points[:, :3], cloud.points[:3].T[kept], atol=1e-4)
            np.testing.assert_allclose(points[:, 3], cloud.points[5][kept])
            np.testing.assert_allclose(points[:, 7], lags[0][kept], atol=1e-6)
            assert times == list(recipe.timestamps)
            # Its velocities stay in the sensor's frame; turned they are ours.
            speeds = np.hypot(*cloud.points[8:10][:, kept])
            np.testing.assert_allclose(np.linalg.norm(points[:, 4:7], axis=1), speeds, atol=1e-5)


def test_boxes_and_velocities(both):
    ours, theirs = both
    for name in tiny.SCENES:
        for token in ours.samples(name):
            ego = ours.frame(token).ego
            expected = theirs.get_boxes(theirs.get("sample", token)["data"]["CAM_FRONT"])
            for box, other in zip(ours.boxes(token), expected, strict=True):
                np.testing.assert_allclose(ego.apply(np.array([box.centre]))[0], other.center, atol=1e-9)
                np.testing.assert_allclose(box.size, other.wlh)
                np.testing.assert_allclose(ego.apply(box.corners()), other.corners().T, atol=1e-9)
                velocity = ego.rotate(np.array([[*box.velocity, 0.0]]))[0, :2]
                np.testing.assert_allclose(velocity, theirs.box_velocity(other.token)[:2], atol=1e-6)
                assert (box.category, box.token) == (other.name, other.token)


def test_frames(both):
    ours, theirs = both
    for name in tiny.SCENES:
        for token in ours.samples(name):
            frame = ours.frame(token)
            data = theirs.get("sample_data", theirs.get("sample", token)["data"]["CAM_FRONT"])
            path, _, intrinsic = theirs.get_sample_data(data["token"])
            assert (frame.token, frame.path) == (data["token"], str(path))
            np.testing.assert_array_equal(frame.intrinsic, intrinsic)


def test_classes_and_splits(devkit):
    from mmkeras.driving.drives.snapshot import CATEGORIES

    utils = devkit("nuscenes.eval.detection.utils")
    for category, name in CATEGORIES.items():
        assert utils.category_to_detection_name(category) == name
    for category in ("animal", "vehicle.emergency.police", "human.pedestrian.wheelchair", "movable_object.debris"):
        assert utils.category_to_detection_name(category) is None
        assert category not in CATEGORIES
    splits = devkit("nuscenes.utils.splits").create_splits_scenes()
    for version, names in (
        ("v1.0-trainval", {"train": "train", "val": "val"}),
        ("v1.0-mini", {"train": "mini_train", "val": "mini_val"}),
        ("v1.0-test", {"test": "test"}),
    ):
        for split, theirs in names.items():
            assert {official_split(version, scene) for scene in splits[theirs]} == {split}
    assert official_split("v1.0-simulated", "scene-0003") is None
