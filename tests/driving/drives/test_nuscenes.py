from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest

from mmkeras.core.errors import DataError
from mmkeras.driving.drives.nuscenes import NuScenes
from mmkeras.media.geometry import Pose
from tests.driving.drives import tiny_nuscenes as tiny


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tiny.write(tmp_path_factory.mktemp("nuscenes"))


@pytest.fixture(scope="module")
def drive(folder):
    return NuScenes(folder)


def test_scenes_samples_and_channels(drive):
    assert [scene.name for scene in drive.scenes] == list(tiny.SCENES)
    assert drive.radars == tuple(sorted(tiny.RADARS))
    assert drive.samples("scene-0103") == [f"scene-0103-p{n}" for n in range(tiny.SAMPLES)]
    assert drive.samples("t-scene-0103") == drive.samples(drive.scene("scene-0103"))
    with pytest.raises(DataError, match="no scene 'scene-103'; did you mean 'scene-0103'"):
        drive.samples("scene-103")


def test_radars_that_look_where_the_camera_does(drive):
    assert drive.radars_for("CAM_FRONT") == ("RADAR_FRONT", "RADAR_FRONT_LEFT", "RADAR_FRONT_RIGHT")
    assert drive.radars_for("CAM_BACK") == ()
    assert drive.radars_for("CAM_OTHER") == drive.radars


def test_a_frame(drive, folder):
    frame = drive.frame("scene-0103-p2")
    assert (frame.sample, frame.scene.name, frame.channel) == ("scene-0103-p2", "scene-0103", "CAM_FRONT")
    assert frame.path == str(folder / "samples/CAM_FRONT/scene-0103__4.jpg")
    assert frame.intrinsic[0, 0] == tiny.FOCAL
    np.testing.assert_allclose(frame.ego.matrix, tiny.ego_pose(0.3, 1.012).matrix, atol=1e-12)
    assert frame.camera == tiny.CAMERA


def test_frames_and_sweeps_in_the_order_of_time(drive):
    frames = list(drive.frames("scene-0061"))
    assert len(frames) == 2 * (tiny.SAMPLES - 1) + 1
    sweeps = list(drive.sweeps_of("scene-0061", "RADAR_FRONT_LEFT"))
    for times in ([frame.timestamp for frame in frames], [sweep.timestamp for sweep in sweeps]):
        assert times == sorted(set(times))
    assert {sweep.channel for sweep in sweeps} == {"RADAR_FRONT_LEFT"}
    assert sweeps[0].sensor == tiny.RADARS["RADAR_FRONT_LEFT"]


def test_past_sweeps(drive):
    frame = drive.frame("scene-0061-p1")
    times = drive.recipe(frame, ["RADAR_FRONT"]).timestamps
    assert len(times) == 6
    assert times == tuple(sorted(times, reverse=True))
    assert times[0] <= frame.timestamp
    assert drive.recipe(frame, ["RADAR_FRONT"], 2).timestamps == times[:2]
    with pytest.raises(DataError, match="did you mean 'RADAR_FRONT"):
        drive.recipe(frame, ["RADAR_FORNT"])


def test_what_stands_stays_and_what_moves_shows_its_speed(drive):
    frame = drive.frame("scene-0103-p3")
    points = drive.recipe(frame).points()
    assert len(points) == 2 * 6 * 3
    to_camera = (frame.ego @ frame.camera).inverse
    post = to_camera.apply(np.array([[140.0, 70.0, 1.0]]))[0]
    np.testing.assert_allclose(points[0::2, :3], np.tile(post, (18, 1)), atol=1e-4)
    np.testing.assert_allclose(points[0::2, 4:7], 0.0, atol=1e-6)
    seconds = 3 * tiny.STEP * 1e-6 + 0.012
    velocity = to_camera.rotate(np.array([[*tiny.CAR_SPEED, 0.0]]))[0]
    for point in points[1::2]:
        place = to_camera.apply(tiny.car(seconds - point[7])[None])[0]
        np.testing.assert_allclose(point[:3], place, atol=1e-3)
        # What the radar measures is the part of the velocity along its own line of sight.
        np.testing.assert_allclose(np.dot(point[4:7], velocity), np.dot(point[4:7], point[4:7]), rtol=1e-4)
    assert (points[:, 7] >= 0).all()


