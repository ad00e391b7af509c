from __future__ import annotations

import dataclasses
import math

import numpy as np
import pytest

from mmkeras.driving.simulation import SimulationConfig
from mmkeras.driving.simulation.agents import KINDS, new_agent
from mmkeras.driving.simulation.config import Conditions, SceneRequest
from mmkeras.driving.simulation.dynamics import Tracks
from mmkeras.driving.simulation.radar import Returns, sweep_all
from mmkeras.driving.simulation.scene_writer import RECORD, sweep_file
from mmkeras.driving.simulation.world import build_world

CONFIG = SimulationConfig(radar_clutter=0.0)
SWEEPS = 1500


def _alone(
    kind: str, distance: float, speed: float, config: SimulationConfig = CONFIG, side: float = 0.0, own: float = 0.0
):
    """Return the returns of one road user that drives away, seen many times by a radar that moves at ``own`` m/s."""
    rng = np.random.default_rng(0)
    world = build_world(SceneRequest(0, "scene", "train", Conditions(), False), config)
    ego, other = new_agent("car", 0, 0, 0, 1, 0, rng), new_agent(kind, 0, 0, 0, 1, speed, rng)
    times = np.arange(3) * 0.1
    position = np.zeros((3, 2, 2))
    position[:, 1] = (distance, side)
    velocity = np.zeros((3, 2, 2))
    velocity[:, 1, 0] = speed
    tracks = Tracks(times, position, np.zeros((3, 2)), velocity)
    world = dataclasses.replace(world, agents=[ego, other], tracks=tracks, fixtures=[])
    poses, speeds = np.zeros((SWEEPS, 3)), np.tile([own, 0.0], (SWEEPS, 1))
    sweeps = sweep_all(world, np.zeros(SWEEPS), poses, speeds, config, rng)
    return sweeps, {
        name.name: np.concatenate([getattr(s, name.name) for s in sweeps]) for name in dataclasses.fields(Returns)
    }


def test_range_angle_and_speed_scatter_as_configured():
    _, found = _alone("car", 30.0, 6.0, own=10.0)
    mine = found["owner"] == 1
    assert mine.sum() > 1000
    assert 26.5 < found["range"][mine].mean() < 30
    angle = np.degrees(found["azimuth"][mine])
    assert abs(angle.mean()) < 0.2
    assert 1.2 < angle.std() < 3.0
    # Relative speed: it drives 4 m/s slower than the radar; over ground it moves away at 6.
    assert found["speed"][mine].mean() == pytest.approx(-4.0, abs=0.1)
    assert found["ground_speed"][mine].mean() == pytest.approx(6.0, abs=0.1)
    assert 0.08 < found["speed"][mine].std() < 0.25


def test_oncoming_traffic_has_negative_speed():
    _, found = _alone("truck", 40.0, -9.0)
    assert found["speed"][found["owner"] == 1].mean() == pytest.approx(-9.0, abs=0.2)


def test_cross_sections_differ_in_the_mean_and_overlap():
    rcs = {kind: _alone(kind, 15.0, 0.0)[1]["rcs"] for kind in KINDS}
    assert rcs["truck"].mean() > rcs["car"].mean() + 2 > rcs["bicycle"].mean() + 5
    assert np.percentile(rcs["pedestrian"], 90) > np.percentile(rcs["car"], 10)


def test_far_and_small_ones_are_missed_more_often():
    def share(kind: str, distance: float) -> float:
        sweeps, _ = _alone(kind, distance, 0.0)
        return float(np.mean([(sweep.owner == 1).any() for sweep in sweeps]))

    near, far = share("pedestrian", 10.0), share("pedestrian", 45.0)
    assert near > far + 0.2
    assert share("truck", 45.0) > far + 0.2
    assert share("truck", 12.0) > 0.95


def test_the_field_of_view_narrows_with_range():
    near = _alone("car", 8.0, 0.0, side=10.0)[1]
    far = _alone("car", 45.0, 0.0, side=56.0)[1]
    assert (near["owner"] == 1).any()
    assert not (far["owner"] == 1).any()


def test_ghosts_lie_behind_and_clutter_everywhere():
    _, found = _alone("car", 20.0, 5.0, dataclasses.replace(CONFIG, radar_clutter=7.0))
    ghosts = found["owner"] == -3
    assert ghosts.sum() > 50
    assert np.median(found["range"][ghosts]) > 24
    assert np.median(found["ground_speed"][ghosts]) > 5
    clutter = found["owner"] == -1
    assert 2.5 < clutter.sum() / SWEEPS < 7.0, "of seven some lie outside of the field of view"
    assert (np.abs(found["ground_speed"][clutter]) < 1).mean() > 0.7


def test_a_scene_has_returns_of_every_origin():
    request = SceneRequest(0, "scene", "train", Conditions(surroundings="country"), False)
    world = build_world(request, SimulationConfig())
    times = np.arange(60) * 0.077
    position, heading, velocity = world.tracks.at_all(times)
    poses = np.concatenate([position[:, 0], heading[:, :1]], axis=1)
    sweeps = sweep_all(world, times, poses, velocity[:, 0], SimulationConfig(), np.random.default_rng(0))
    owners = np.concatenate([sweep.owner for sweep in sweeps])
    assert {-3, -2, -1} < set(owners.tolist())
    assert 0 not in owners, "the ego vehicle does not see itself"
    assert 10 < len(owners) / len(sweeps) < 100
    scenery = np.concatenate([sweep.ground_speed[sweep.owner == -2] for sweep in sweeps])
    assert np.abs(scenery).mean() < 0.6, "what stands still has hardly any speed over ground"


def test_files_hold_what_was_measured_and_an_empty_sweep_is_nan():
    sweeps, _ = _alone("car", 20.0, 5.0, own=3.0)
    sweep = max(sweeps, key=lambda s: len(s.range))
    records = _records(sweep_file(sweep))
    np.testing.assert_allclose(np.hypot(records["x"], records["y"]), sweep.range, rtol=1e-5)
    np.testing.assert_allclose(records["vx_comp"] - records["vx"], 3.0 * np.cos(sweep.azimuth) ** 2, atol=1e-3)
    assert ((records["invalid_state"] == 0) == sweep.valid).all()
    empty = Returns(*(np.zeros(0) for _ in dataclasses.fields(Returns)))
    (only,) = _records(sweep_file(empty))
    assert math.isnan(only["x"])


def _records(content: bytes) -> np.ndarray:
    body = content.partition(b"DATA binary\n")[2]
    return np.frombuffer(body[:-1], RECORD)
