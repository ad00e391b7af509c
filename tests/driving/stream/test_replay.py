from __future__ import annotations

import shutil
import time
from pathlib import Path

import numpy as np
import pytest

from mmkeras.core.errors import DataError
from mmkeras.driving.drives.nuscenes import NuScenes
from mmkeras.driving.stream import RealClock, SensorStream, Settings
from mmkeras.driving.stream.clock import SteppedClock
from mmkeras.driving.stream.faults import parse_fault
from mmkeras.driving.stream.injection import Injection
from mmkeras.driving.stream.messages import Frame
from mmkeras.driving.stream.replay import Recording, play
from tests.driving.stream.vehicle import WallDetector


def test_messages_come_in_the_order_of_their_arrival(simulated: Path):
    recording = Recording.open(simulated)
    arrivals = list(recording.arrivals())
    moments = [arrival.moment for arrival in arrivals]
    assert moments == sorted(moments)
    assert (moments[0], moments[-1]) == (recording.start, recording.end)
    for arrival in arrivals:
        late = recording.camera_latency if isinstance(arrival.message, Frame) else recording.radar_latency
        assert arrival.moment == arrival.message.timestamp + late
    assert recording.frame_period == pytest.approx(100_000, abs=1)
    assert {a.message.channel for a in arrivals} == {"CAM_FRONT", *recording.radars}
    assert len(recording.radars) == 3


def test_the_stream_gives_the_model_the_points_that_training_gives_it(simulated: Path):
    """A key frame's points on the road are those of the recipe that the reader of drives makes, sweep by sweep."""
    recording = Recording.open(simulated)
    clock = SteppedClock(recording.start)
    stream = SensorStream(WallDetector(), clock, Settings(max_age=600_000))
    answers = {a.timestamp: a for a in play(stream, recording.arrivals(), clock, recording.end)}
    drive = NuScenes(simulated)
    checked = 0
    for sample in drive.samples(recording.scene):
        frame = drive.frame(sample)
        expected = drive.recipe(frame, allow_empty=True).points()
        points = answers[frame.timestamp].points
        assert points is not None
        order, given = np.lexsort(expected.T), np.lexsort(points.T)
        np.testing.assert_allclose(points[given], expected[order], rtol=1e-6, atol=1e-6)
        checked += len(points)
    assert checked > 100


def test_in_real_time_it_takes_its_time(simulated: Path):
    recording = Recording.open(simulated, limit=1.0)
    arrivals = list(recording.arrivals())
    clock = RealClock(recording.start, rate=5.0)
    begin = time.perf_counter()
    answers = list(play(SensorStream(WallDetector(), clock), arrivals, clock, recording.end))
    seconds = (recording.end - recording.start) / 1e6 / 5.0
    assert seconds <= time.perf_counter() - begin < seconds + 2.0
    assert sum(answer.cause == "frame" for answer in answers) == len(recording.frames)


def test_files_that_cannot_be_read_are_messages_that_cannot_be_used(simulated: Path, tmp_path: Path):
    folder = Path(shutil.copytree(simulated, tmp_path / "drive"))
    recording = Recording.open(folder)
    Path(recording.frames[3].path).unlink()
    Path(recording.frames[5].path).write_bytes(b"no picture")
    Path(recording.sweeps[10].path).unlink()
    Path(recording.sweeps[13].path).write_bytes(b"# .PCD")
    clock = SteppedClock(recording.start)
    stream = SensorStream(WallDetector(), clock)
    answers = list(play(stream, recording.arrivals(), clock, recording.end))
    assert [a.reason for a in answers if a.reason] == ["image", "image"]
    sensors = stream.counters()["sensors"]
    assert sum(sensor["counts"].get("broken", 0) for sensor in sensors.values()) == 2


def test_the_drive_that_is_asked_for(simulated: Path, tmp_path: Path):
    name = NuScenes(simulated).scenes[0].name
    assert Recording.open(simulated, name).scene == name
    short = Recording.open(simulated, limit=0.5)
    assert 0.3 < (short.end - short.start) / 1e6 <= 0.55
    with pytest.raises(DataError, match="no scene 'nowhere'"):
        Recording.open(simulated, "nowhere")
    with pytest.raises(DataError, match="no channel 'CAM_BACK'"):
        Recording.open(simulated, camera="CAM_BACK")
    with pytest.raises(DataError, match="expected one folder of nuScenes tables"):
        Recording.open(tmp_path)


def test_faults_on_a_recorded_drive(simulated: Path):
    recording = Recording.open(simulated)
    injection = Injection([parse_fault("kill camera at 1 s"), parse_fault("corrupt radar")], recording.start)
    clock = SteppedClock(recording.start)
    stream = SensorStream(WallDetector(), clock, Settings(frame_period=recording.frame_period))
    answers = list(play(stream, injection(recording.arrivals()), clock, recording.end))
    kinds = [answer.kind for answer in answers if answer.arrived > recording.start + 1_200_000]
    assert set(kinds) == {"radar only"}
    assert len(kinds) >= 7