@pytest.mark.parametrize(
    ("factor", "unit"), [(1e-6, "seconds"), (1e-3, "milliseconds"), (1e3, "nanoseconds"), (1e-9, "")]
)
def test_times_in_another_unit_are_refused(tmp_path, factor, unit):
    tiny.write(tmp_path, ("scene-0061",))
    rows = tiny.load(tmp_path, "sample_data")
    for row in rows:
        row["timestamp"] = int(row["timestamp"] * factor)
    tiny.save(tmp_path, "sample_data", rows)
    with pytest.raises(DataError, match=r"expected timestamps in microseconds, .* of CAM_FRONT") as caught:
        NuScenes(tmp_path)
    assert (f"They look like {unit}" in str(caught.value)) == (unit in ("milliseconds", "nanoseconds"))


def test_the_first_frame_takes_the_sweep_of_its_own_sample(drive):
    recipe = drive.recipe(drive.frame("scene-0061-p0"))
    assert recipe.timestamps == (recipe.timestamp + 18_000,) * 3
    np.testing.assert_allclose(recipe.points()[:, 7], -0.018, atol=1e-7)


def test_boxes_come_in_the_ego_frame_of_the_picture(drive):
    (box,) = drive.boxes("scene-0103-p1")
    ego = drive.frame("scene-0103-p1").ego
    np.testing.assert_allclose(ego.apply(np.array([box.centre]))[0], tiny.car(0.5), atol=1e-9)
    np.testing.assert_allclose(ego.rotate(np.array([[*box.velocity, 0]]))[0, :2], tiny.CAR_SPEED, atol=1e-9)
    assert math.isclose((ego @ Pose(box.centre, box.rotation)).yaw, 0.1, abs_tol=1e-9)
    assert (box.category, box.name, box.attribute) == ("vehicle.car", "car", "vehicle.moving")
    assert (box.visibility, box.radar_points, box.lidar_points) == (3, 2, 5)


def test_velocities_end_with_their_gaps(tmp_path):
    folder = tiny.write(tmp_path, ("scene-0061",))
    samples = tiny.load(folder, "sample")
    start = samples[0]["timestamp"]
    # Up to 1.5 s to one neighbour, up to 3 s between two; alone there is none.
    for times, known in (((0, 1.5, 3.0, 4.5), "yyyy"), ((0, 1.51, 3.0, 3.5), "nyyy"), ((0, 1.0, 4.01, 5.0), "ynny")):
        for row, when in zip(samples, times, strict=True):
            row["timestamp"] = start + round(when * 1e6)
        tiny.save(folder, "sample", samples)
        drive = NuScenes(folder)
        found = "".join("n" if math.isnan(drive.boxes(row["token"])[0].velocity[0]) else "y" for row in samples)
        assert found == known
    rows = tiny.load(folder, "sample_annotation")
    for row in rows:
        row["prev"] = row["next"] = ""
    tiny.save(folder, "sample_annotation", rows)
    assert math.isnan(NuScenes(folder).boxes(samples[1]["token"])[0].velocity[0])


def test_which_folder_holds_the_tables(tmp_path):
    with pytest.raises(DataError, match=r"expected one folder of nuScenes tables such as .*, got none"):
        NuScenes(tmp_path)
    tiny.write(tmp_path, ("scene-0061",))
    (tmp_path / "v1.0-other").mkdir()
    (tmp_path / "v1.0-other" / "sample.json").write_text("[]")
    with pytest.raises(DataError, match=r"got v1\.0-mini, v1\.0-other"):
        NuScenes(tmp_path)
    assert len(NuScenes(tmp_path, "v1.0-mini").scenes) == 1
    with pytest.raises(DataError, match="no nuScenes tables"):
        NuScenes(tmp_path, "v1.0-trainval")


def broken(folder: Path, table: str, number: int, **values: object) -> NuScenes:
    rows = tiny.load(tiny.write(folder, ("scene-0061",)), table)
    rows[number].update(values)
    tiny.save(folder, table, rows)
    return NuScenes(folder)


@pytest.mark.parametrize(
    ("table", "values", "words"),
    [
        ("sample_data", {"sample_token": "?"}, r"sample_data\.json: record 'scene.*': its sample_token '\?' is not in"),
        ("sample_data", {"calibrated_sensor_token": "?"}, "is not in calibrated_sensor.json"),
        ("sample_data", {"timestamp": "now"}, r"record 1 .*expected a number \(i8\) as 'timestamp', got 'now'"),
        ("sample_data", {"token": None}, "expected a token as 'token', got None"),
        ("calibrated_sensor", {"sensor_token": "?"}, r"calibrated_sensor\.json.*'\?' is not in sensor.json"),
        ("sample", {"scene_token": "?"}, r"sample\.json.* is not in scene.json"),
        ("sample", {"token": "scene-0061-p0"}, r"sample\.json: the token 'scene-0061-p0' occurs twice"),
    ],
)
def test_tables_that_do_not_fit_together(table, values, words, tmp_path):
    with pytest.raises(DataError, match=words):
        broken(tmp_path, table, 1, **values)


