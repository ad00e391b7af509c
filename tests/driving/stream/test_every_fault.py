"""Every scripted fault: an answer for every frame while it lasts, the truth about who was there, and recovery."""

from __future__ import annotations

from itertools import pairwise

import pytest

from mmkeras.driving.stream.faults import FORMS
from tests.driving.stream.vehicle import CHANNELS, FRAME, START, Trip

SCRIPTS = {
    "kill": ("kill camera at 1 s", "revive camera at 2 s", "kill radar at 2.5 s", "revive radar at 3 s"),
    "revive": ("kill RADAR_FRONT at 1 s", "revive radar at 2 s"),
    "delay": ("delay camera 150 ms from 1 s to 2 s",),
    "jitter": ("jitter camera 160 ms from 1 s to 2 s", "jitter radar 160 ms from 1 s to 2 s"),
    "drop": ("drop 50 % radar from 1 s to 2 s", "drop 30 % camera from 1 s to 2 s"),
    "freeze": ("freeze camera from 1 s to 2 s",),
    "corrupt": ("corrupt camera from 1 s to 2 s", "corrupt radar from 1 s to 2 s"),
    "repeat": ("repeat camera from 1 s to 2 s", "repeat radar from 1 s to 2 s"),
    "jump": ("jump clock 10 s at 1 s",),
}


def test_every_fault_is_tried():
    assert set(SCRIPTS) == set(FORMS)


@pytest.mark.parametrize("rate", [1, 10])
@pytest.mark.parametrize("script", [*SCRIPTS.values(), sum(SCRIPTS.values(), ())], ids=[*SCRIPTS, "all"])
def test_an_answer_for_every_frame_and_recovery(script: tuple[str, ...], rate: int):
    from tests.driving.stream.vehicle import drive

    takes = 4_000 if rate == 10 else 20_000
    trip = Trip(*script, arrivals=drive(4.0, rate=rate), takes=takes, frame_period=round(FRAME / rate))
    received = trip.counts("camera")["received"] - trip.counts("camera").get("duplicate", 0)
    assert sum(answer.cause == "frame" for answer in trip.answers) == received
    assert max(trip.gaps()) <= 2 * FRAME / rate / 1e6
    assert all(injected > 0 for injected in trip.injection.applied.values())
    assert trip.kinds(3.7)[-3:] == ["both"] * 3
    assert all(answer.answered - answer.arrived <= 120_000 for answer in trip.answers)


def test_a_dead_camera_is_replaced_by_the_radar_at_its_rate():
    trip = Trip("kill camera at 1 s", "revive camera at 2.5 s")
    during = [a for a in trip.answers if START + 1_100_000 < a.arrived < START + 2_400_000]
    assert {(a.kind, a.cause) for a in during} == {("radar only", "tick")}
    assert {b.timestamp - a.timestamp for a, b in pairwise(during)} == {FRAME}
    assert {b.arrived - a.arrived for a, b in pairwise(during)} == {FRAME}
    for answer in during:
        wall = 200.0 - 10.0 * (answer.timestamp - START) / 1e6
        assert answer.detections[0]["distance"] == pytest.approx(wall, abs=1e-3)
    assert set(trip.kinds(2.53)) == {"both"}
    ((begin, end),) = [interval for interval in trip.absent("camera") if interval[0] > 0]
    assert 1.0 < begin < 1.3
    assert 2.5 <= end <= 2.55


def test_a_dead_radar_is_absent_and_returns():
    trip = Trip("kill radar at 1 s", "revive radar at 3 s")
    assert set(trip.kinds(1.3, 3.0)) == {"camera only"}
    assert set(trip.kinds(3.1)) == {"both"}
    for channel in CHANNELS:
        ((begin, end),) = [interval for interval in trip.absent(channel) if interval[0] > 0]
        assert 1.0 < begin < 1.3
        assert 3.0 <= end <= 3.1


def test_one_of_two_radars_dies():
    trip = Trip("kill RADAR_FRONT_LEFT at 1 s")
    assert set(trip.kinds(0.1)) == {"both"}
    assert {a.radars for a in trip.answers if a.arrived > START + 1_300_000} == {("RADAR_FRONT",)}


