from __future__ import annotations

import threading

import numpy as np
import pytest

from mmkeras.core.errors import ConfigError
from mmkeras.driving.stream import SensorStream, Settings
from tests.driving.stream.vehicle import CHANNELS, FRAME, START, FakeClock, Trip, WallDetector, drive, frame, sweep


def test_every_frame_is_answered_on_both():
    trip = Trip()
    assert trip.kinds(0.1) == ["both"] * (len(trip.kinds()) - len(trip.kinds(0, 0.1)))
    frames = [a.message for a in trip.sent if not hasattr(a.message, "cloud")]
    assert [answer.frame for answer in trip.answers] == frames
    figures = trip.stream.statistics.to_json()
    assert figures["frames"] == figures["answered"] == len(frames)
    assert figures["dropped"] == figures["ticks"] == figures["deadline_missed"] == 0
    assert figures["latency_ms"]["inference"] == {"p50": 20.0, "p99": 20.0, "mean": 20.0, "max": 20.0}
    assert figures["latency_ms"]["wait"]["max"] == 0
    assert figures["share_beyond_interpreter"] == 0


def test_radar_points_stand_still_while_the_car_moves():
    """Sweeps up to half a second old all show the wall where it is at the time of the frame."""
    trip = Trip()
    for answer in trip.answers[10:]:
        wall = 200.0 - 10.0 * (answer.timestamp - START) / 1e6
        assert answer.detections[0]["distance"] == pytest.approx(wall, abs=1e-3)
        assert answer.points is not None
        assert len(answer.points) == 2 * 6 * 2
        assert answer.radars == CHANNELS
        assert answer.points[:, 7].min() >= 0
        assert answer.points[:, 7].max() <= 0.5


def test_a_sweep_is_held_no_longer_than_its_age():
    trip = Trip(max_age=200_000)
    assert max(answer.points[:, 7].max() for answer in trip.answers[5:] if answer.points is not None) <= 0.2


def test_a_frame_waits_for_a_radar_that_is_late_and_no_longer_than_its_deadline():
    clock = FakeClock(START)
    detector = WallDetector(clock, 10_000)
    stream = SensorStream(detector, clock, Settings(frame_period=FRAME))
    for index in range(6):
        clock.wait_until(START + index * 80_000)
        stream.push(sweep(clock.now()))
        stream.push(frame(clock.now()))
        assert len(stream.poll()) == 1
    # The next sweep should have been taken before this frame, but has not come.
    clock.wait_until(START + 6 * 80_000 + 25_000)
    stream.push(frame(clock.now()))
    assert stream.poll() == []
    due = stream.next_due()
    assert due is not None
    assert START + 505_000 < due <= START + 505_000 + 88_000
    clock.wait_until(START + 6 * 80_000 + 35_000)
    stream.push(sweep(START + 480_000))
    (answer,) = stream.poll()
    assert answer.stages["wait"] == 10_000
    assert answer.points is not None
    assert answer.points[:, 7].min() == pytest.approx(0.025)
    # And once more, but now the sweep never comes.
    clock.wait_until(START + 7 * 80_000 + 25_000)
    stream.push(frame(clock.now()))
    assert stream.poll() == []
    answers = []
    while (moment := stream.next_due()) is not None and moment > clock.now():
        clock.wait_until(moment)
        answers = stream.poll()
        if answers:
            break
    assert [answer.cause for answer in answers] == ["frame"]
    assert answers[0].answered - answers[0].arrived <= 100_000
    assert not answers[0].missed


def test_a_dead_radar_is_never_waited_for():
    trip = Trip("kill radar at 1 s")
    assert set(trip.kinds(1.3)) == {"camera only"}
    late = [a for a in trip.answers if a.arrived > START + 1_300_000]
    assert all(answer.stages["wait"] == 0 for answer in late)
    assert all(answer.stages["wait"] <= 80_000 for answer in trip.answers)


def test_under_ten_times_the_rate_the_queue_drops_the_oldest_and_every_frame_has_an_answer():
    trip = Trip(arrivals=drive(2.0, rate=10), seconds=2.0, frame_period=8_000)
    frames = [a.message for a in trip.sent if not hasattr(a.message, "cloud")]
    answered = [answer.frame for answer in trip.answers if answer.cause == "frame"]
    assert sorted(map(id, answered)) == sorted(map(id, frames))
    figures = trip.stream.statistics.to_json()
    skipped_ticks = sum(a.status == "skipped" and a.cause == "tick" for a in trip.answers)
    assert figures["dropped"] - skipped_ticks == trip.counts("camera")["skipped_queue"] > len(frames) / 2
    # One inference takes 20 ms: the engine is never idle, and never far behind.
    assert len(trip.detector.calls) >= 95
    assert figures["latency_ms"]["total"]["max"] < 45
    skipped = [answer for answer in trip.answers if answer.status == "skipped" and answer.of]
    assert all(0 < answer.timestamp - answer.of < 60_000 for answer in skipped)
    assert skipped[0].detections


