"""Recorded drives: nuScenes tables with their files, Astyx HiRes 2019, comma2k19."""

from __future__ import annotations

import atexit
import functools
import json
import shutil
import tempfile
from pathlib import Path

import numpy as np
from PIL import Image

from mmkeras.data.encode import Encoder
from mmkeras.data.sources.nuscenes import Source
from mmkeras.driving.drives import astyx, comma2k19
from mmkeras.driving.drives.calibration import check
from mmkeras.driving.drives.open import open_drive
from mmkeras.driving.simulation.config import SimulationConfig
from mmkeras.driving.simulation.simulate import simulate
from mmkeras.modalities.image.spec import Config as ImageConfig
from mmkeras.modalities.radar.spec import Config as RadarConfig
from mmkeras.tasks.detection.spec import Config as DetectionConfig
from tests.fuzz.reader import Reader

__all__ = ["READERS", "simulated"]

_CAMERA = (64.0, 32.0, 50.0, 32.0, 12.0)
_MODALITIES = {"camera": ImageConfig(size=(32, 64)), "radar": RadarConfig(max_points=8, camera=_CAMERA)}


@functools.cache
def simulated() -> Path:
    """Return a nuScenes directory of two samples."""
    folder = Path(tempfile.mkdtemp(prefix="mmkeras-fuzz-drive-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    config = SimulationConfig(
        train_scenes=1, validation_scenes=0, test_scenes=0, replay_scenes=0, scene_seconds=1.0, sweeps=1, workers=1,
        **{"width": 128, "height": 72},
    )  # fmt: skip
    return simulate(config, folder / "drive")


def _write_nuscenes(folder: Path) -> None:
    shutil.copytree(simulated(), folder, dirs_exist_ok=True)
    annotations = next(folder.glob("v1.0-*")) / "sample_annotation.json"
    # A few objects of a street: quicker to read, and every field is there.
    records = json.loads(annotations.read_text("utf-8"))
    kept = {record["instance_token"] for record in records[:5]}
    annotations.write_text(json.dumps([each for each in records if each["instance_token"] in kept], indent=0), "utf-8")


def _read_source(folder: Path) -> object:
    source = Source(str(folder), model_camera=_CAMERA)
    source.fingerprint_inputs()
    task = DetectionConfig(labels=("car", "pedestrian"), max_objects=4, camera=_CAMERA).spec()
    return Encoder(_MODALITIES, task).encode(list(source.samples()), "train")


def _read_snapshots(folder: Path) -> object:
    return check(open_drive(folder))


def _write_astyx(folder: Path) -> None:
    for name in ("calibration", "groundtruth_obj3d", "camera_front", "radar_6455", "canbus"):
        (folder / name).mkdir()
    turn = [[0, 0, 1, 1.5], [-1, 0, 0, 0.1], [0, -1, 0, 1.2], [0, 0, 0, 1]]
    here = [[1, 0, 0, 0], [0, 1, 0, 0], [0, 0, 1, 0], [0, 0, 0, 1]]
    camera = {"T_to_ref_COS": turn, "K": [[60, 0, 32], [0, 60, 16], [0, 0, 1]]}
    sensors = [
        {"sensor_uid": "radar_6455", "calib_data": {"T_to_ref_COS": here}},
        {"sensor_uid": "camera_front", "calib_data": camera},
    ]
    box = {"dimension3d": [4, 1.8, 1.5], "center3d": [12, 1, 0.7], "orientation_quat": [1, 0, 0, 0]}
    objects = [{**box, "classname": "Car", "occlusion": 1}, {**box, "classname": "Person", "occlusion": 0}]
    for number in ("000001", "000002"):
        (folder / f"calibration/{number}.json").write_text(json.dumps({"sensors": sensors}))
        (folder / f"groundtruth_obj3d/{number}.json").write_text(json.dumps({"objects": objects}))
        (folder / f"canbus/{number}.json").write_text(json.dumps({"GPS_Speed_3D": 36.0, "vehicle_speed": 35.0}))
        rows = "".join(f"{10 + n} {n / 2} 0.5 -1.5 {40 + n}\n" for n in range(6))
        (folder / f"radar_6455/{number}.txt").write_text(f"X Y Z V_r Mag\n\n{rows}")
        Image.new("RGB", (64, 32), (90, 90, 90)).save(folder / f"camera_front/{number}.jpg")


def _write_comma2k19(folder: Path) -> None:
    Image.new("RGB", (1164, 874), (90, 90, 90)).save(folder / "preview.png")
    times = np.repeat(np.arange(5) * 0.05, 2) + 100.0
    tracks = np.tile(np.array([20.0, 1.0, -2.0, np.nan, np.nan, np.nan, np.nan]), (10, 1))
    logs = {"radar/t": times, "radar/value": tracks, "speed/t": times, "speed/value": np.full((10, 1), 15.0)}
    for name, values in {**logs, "pose/frame_times": times[:3]}.items():
        (folder / name).parent.mkdir(exist_ok=True)
        with (folder / name).open("wb") as stream:
            np.save(stream, values)
    (folder / "camera_intrinsics.txt").write_text("[[910.0, 0.0, 582.0], [0.0, 910.0, 437.0], [0.0, 0.0, 1.0]]")


READERS = (
    Reader("nuscenes", _write_nuscenes, _read_source, whole=True, share=2,
           left=("maps/*", "samples.png", "simulation.json", "*/map.json", "*/log.json")),
    Reader("nuscenes_snapshots", _write_nuscenes, _read_snapshots, whole=True, share=0.2,
           left=("maps/*", "samples.png", "simulation.json", "*/map.json", "*/log.json", "*/splits.json")),
    Reader("astyx", _write_astyx, lambda folder: check(astyx.snapshots(folder)), whole=True, share=2),
    Reader("comma2k19", _write_comma2k19, lambda folder: check(comma2k19.snapshots(folder)), whole=True, share=1),
)  # fmt: skip
