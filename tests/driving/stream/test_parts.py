"""The stream's parts by themselves: time base, presence, buffers, statistics."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mmkeras.driving.stream.buffers import EgoTrack, SweepBuffer
from mmkeras.driving.stream.intake import TimeBase
from mmkeras.driving.stream.sensors import Sensor
from mmkeras.driving.stream.stream import Statistics
from mmkeras.media.geometry import Pose
from tests.driving.stream.vehicle import START, sweep


def test_the_most_timely_message_tells_the_time():
    base = TimeBase(500_000)
    assert base.sensor_time(7) == 7
    assert base.judge(1_000, 41_000) == "plausible"
    assert base.judge(100_000, 110_000) == "plausible"
    assert base.delay(200_000, 260_000) == 50_000
    assert base.sensor_time(300_000) == 290_000


def test_clocks_that_drift_apart_are_followed():
    """After an hour at 100 ppm the sensors' clock is 360 ms behind; nothing is late for it."""
    base = TimeBase(500_000)
    for arrived in range(0, 3_600_000_000, 1_000_000):
        timestamp = round(arrived * (1 - 1e-4))
        assert base.judge(timestamp, arrived) == "plausible"
        assert base.delay(timestamp, arrived) <= 2_100


def test_one_late_sensor_is_no_jump():
    base = TimeBase(500_000)
    for arrived in range(0, 3_000_000, 50_000):
        assert base.judge(arrived, arrived) == "plausible"
        assert base.judge(arrived - 5_000_000, arrived + 1) == "implausible"


@pytest.mark.parametrize("jump", [10_000_000, -10_000_000, 600_000, -600_000])
def test_a_jump_is_believed_after_a_quarter_of_a_second(jump: int):
    base = TimeBase(500_000)
    verdicts = []
    for arrived in range(0, 2_000_000, 80_000):
        verdicts.append(base.judge(arrived + (jump if arrived > 1_000_000 else 0), arrived))
    assert verdicts.count("jump") == 1
    assert 2 <= verdicts.count("implausible") <= 3
    assert verdicts[-5:] == ["plausible"] * 5


@given(st.lists(st.tuples(st.integers(-(10**9), 10**9), st.integers(0, 200_000)), max_size=60))
def test_any_timestamps_are_judged(messages: list[tuple[int, int]]):
    base, arrived = TimeBase(500_000), 0
    for timestamp, later in messages:
        arrived += later
        verdict = base.judge(timestamp, arrived)
        assert verdict in ("plausible", "implausible", "jump")
        assert verdict == "implausible" or abs(base.delay(timestamp, arrived)) <= 500_000


def test_presence():
    sensor = Sensor("radar", 100_000, 50_000, 0)
    sensor.update(500_000)
    assert sensor.state == "absent"
    sensor.accept(0, 1_000_000, 0)
    assert sensor.state == "present"
    sensor.update(1_174_999)
    assert sensor.state == "present"
    sensor.update(1_175_000)
    assert sensor.state == "late"
    sensor.update(1_900_000)
    assert sensor.state == "absent"
    sensor.accept(1, 2_000_000, 60_000)
    assert sensor.state == "late"
    assert sensor.intervals(2_500_000) == [
        ("absent", 0, 1_000_000),
        ("present", 1_000_000, 1_175_000),
        ("late", 1_175_000, 1_350_000),
        ("absent", 1_350_000, 2_000_000),
        ("late", 2_000_000, 2_500_000),
    ]
    assert sensor.to_json(0, 2_500_000)["absent"] == [[0.0, 1.0], [1.35, 2.0]]


@given(st.lists(st.tuples(st.integers(1, 600_000), st.integers(0, 90_000), st.booleans()), max_size=40))
def test_intervals_cover_the_life_without_gap(messages: list[tuple[int, int, bool]]):
    sensor, now = Sensor("radar", 77_000, 50_000, 0), 0
    for later, delay, refused in messages:
        now += later
        sensor.accept(now - delay, now, delay)
        if refused:
            sensor.refuse(now)
    found = sensor.intervals(now + 1_000)
    assert (found[0][1], found[-1][2]) == (0, now + 1_000)
    for (state, begin, end), (following, start, _) in itertools.pairwise(found):
        assert begin < end == start
        assert state != following


def test_the_period_is_learnt():
    sensor = Sensor("camera", 83_333, 50_000, 0)
    for index in range(10):
        sensor.accept(index * 50_000, index * 50_000, 0)
    assert sensor.period == 50_000
    sensor.accept(900_000, 900_000, 0)
    assert sensor.period == 50_000


def test_a_buffer_is_bounded_and_sorted():
    buffer = SweepBuffer(4)
    for offset in (30, 10, 20, 50, 40):
        buffer.add(sweep(START + offset))
    assert [s.timestamp - START for s in buffer.partners(START + 60, 100, 100, 6)] == [50, 40, 30, 20]
    assert [s.timestamp - START for s in buffer.partners(START + 60, 100, 100, 2)] == [50, 40]
    assert [s.timestamp - START for s in buffer.partners(START + 45, 100, 100, 6)] == [40, 30, 20]
    assert [s.timestamp - START for s in buffer.partners(START + 5, 100, 100, 6)] == [20]
    assert buffer.partners(START + 60, 9, 100, 6) == []
    assert [s.timestamp - START for s in buffer.partners(START + 60, 10, 35, 6)] == [50, 40, 30]
    buffer.expire(START + 40)
    assert len(buffer.partners(START + 10**6, 10**6, 10**6, 9)) == 2
    assert START + 50 in buffer
    assert START + 20 not in buffer


def test_the_car_is_followed_between_and_beyond_its_poses():
    track = EgoTrack()
    with pytest.raises(LookupError):
        track.at(0)
    for time in (0, 80_000, 100_000):
        track.add(time, Pose.flat(time / 1e5, 0.0, time / 1e6))
    track.add(100_000, Pose.flat(99.0, 0.0, 0.0))
    for time in (40_000, 90_000, 100_000, 180_000):
        pose = track.at(time)
        assert pose.translation[0] == pytest.approx(time / 1e5)
        assert pose.yaw == pytest.approx(time / 1e6, abs=1e-3)
    assert track.at(-5) == Pose.flat(0.0, 0.0, 0.0)
    assert track.at(10**9).translation[0] == pytest.approx(6.0)
    assert math.isfinite(track.at(10**9).yaw)


def test_statistics_are_bounded():
    statistics = Statistics(keep=3)
    from mmkeras.driving.stream.messages import Answer

    for value in (1e6, 1e3, 2e3, 3e3):
        stages = {"wait": 0.0, "preprocess": 0.1 * value, "inference": 0.8 * value, "decode": 0.1 * value}
        statistics.add(Answer(0, "frame", "answered", True, (), [], stages={**stages, "total": value}))
    assert statistics.latency_ms()["total"] == {"p50": 2.0, "p99": 2.98, "mean": 2.0, "max": 3.0}
    assert statistics.share_beyond_interpreter() == 0.2
    assert statistics.to_json()["kinds"]["camera only"] == 4
    assert np.isfinite(statistics.latency_ms()["wait"]["p99"])
