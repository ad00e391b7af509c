from __future__ import annotations

import collections
import json
import re
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from mmkeras.driving.simulation.radar import RADARS
from mmkeras.driving.simulation.scene_writer import RECORD
from mmkeras.media.geometry import Pose

# Which table a token points to.
KEYS = {
    "scene": {"log_token": "log", "first_sample_token": "sample", "last_sample_token": "sample"},
    "sample": {"prev": "sample", "next": "sample", "scene_token": "scene"},
    "sample_data": {
        "sample_token": "sample", "ego_pose_token": "ego_pose", "calibrated_sensor_token": "calibrated_sensor",
        "prev": "sample_data", "next": "sample_data",
    },
    "sample_annotation": {
        "sample_token": "sample", "instance_token": "instance", "visibility_token": "visibility",
        "prev": "sample_annotation", "next": "sample_annotation",
    },
    "instance": {
        "category_token": "category", "first_annotation_token": "sample_annotation",
        "last_annotation_token": "sample_annotation",
    },
    "calibrated_sensor": {"sensor_token": "sensor"},
    "category": {}, "attribute": {}, "visibility": {}, "sensor": {}, "ego_pose": {}, "log": {}, "map": {},
}  # fmt: skip


@pytest.mark.parametrize("table", KEYS)
def test_every_token_is_unique_and_leads_somewhere(table: str, tables):
    names = [row["token"] for row in tables[table]]
    assert names
    assert len(names) == len(set(names))
    for key, other in KEYS[table].items():
        known = {row["token"] for row in tables[other]}
        missing = [
            row[key]
            for row in tables[table]
            if row[key] not in known and not (row[key] == "" and key in ("prev", "next"))
        ]
        assert not missing, f"{table}.{key}"


def test_attributes_logs_and_no_other_table(tables, drives: Path):
    assert set(tables) == {*KEYS, "splits"}
    attributes = {row["token"] for row in tables["attribute"]}
    assert all(
        set(row["attribute_tokens"]) <= attributes and row["attribute_tokens"] for row in tables["sample_annotation"]
    )
    (only,) = tables["map"]
    assert set(only["log_tokens"]) == {row["token"] for row in tables["log"]}
    assert (drives / only["filename"]).is_file()


@pytest.mark.parametrize("table", ["sample", "sample_data", "sample_annotation"])
def test_chains_run_both_ways(table: str, tables):
    rows = {row["token"]: row for row in tables[table]}
    for row in rows.values():
        if row["next"]:
            assert rows[row["next"]]["prev"] == row["token"]
            if "timestamp" in row:
                assert rows[row["next"]]["timestamp"] > row["timestamp"]


def test_every_file_exists_once_and_is_whole(tables, drives: Path):
    names = [row["filename"] for row in tables["sample_data"]]
    there = {
        path.relative_to(drives).as_posix() for kind in ("samples", "sweeps") for path in (drives / kind).rglob("*.*")
    }
    assert sorted(names) == sorted(there)
    for row in tables["sample_data"]:
        if row["fileformat"] == "jpg":
            with Image.open(drives / row["filename"]) as picture:
                assert picture.format == "JPEG"
                assert picture.size == (row["width"], row["height"]) == (512, 288)
        assert row["filename"].startswith("samples/" if row["is_key_frame"] else "sweeps/")


def test_radar_files_have_the_devkits_layout(tables, drives: Path):
    assert RECORD.itemsize == 43
    for row in tables["sample_data"]:
        if row["fileformat"] == "pcd":
            content = (drives / row["filename"]).read_bytes()
            header, _, body = content.partition(b"DATA binary\n")
            points = int(re.search(rb"\nPOINTS (\d+)\n", header).group(1))  # type: ignore[union-attr]
            assert f"\nWIDTH {points}\nHEIGHT 1\n".encode() in header
            assert header.count(b"\n") == 10
            assert len(body) == 43 * points + 1


