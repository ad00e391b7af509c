from __future__ import annotations

import csv
import functools
import json
from pathlib import Path
from typing import Any

import pytest

from mmkeras.core.components import Choice
from mmkeras.core.config import DataConfig
from mmkeras.core.errors import ConfigError, DataError
from mmkeras.data.convert import convert
from mmkeras.data.sources import nuscenes
from mmkeras.data.sources.nuscenes import OLD, OLD_ALL, describe_scene
from mmkeras.media.points.radar_cloud import RadarFilter
from mmkeras.modalities.image.spec import Config as Image
from mmkeras.modalities.radar.spec import Config as Radar
from mmkeras.tasks.detection.spec import Config as Detection
from tests.driving.drives import tiny_nuscenes as tiny

CAMERA = (64.0, 32.0, 60.0, 32.0, 16.0)
Source = functools.partial(nuscenes.Source, model_camera=CAMERA)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tiny.write(tmp_path_factory.mktemp("nuscenes"))


def test_samples(folder):
    samples = list(Source(str(folder)).samples())
    assert [s.key for s in samples] == [f"{name}-p{n}" for name in tiny.SCENES for n in range(tiny.SAMPLES)]
    first, night = samples[1], samples[-1]
    assert (first.split, first.group, night.split, night.group) == ("train", "scene-0061", "test", "scene-0103")
    assert night.columns == {"scene": "scene-0103", "time_of_day": "night", "weather": "rain"}
    assert night.origin == "v1.0-mini/sample.json:scene-0103-p3"
    assert first.values["camera"].read().size == (64, 32)
    assert first.values["radar"].points().shape == (36, 8)
    (box,) = first.target["boxes"]
    assert (box.name, first.target["camera"]) == ("car", tiny.CAMERA)


def test_options(folder):
    options: dict[str, Any] = {"sweeps": 2, "radars": ("RADAR_FRONT",), "camera_name": "front", "radar_name": "points"}
    sample = list(Source(str(folder), **options, valid_only=False, unambiguous_only=False).samples())[1]
    assert set(sample.values) == {"front", "points"}
    assert len(sample.values["points"].paths) == 2
    assert sample.values["points"].filter == RadarFilter(invalid_states=None, ambig_states=None)
    assert next(Source(str(folder), official_val="validation").samples()).split == "train"
    wrong: dict[str, Any]
    for wrong in (
        {"sweeps": 0},
        {"max_skew": 150},
        {"max_skew": 600_000},
        {"empty_cloud": "drop"},
        {"model_camera": (0.0,) * 5},
        {"radar_name": "camera"},
    ):
        with pytest.raises(ConfigError, match=f"nuscenes: .*{'name' if 'radar_name' in wrong else next(iter(wrong))}"):
            Source(str(folder), **wrong)


def test_a_source_without_a_camera_says_so(folder):
    with pytest.raises(ConfigError, match="nuscenes: model_camera: expected width, height, focal"):
        next(nuscenes.Source(str(folder)).samples())


def with_gaps(folder: Path, *channels: str) -> Path:
    """Write a drive whose radars are silent in the last 300 ms before each frame but the first."""
    tiny.write(folder, ("scene-0061",))
    silent = {f"scene-0061-{channel}-{n}" for channel in channels for n in range(99) if n % tiny.SWEEPS > 2}
    rows = [row for row in tiny.load(folder, "sample_data") if row["token"] not in silent]
    tiny.save(folder, "sample_data", rows)
    return folder


def test_radar_that_a_stream_would_not_take_is_absent(tmp_path):
    fresh = list(Source(str(tiny.write(tmp_path / "fresh", ("scene-0061",))), sweeps=12).samples())
    assert not any(sample.remarks for sample in fresh)
    radar = fresh[2].values["radar"]
    assert max(radar.timestamp - time for time in radar.timestamps) <= 500_000
    one = list(Source(str(with_gaps(tmp_path / "one", "RADAR_FRONT"))).samples())[1]
    assert {path.split("/")[-2] for path in one.values["radar"].paths} == {"RADAR_FRONT_LEFT", "RADAR_FRONT_RIGHT"}
    assert one.remarks == (OLD,)
    every = with_gaps(tmp_path / "every", *tiny.RADARS)
    first, *others = Source(str(every)).samples()
    assert (len(first.values["radar"].paths), first.remarks) == (3, ())
    assert [(s.values["radar"], s.remarks) for s in others] == [(None, (OLD_ALL,))] * (tiny.SAMPLES - 1)
    patient = list(Source(str(every), max_skew=400_000).samples())[1]
    assert (len(patient.values["radar"].paths), patient.remarks) == (9, ())


def test_a_drive_without_any_usable_radar_is_refused(tmp_path):
    options = {"folder": str(tiny.write(tmp_path / "drive", ("scene-0061",))), "max_skew": 10_000}
    data = DataConfig(source=Choice("nuscenes", options), folder=str(tmp_path / "data"), workers=1)
    modalities = {"camera": Image(size=(32, 64)), "radar": Radar(camera=CAMERA)}
    task = Detection(camera=CAMERA, camera_pose=(*tiny.CAMERA.translation, *tiny.CAMERA.rotation))
    with pytest.raises(DataError, match=r"'radar' is absent in all 4 rows \(the newest sweep of every radar is older"):
        convert(data, modalities, task)