def test_no_sensor_at_all():
    trip = Trip("kill camera at 1 s", "kill radar at 1 s", "revive radar at 2 s", "revive camera at 3 s")
    assert set(trip.kinds(1.35, 2.0)) == {"blind"}
    assert set(trip.kinds(2.2, 3.0)) == {"radar only"}
    assert set(trip.kinds(3.1)) == {"both"}
    assert trip.stream.statistics.to_json()["blind"] >= 7


def test_a_late_camera_is_marked_late_and_its_frames_meet_the_sweeps_of_their_time():
    trip = Trip("delay camera 150 ms from 1 s to 3 s")
    late = trip.counters["sensors"]["camera"]["late"]
    assert any(end - begin > 1.5 for begin, end in late)
    delayed = [a for a in trip.answers if a.frame and a.arrived - a.timestamp > 150_000 and a.status == "answered"]
    assert len(delayed) > 20
    for answer in delayed:
        assert answer.detections[0]["distance"] == pytest.approx(200.0 - 10.0 * (answer.timestamp - START) / 1e6, 1e-4)
    # The first frames on time overtake the last late ones.
    assert trip.counts("camera")["out_of_order"] == trip.stream.statistics.reasons["order"] >= 1


def test_a_radar_that_is_too_late_counts_as_absent():
    trip = Trip("delay radar 300 ms from 1 s to 3 s")
    assert set(trip.kinds(1.4, 3.0)) == {"camera only"}
    assert set(trip.kinds(3.2)) == {"both"}
    # Its messages do come, late; nobody waits for them.
    assert max(a.stages["wait"] for a in trip.answers if a.arrived > START + 1_500_000) < 80_000
    trip = Trip("delay radar 50 ms from 1 s to 3 s")
    assert set(trip.kinds(0.1)) == {"both"}


def test_lost_sweeps():
    trip = Trip("drop 50 % radar")
    assert trip.kinds().count("both") > 0.6 * len(trip.kinds())
    assert "skipped" not in trip.kinds()


def test_a_frozen_camera_is_absent_while_the_car_moves():
    trip = Trip("freeze camera from 1 s to 2 s")
    assert set(trip.kinds(1.15, 2.0)) == {"radar only"}
    assert trip.counts("camera")["frozen"] >= 10
    assert any(1.0 < begin < 1.2 and 1.9 < end < 2.2 for begin, end in trip.absent("camera"))
    assert set(trip.kinds(2.15)) == {"both"}


def test_a_broken_picture_costs_one_frame_its_camera():
    trip = Trip("corrupt camera at 1 s")
    assert trip.kinds(0.9, 1.3).count("radar only") == 1
    assert trip.counts("camera")["undecodable"] == 1
    assert trip.stream.statistics.reasons == {"image": 1}


def test_points_that_are_not_finite_are_left_out():
    trip = Trip("corrupt radar from 1 s to 2 s")
    assert set(trip.kinds(0.1)) == {"both"}
    assert trip.counts("RADAR_FRONT")["points_not_finite"] >= 13


def test_repeated_messages_are_counted_and_answered_once():
    trip = Trip("repeat camera", "repeat radar")
    assert len(trip.answers) == 50
    assert trip.counts("camera")["duplicate"] == 50
    assert trip.counts("RADAR_FRONT")["duplicate"] > 50


@pytest.mark.parametrize("by", ["10 s", "-10 s", "0.3 s", "-0.3 s", "700 ms", "-700 ms"])
def test_the_sensors_clock_jumps(by: str):
    trip = Trip(f"jump clock {by} at 1 s")
    assert trip.counters["clock_jumps"] == (0 if "0.3" in by else 1)
    assert set(trip.kinds(1.8)) == {"both"}
    assert max(trip.gaps()) <= 1.55 * FRAME / 1e6
    # Until the jump is sure, the answers are for now, on what the radar said last.
    assert set(trip.kinds(1.0, 1.8)) <= {"both", "radar only", "camera only", "blind", "skipped"}


def test_a_camera_seconds_late_is_absent_and_no_jump_of_the_clock():
    trip = Trip("delay camera 2 s from 1 s to 2 s", seconds=5.0)
    assert trip.counters["clock_jumps"] == 0
    assert trip.counts("camera")["implausible_time"] >= 12
    assert "radar only" in trip.kinds(1.2, 2.0)
