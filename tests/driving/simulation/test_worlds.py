from __future__ import annotations

import numpy as np
import pytest

from mmkeras.driving.simulation import SimulationConfig
from mmkeras.driving.simulation.agents import KINDS
from mmkeras.driving.simulation.config import plan_scenes
from mmkeras.driving.simulation.roads import Ground, Road
from mmkeras.driving.simulation.world import World, build_world

CONFIG = SimulationConfig()


@pytest.fixture(scope="module")
def worlds() -> list[World]:
    return [build_world(request, CONFIG) for request in plan_scenes(CONFIG)[:12]]


def test_a_road_keeps_its_distance_and_turns():
    road = Road.curved(
        -50.0, np.full(200, 1 / 100), np.array([7.0, 9.0]), 0.3, lanes=1, lane_width=3.5, shoulder=1.0, pavement=2.0
    )
    point, heading = road.at(0.0)
    np.testing.assert_allclose(point, (7.0, 9.0), atol=1e-9)
    assert heading == pytest.approx(0.3)
    s = np.linspace(-40, 140, 50)
    centre, left = road.at(s)[0], road.at(s, 2.0)[0]
    np.testing.assert_allclose(np.linalg.norm(left - centre, axis=1), 2.0, atol=1e-9)
    assert road.at(100.0)[1] == pytest.approx(1.3)
    end = 149.0
    np.testing.assert_allclose(road.at(end + 5.0)[0] - road.at(end)[0], 5 * _unit(road.at(end)[1]), atol=1e-6)


def _unit(angle: np.ndarray) -> np.ndarray:
    return np.array([np.cos(angle), np.sin(angle)])


def test_the_grounds_slope_is_that_of_its_height():
    ground = Ground(0.5, 0.4, 90.0, 1.0)
    spot = np.array([12.0, -3.0])
    rise = ground.height(spot + 0.01 * _unit(np.array(0.4))) - ground.height(spot)
    assert np.tan(ground.slope(spot, 0.4)) == pytest.approx(rise / 0.01, abs=1e-3)


def test_nobody_drives_through_another_and_nobody_jumps(worlds: list[World]):
    for world in worlds:
        tracks = world.tracks
        speed = np.linalg.norm(tracks.velocity, axis=-1)
        assert speed.max() < 25
        assert np.abs(np.diff(speed, axis=0)).max() < 1.5, "at most 15 m/s2 in a step of 0.1 s"
        lanes: dict[tuple[int, float, int], list[int]] = {}
        for i, agent in enumerate(world.agents):
            if agent.follows:
                lanes.setdefault((agent.road, agent.d, agent.direction), []).append(i)
        for members in lanes.values():
            for i in members:
                for j in members:
                    if i < j:
                        gap = np.linalg.norm(tracks.position[:, i] - tracks.position[:, j], axis=-1).min()
                        length = (world.agents[i].size[1] + world.agents[j].size[1]) / 2
                        assert gap > length - 0.5, (world.request.name, i, j)


def test_parked_ones_stay_and_every_kind_appears(worlds: list[World]):
    kinds = set()
    for world in worlds:
        for i, agent in enumerate(world.agents):
            kinds.add(agent.kind)
            if agent.parked:
                assert np.ptp(world.tracks.position[:, i], axis=0).max() < 1e-9
    assert kinds == set(KINDS)


def test_scenery_leaves_road_and_crossing_free(worlds: list[World]):
    for world in worlds:
        road = world.roads[0]
        for fixture in world.fixtures:
            distance = np.linalg.norm(road.centre - np.array(fixture.position), axis=1).min()
            assert distance > road.half + 0.05, (world.request.name, fixture)