def test_boxes_behind_the_camera_are_left_out(tmp_path):
    folder = tiny.write(tmp_path, ("scene-0061",))
    rows = tiny.load(folder, "sample_annotation")
    rows[1]["translation"] = [90.0, 48.0, 1.0]
    tiny.save(folder, "sample_annotation", rows)
    counts = [len(sample.target["boxes"]) for sample in Source(str(folder)).samples()]
    assert counts == [1, 0, 1, 1]


def test_splits_beside_the_tables(tmp_path):
    folder = tiny.write(tmp_path)
    path = folder / tiny.TABLES / "splits.json"
    path.write_text(json.dumps({"train": ["scene-0103"], "validation": []}))
    assert [s.split for s in Source(str(folder)).samples()] == [None] * tiny.SAMPLES + ["train"] * tiny.SAMPLES
    for content, words in (
        ('{"train": ["scene-1"]}', "there is no scene 'scene-1'"),
        ('{"val": []}', "did you mean 'validation'|Valid"),
        ('{"train": ["scene-0103"], "test": ["scene-0103"]}', "is in train and in test"),
        ("[]", "expected"),
        ("{", "not valid JSON"),
    ):
        path.write_text(content)
        with pytest.raises(DataError, match=words) as caught:
            list(Source(str(folder)).samples())
        assert str(path) in str(caught.value)


def test_the_fingerprint_follows_tables_and_files(tmp_path):
    folder = tiny.write(tmp_path, ("scene-0061",))
    source = Source(str(folder))
    prints = [source.fingerprint_inputs()]
    assert source.fingerprint_inputs() == prints[0]
    (folder / "sweeps/RADAR_FRONT/scene-0061__1.pcd").write_bytes(b"")
    prints.append(source.fingerprint_inputs())
    (folder / tiny.TABLES / "splits.json").write_text("{}")
    prints.append(source.fingerprint_inputs())
    rows = tiny.load(folder, "scene")
    rows[0]["description"] = "Fog"
    tiny.save(folder, "scene", rows)
    prints.append(source.fingerprint_inputs())
    assert len({json.dumps(value) for value in prints}) == 4
    # Another radar's files do not matter to a source that does not read them.
    alone = Source(str(folder), radars=("RADAR_FRONT_LEFT",))
    before = alone.fingerprint_inputs()
    (folder / "sweeps/RADAR_FRONT/scene-0061__2.pcd").write_bytes(b"")
    assert alone.fingerprint_inputs() == before


def test_broken_files_go_to_quarantine_by_name(tmp_path):
    """The whole way: source, conversion in the rooms of image, radar and detection, quarantine."""
    pytest.importorskip("tensorflow")
    folder = tiny.write(tmp_path / "drive")
    (folder / "samples/CAM_FRONT/scene-0061__0.jpg").unlink()
    (folder / "sweeps/RADAR_FRONT/scene-0061__5.pcd").write_bytes(b"# .PCD v0.7\nVERSION")
    poses = tiny.load(folder, "ego_pose")
    broken = next(row for row in poses if row["token"] == "scene-0061-CAM_FRONT-4")
    broken["rotation"] = [1, 1, 1, 1]
    tiny.save(folder, "ego_pose", poses)
    annotations = tiny.load(folder, "sample_annotation")
    annotations[3]["instance_token"] = "gone"
    tiny.save(folder, "sample_annotation", annotations)
    options = {"folder": str(folder), "model_camera": CAMERA}
    data = DataConfig(
        source=Choice("nuscenes", options), folder=str(tmp_path / "data"), workers=1, max_bad_share=0.6,
        train_share=0.5, validation_share=0.5,
    )  # fmt: skip
    modalities = {"camera": Image(size=(32, 64)), "radar": Radar(camera=CAMERA)}
    task = Detection(camera=CAMERA, camera_pose=(*tiny.CAMERA.translation, *tiny.CAMERA.rotation))
    index = convert(data, modalities, task)
    assert index.quarantined == 4
    with (index.folder / "quarantine.csv").open(newline="") as stream:
        rows = {row["key"]: row for row in csv.DictReader(stream)}
    for key, file in (
        ("scene-0061-p0", "samples/CAM_FRONT/scene-0061__0.jpg: no such file"),
        ("scene-0061-p1", "sweeps/RADAR_FRONT/scene-0061__5.pcd:2:"),
        ("scene-0061-p2", "ego_pose.json: record 'scene-0061-CAM_FRONT-4'"),
        ("scene-0061-p3", "sample_annotation.json: record 'scene-0061-a3'"),
    ):
        assert file in rows[key]["reason"]
    assert index.splits["test"].samples == tiny.SAMPLES


@pytest.mark.parametrize(
    ("description", "time", "weather"),
    [
        ("Night, rain, peds", "night", "rain"),
        ("Parked train, dusk", "dusk", "clear"),
        ("Rainy day", "day", "rain"),
        ("fog, night", "night", "fog"),
        ("", "day", "clear"),
    ],
)
def test_words_of_a_description(description, time, weather):
    assert describe_scene(description) == {"time_of_day": time, "weather": weather}
