"""What happens in simulated clips is what the statements say."""

from __future__ import annotations

import numpy as np
import pytest

from mmkeras.driving.simulation.clips import ClipsConfig, frames_of
from mmkeras.driving.simulation.config import Conditions
from mmkeras.driving.simulation.events import EVENTS, SECONDS, Event, stage

DAY = Conditions("day", "clear", True, "suburb")


def _ways(event: Event, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Return the way of what happens, ahead and to the left of the ego vehicle in metres (T,)."""
    world = stage(event, DAY, np.random.default_rng(seed)).world
    ahead, left = [], []
    for time in np.linspace(0.0, SECONDS, 9):
        position, heading, _ = world.tracks.at(float(time))
        away = position[1] - position[0]
        along = np.array([np.cos(heading[0]), np.sin(heading[0])])
        ahead.append(float(away @ along))
        left.append(float(away @ np.array([-along[1], along[0]])))
    return np.array(ahead), np.array(left)


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("event", EVENTS, ids=lambda event: event.statement)
def test_what_happens_is_what_is_said(event: Event, seed: int):
    said = event.statement
    ahead, left = _ways(event, seed)
    if "from the left" in said:
        assert left[0] > left[-1] + 1.5
    elif "from the right" in said:
        assert left[0] < left[-1] - 1.5
    elif "towards us" in said or "brakes" in said:
        assert ahead[0] > ahead[-1] + 2.0 > 3.0
    elif "away" in said:
        assert ahead[0] < ahead[-1] - 2.0
    else:
        yaw = stage(event, DAY, np.random.default_rng(seed)).yaw
        assert (yaw > 0.1) == ("left" in said)
        assert (yaw < -0.1) == ("right" in said)
    agents = stage(event, DAY, np.random.default_rng(seed)).world.agents
    moving = [agent for agent in agents[1:] if not agent.parked]
    assert len(moving) == {"we": 0, "people": 2}.get(event.subject, 1)


@pytest.mark.parametrize("event", EVENTS[::2], ids=lambda event: event.statement)
def test_in_the_middle_an_event_and_its_opposite_look_alike(event: Event):
    """One frame must not tell them apart: places and sizes are the same there."""
    one, other = (stage(each, DAY, np.random.default_rng(5)).world for each in (event, event.opposite))
    for world in (one, other):
        assert world.tracks.times[0] <= 0.0
        assert world.tracks.times[-1] >= SECONDS
    np.testing.assert_allclose(one.tracks.at(1.0)[0], other.tracks.at(1.0)[0], atol=1e-6)
    assert [agent.size for agent in one.agents] == [agent.size for agent in other.agents]


def test_a_turn_moves_the_picture_and_not_its_middle_frame():
    config = ClipsConfig(frames=3)
    left, right = (
        frames_of(stage(Event("turn", "we", way), DAY, np.random.default_rng(2)), config, np.random.default_rng(3))
        for way in (1, -1)
    )
    assert np.abs(left[1].astype(int) - right[1]).mean() < 1.0
    assert np.abs(left[0].astype(int) - right[0]).mean() > 5.0


def test_statements_are_18_and_each_has_one_opposite_and_is_another_of_one():
    assert len({event.statement for event in EVENTS}) == len(EVENTS) == 18
    for partner in ("opposite", "another"):
        found = [getattr(event, partner) for event in EVENTS]
        assert sorted(each.statement for each in found) == sorted(event.statement for event in EVENTS)
        assert all(event != each for event, each in zip(EVENTS, found, strict=True))