def test_a_slow_model_misses_its_deadline_and_says_so():
    trip = Trip(takes=150_000, seconds=2.0)
    assert trip.stream.statistics.missed == len(trip.detector.calls)
    assert trip.stream.statistics.kinds["skipped"] > 5
    assert trip.stream.statistics.reasons["expired"] + trip.stream.statistics.reasons["queue"] > 5


def test_an_old_frame_gives_way_to_a_newer_one():
    clock = FakeClock(START)
    stream = SensorStream(WallDetector(clock, 1), clock, Settings(queue=3))
    for index in range(3):
        stream.push(frame(START + index * 10_000), START + index * 10_000)
    clock.wait_until(START + 115_000)
    answers = stream.poll()
    assert [(a.status, a.reason) for a in answers] == [("skipped", "expired"), ("skipped", "expired"), ("answered", "")]


def test_frames_that_stay_away_during_a_long_inference_are_answered_for():
    """The camera is dead for a second in which the engine is busy; nobody polls meanwhile."""
    clock = FakeClock(START)
    detector = WallDetector(clock, 1_000_000)
    stream = SensorStream(detector, clock, Settings(frame_period=FRAME, queue=20))
    stream.push(frame(START))
    assert len(stream.poll()) == 1
    for index in range(1, 12):
        stream.push(sweep(START + index * 90_000), START + index * 90_000)
    stream.push(frame(START + 990_000), START + 990_000)
    detector.takes = 0
    causes = []
    while answers := stream.poll():
        causes += [(answer.cause, answer.arrived - START) for answer in answers]
    ticks = [moment for cause, moment in causes if cause == "tick"]
    assert ticks == list(range(FRAME * 3 // 2, 990_000, FRAME))
    assert causes[-1] == ("frame", 990_000)


def test_radar_alone_and_camera_alone():
    trip = Trip(arrivals=drive(camera=False))
    assert set(trip.kinds()) == {"radar only"}
    assert 0.95 * 4e6 / FRAME <= len(trip.answers) <= 4e6 / FRAME + 1
    trip = Trip(arrivals=drive(radar=False))
    assert set(trip.kinds()) == {"camera only"}
    assert len(trip.answers) == 50


def test_a_model_without_radar_is_blind_without_its_camera():
    clock = FakeClock(START)
    detector = WallDetector(clock, 1)
    detector.has_radar = False
    stream = SensorStream(detector, clock, Settings(frame_period=FRAME))
    stream.push(sweep(START))
    clock.wait_until(START + 2 * FRAME)
    (answer,) = stream.poll()
    assert (answer.kind, answer.cause, answer.detections, detector.calls) == ("blind", "tick", [], [])


def test_nothing_is_due_before_the_first_message():
    stream = SensorStream(WallDetector(), FakeClock(START))
    assert stream.next_due() is None
    assert stream.poll() == []
    assert stream.statistics.to_json()["latency_ms"] == {}
    assert stream.statistics.share_beyond_interpreter() is None


def test_messages_may_come_from_other_threads():
    clock = FakeClock(START)
    stream = SensorStream(WallDetector(clock, 1), clock, Settings(queue=1000))

    def send(first: int) -> None:
        for index in range(100):
            stream.push(sweep(START + first + index * 100, f"RADAR_{first}"))

    threads = [threading.Thread(target=send, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    stream.push(frame(START + 10_000))
    (answer,) = stream.poll()
    assert len(answer.radars) == 4
    assert answer.points is not None
    assert len(answer.points) == 4 * 6 * 2


def test_answers_are_ready_for_json():
    import json

    for answer in Trip("kill radar at 1 s", "kill camera at 2 s").answers:
        line = json.loads(json.dumps(answer.to_json(), allow_nan=False))
        assert line["timestamp"] == answer.timestamp
        assert line["kind"] == answer.kind


@pytest.mark.parametrize(
    ("field", "value"),
    [("max_age", 0), ("queue", 0), ("deadline", -1), ("max_skew", 600_000), ("max_skew", -1), ("max_age", 0.5)],
)
def test_wrong_settings_are_named(field: str, value: float):
    with pytest.raises(ConfigError, match=f"stream {field}: expected .*got {value}"):
        Settings(**{field: value})  # type: ignore[arg-type]


def test_broken_sweeps_are_counted_and_left_out():
    clock = FakeClock(START)
    stream = SensorStream(WallDetector(clock, 1), clock)
    good = sweep(START)
    for cloud in (np.zeros((3, 4)), np.zeros(6), np.array([["a"] * 6])):
        stream.push(type(good)(cloud, START, good.sensor, good.ego, good.channel))
    stream.push(type(good)(np.full((4, 6), np.nan), START, good.sensor, good.ego, good.channel))
    stream.push(frame(START))
    (answer,) = stream.poll()
    # All points are gone, the sweep is not: a radar that sees nothing is there.
    assert answer.kind == "both"
    counts = stream.counters()["sensors"][good.channel]["counts"]
    assert counts == {"received": 4, "broken": 3, "points_not_finite": 4}