def test_key_frames_have_one_of_each_sensor_and_past_sweeps(tables, small):
    sensor_of = {row["token"]: row["sensor_token"] for row in tables["calibrated_sensor"]}
    channel = {row["token"]: row["channel"] for row in tables["sensor"]}
    data = collections.defaultdict(list)
    for row in tables["sample_data"]:
        data[channel[sensor_of[row["calibrated_sensor_token"]]], row["sample_token"]].append(row)
    for sample in tables["sample"]:
        (frame,) = [row for row in data["CAM_FRONT", sample["token"]] if row["is_key_frame"]]
        assert frame["timestamp"] == sample["timestamp"]
        for radar in RADARS:
            sweeps = data[radar, sample["token"]]
            (key,) = [row for row in sweeps if row["is_key_frame"]]
            assert 0 <= sample["timestamp"] - key["timestamp"] <= 1e6 / small.radar_rate
            assert len(sweeps) == small.sweeps or len(sweeps) > small.sweeps - 2  # a replay scene keeps all
            assert all(row["timestamp"] <= key["timestamp"] for row in sweeps)


def test_no_scene_is_on_two_sides(drives: Path, tables, small):
    splits = json.loads((drives / "v1.0-sim" / "splits.json").read_bytes())
    names = [name for side in splits.values() for name in side]
    assert {side: len(scenes) for side, scenes in splits.items()} == {"train": 4, "validation": 1, "test": 2}
    assert sorted(names) == sorted(row["name"] for row in tables["scene"])
    assert len(names) == len(set(names)) == small.scenes


def test_replay_scenes_have_every_frame_and_sweep(tables, drives: Path, small):
    name = json.loads((drives / "v1.0-sim" / "splits.json").read_bytes())["test"][0]
    (scene,) = [row for row in tables["scene"] if row["name"] == name]
    assert "Day" in scene["description"]
    assert "Clear" in scene["description"]
    stamps = sorted(row["timestamp"] for row in tables["sample_data"] if f"/CAM_FRONT/{name}__" in row["filename"])
    np.testing.assert_allclose(np.diff(stamps), 1e6 / small.camera_rate, atol=2)
    stamps = sorted(row["timestamp"] for row in tables["sample_data"] if f"/RADAR_FRONT/{name}__" in row["filename"])
    np.testing.assert_allclose(np.diff(stamps), 1e6 / small.radar_rate, atol=2)


def test_annotations_say_something_sensible(tables):
    poses = {row["token"]: Pose(tuple(row["translation"]), tuple(row["rotation"])) for row in tables["ego_pose"]}
    ego = {
        row["sample_token"]: poses[row["ego_pose_token"]]
        for row in tables["sample_data"]
        if row["is_key_frame"] and row["fileformat"] == "jpg"
    }
    assert len(tables["sample_annotation"]) > 100
    for row in tables["sample_annotation"]:
        place = ego[row["sample_token"]].inverse.apply(np.array([row["translation"]]))[0]
        assert 0 < np.hypot(*place[:2]) < 61
        assert place[0] > 0
        assert abs(place[2] - row["size"][2] / 2) < 4.0, "stands on the ground, which may slope"
        assert all(0.4 < value < 11 for value in row["size"])
    assert {row["visibility_token"] for row in tables["sample_annotation"]} == {"1", "2", "3", "4"}
    assert any(row["num_lidar_pts"] == 0 for row in tables["sample_annotation"])
    assert any(row["num_radar_pts"] > 2 for row in tables["sample_annotation"])


@pytest.mark.filterwarnings("ignore")
def test_the_devkit_opens_it(drives: Path, small):
    pytest.importorskip("cv2", reason="nuscenes-devkit needs opencv")
    devkit = pytest.importorskip("nuscenes.nuscenes", reason="nuscenes-devkit is not installed")
    from nuscenes.utils.data_classes import RadarPointCloud

    opened = devkit.NuScenes(version="v1.0-sim", dataroot=str(drives), verbose=False)
    sample = opened.sample[3]
    assert set(sample["data"]) == {"CAM_FRONT", *RADARS}
    path, boxes, intrinsic = opened.get_sample_data(sample["data"]["CAM_FRONT"])
    assert Path(path).is_file()
    assert intrinsic[0, 0] == pytest.approx(small.focal)
    assert {box.name for box in boxes} <= {row["name"] for row in opened.category}
    velocity = np.array([opened.box_velocity(token)[:2] for token in sample["anns"]])
    assert np.nanmax(np.hypot(*velocity.T)) < 30
    cloud, times = RadarPointCloud.from_file_multisweep(opened, sample, "RADAR_FRONT", "CAM_FRONT", nsweeps=4)
    assert cloud.points.shape[0] == 18
    assert cloud.points.shape[1] == times.shape[1] > 20
    assert times.min() >= -0.08