@pytest.mark.parametrize(
    ("table", "number", "values", "words"),
    [
        ("ego_pose", 0, {"rotation": [1, 1, 0, 0]}, r"ego_pose\.json: record .*unit quaternion"),
        ("ego_pose", 0, {"translation": [0, float("nan"), 0]}, r"ego_pose\.json: record 'scene-0061-CAM_FRONT-0'"),
        ("sample_data", 0, {"ego_pose_token": "?"}, r"the ego pose '\?' is not in ego_pose.json"),
        ("sample_data", 0, {"filename": ""}, "no filename"),
        ("sample_data", 0, {"is_key_frame": False}, "the sample 'scene-0061-p0' has no key frame of CAM_FRONT"),
        ("calibrated_sensor", 0, {"rotation": None}, r"calibrated_sensor\.json: record 'k-CAM_FRONT'"),
        ("calibrated_sensor", 0, {"camera_intrinsic": []}, "expected camera_intrinsic as a camera matrix"),
        ("sample_annotation", 0, {"size": [1, 0, 1]}, r"sample_annotation\.json: record 'scene-0061-a0': .*size"),
        ("sample_annotation", 0, {"rotation": [0, 0, 0, 0]}, "unit quaternion"),
        ("sample_annotation", 0, {"instance_token": 5}, r"instance\.json: expected a token, got 5"),
        ("sample_annotation", 0, {"instance_token": ["?"]}, r"instance\.json: expected a token, got \['\?'\]"),
        ("sample_annotation", 0, {"size": [1, 1, 10**400]}, "expected 3 finite numbers"),
        ("sample_annotation", 0, {"num_radar_pts": float("inf")}, "cannot convert float infinity"),
        ("ego_pose", 0, {"translation": [0, 10**400, 0]}, r"ego_pose\.json: record 'scene-0061-CAM_FRONT-0'"),
        ("calibrated_sensor", 0, {"camera_intrinsic": [[10**400] * 3] * 3}, "expected camera_intrinsic as a camera"),
        ("sample_annotation", 0, {"instance_token": "?"}, r"instance\.json: no record has the token '\?'"),
        ("sample_annotation", 0, {"attribute_tokens": ["?"]}, r"attribute token '\?' is not in attribute\.json"),
        ("sample_annotation", 0, {"visibility_token": "9"}, "visibility token '9'"),
        ("sample_annotation", 0, {"next": "?"}, "the annotation that 'next' names is not in the table"),
        ("instance", 0, {"category_token": "?"}, "category token"),
    ],
)
def test_a_broken_record_costs_its_own_sample_alone(table, number, values, words, tmp_path):
    drive = broken(tmp_path, table, number, **values)
    with pytest.raises(DataError, match=words):
        drive.boxes("scene-0061-p0")
    if table not in ("calibrated_sensor", "instance"):
        assert len(drive.boxes("scene-0061-p3")) == 1
        drive.recipe(drive.frame("scene-0061-p3")).points()


def test_unknown_tokens(drive):
    for call in (drive.frame, drive.boxes):
        with pytest.raises(DataError, match=r"sample\.json: no record has the token 'none'"):
            call("none")
    with pytest.raises(DataError, match="no channel 'CAM_BACK'"):
        drive.frame("scene-0061-p0", "CAM_BACK")


def test_not_annotated_visibility_and_classes_without_a_name(tmp_path):
    folder = tiny.write(tmp_path, ("scene-0061",))
    rows = tiny.load(folder, "instance")
    rows[0]["category_token"] = "c1"
    tiny.save(folder, "instance", rows)
    rows = tiny.load(folder, "sample_annotation")
    rows[0] |= {"visibility_token": "", "attribute_tokens": []}
    tiny.save(folder, "sample_annotation", rows)
    (box,) = NuScenes(folder).boxes("scene-0061-p0")
    assert (box.visibility, box.attribute, box.category, box.name) == (0, "", "animal", "")
