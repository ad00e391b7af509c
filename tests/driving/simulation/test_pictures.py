from __future__ import annotations

import numpy as np
import pytest

from mmkeras.driving.simulation import SimulationConfig
from mmkeras.driving.simulation.agents import KINDS, new_agent
from mmkeras.driving.simulation.camera import View, clip_near, mounting
from mmkeras.driving.simulation.canvas import FIRST, GROUND, SKY, Canvas, Shading
from mmkeras.driving.simulation.config import Conditions, SceneRequest
from mmkeras.driving.simulation.exposure import expose
from mmkeras.driving.simulation.painting import Painter
from mmkeras.driving.simulation.scene_writer import sight
from mmkeras.driving.simulation.shapes import agent_mesh
from mmkeras.driving.simulation.weather import atmosphere
from mmkeras.driving.simulation.world import build_world
from mmkeras.media.geometry import Pose

CONFIG = SimulationConfig()
LIGHT = Shading(np.zeros(3), 0.0, 1.0, 0.0)
MOUNT = mounting(1.7, 0.0, 1.5, 0.0, 0.0)


def _view(ego: Pose, pitch: float = 0.0) -> View:
    return View.of(ego, MOUNT, pitch, 0.0, CONFIG.focal, CONFIG.size)


def test_the_view_agrees_with_pose_and_intrinsic():
    rng = np.random.default_rng(0)
    ego, mount = Pose.flat(300.0, -40.0, 0.7, 0.4), mounting(1.7, 0.1, 1.5, 0.02, -0.03)
    view = View.of(ego, mount, 0.0, 0.0, 400.0, (512, 288))
    points = ego.apply(rng.uniform((4, -3, -1), (60, 3, 3), (50, 3)))
    inside = (ego @ mount).inverse.apply(points)
    np.testing.assert_allclose(view.to_camera(points), inside, atol=1e-9)
    expected = inside[:, :2] / inside[:, 2:] * 400 + (256, 144)
    np.testing.assert_allclose(view.pixels(view.to_camera(points)), expected, atol=1e-9)


def test_left_is_left_up_is_up_and_pitch_moves_the_horizon():
    view = _view(Pose())
    (ahead, left, high) = view.pixels(view.to_camera(np.array([[20, 0, 1.5], [20, 3, 1.5], [20, 0, 4.0]])))
    np.testing.assert_allclose(ahead, (256, 144), atol=1e-9)
    assert left[0] < ahead[0]
    assert high[1] < ahead[1]
    assert view.horizon == pytest.approx(144)
    assert _view(Pose(), pitch=0.02).horizon < 144 - 7, "nose down: the horizon rises in the picture"


def test_clipping_at_the_near_plane():
    square = np.array([[0, 0, -1], [1, 0, -1], [1, 0, 3], [0, 0, 3.0]])
    clipped = clip_near(square)
    assert clipped[:, 2].min() == pytest.approx(0.4)
    assert len(clip_near(square - np.array([0, 0, 5]))) == 0
    assert len(clip_near(square - np.array([0, 0, -5]))) == 4


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("seed", range(6))
def test_boxes_contain_their_objects_pixels(kind: str, seed: int):
    rng = np.random.default_rng(seed)
    agent = new_agent(kind, 0, 0.0, 0.0, 1, 1.0, rng)
    width, length, height = agent.size
    place, heading = np.array([rng.uniform(10, 30), rng.uniform(-4, 4), 0.0]), rng.uniform(-3.1, 3.1)
    view = _view(Pose())
    canvas = Canvas(view, LIGHT)
    canvas.solid(agent_mesh(agent, rng.uniform(0, 6.2)), place, heading, FIRST, lit=False, remember=True)
    rows, columns = np.nonzero(canvas.objects == FIRST)
    signs = np.array([[x, y, z] for x in (-0.5, 0.5) for y in (-0.5, 0.5) for z in (0, 1)])
    corners = view.pixels(view.to_camera(Pose.flat(place[0], place[1], heading).apply(signs * [length, width, height])))
    (left, top), (right, bottom) = corners.min(0), corners.max(0)
    assert columns.min() >= left - 1.5
    assert columns.max() <= right + 1.5
    assert rows.min() >= top - 1.5
    assert rows.max() <= bottom + 1.5
    # and it fills most of its box's extent
    assert np.ptp(rows) > 0.8 * (bottom - top) - 2
    assert np.ptp(columns) > (0.45 if agent.person else 0.7) * (right - left) - 2
    seen = sight(canvas, {5: FIRST})[5]
    assert seen.share == pytest.approx(1.0, abs=0.02)
    assert seen.level == 4
    assert seen.pixels == len(rows)


def test_who_stands_behind_a_truck_is_hidden():
    rng = np.random.default_rng(0)
    truck, person = new_agent("truck", 0, 0, 0, 1, 5.0, rng), new_agent("pedestrian", 0, 0, 0, 1, 1.0, rng)
    canvas = Canvas(_view(Pose()), LIGHT)
    canvas.solid(agent_mesh(person, 0.0), np.array([30.0, 0.0, 0.0]), 0.0, FIRST, lit=False, remember=True)
    canvas.solid(agent_mesh(truck, 0.0), np.array([15.0, 0.0, 0.0]), 0.0, FIRST + 1, lit=False, remember=True)
    seen = sight(canvas, {1: FIRST, 2: FIRST + 1})
    assert seen[1].pixels == 0
    assert (seen[1].level, seen[1].lidar_points) == (1, 0)
    assert seen[2].level == 4
    assert seen[2].lidar_points > 100


def _scene(time_of_day: str, weather: str, index: int = 3):
    request = SceneRequest(index, "scene", "train", Conditions(time_of_day, weather, False, "city"), False)
    world = build_world(request, CONFIG)
    rng = np.random.default_rng(0)
    air = atmosphere(request.conditions, rng)
    position, heading, _ = world.tracks.at(1.0)
    foot = world.ground.lift(position[0])
    view = _view(Pose.flat(foot[0], foot[1], float(heading[0]), foot[2]))
    canvas, numbers = Painter(world, air).paint(view, 1.0)
    return canvas, expose(canvas, air, rng).astype(float), numbers


def test_night_is_dark_dusk_between_and_fog_takes_the_contrast():
    pictures = {key: _scene(*key) for key in (("day", "clear"), ("dusk", "clear"), ("night", "clear"), ("day", "fog"))}
    mean = {key: picture.mean() for key, (_, picture, _) in pictures.items()}
    assert mean["night", "clear"] < 0.35 * mean["dusk", "clear"] < 0.35 * mean["day", "clear"]
    canvas, day, _ = pictures["day", "clear"]
    far = (canvas.depths[canvas.objects] > 25) & (canvas.depths[canvas.objects] < 80) & (canvas.objects >= FIRST)
    assert far.sum() > 500
    assert pictures["day", "fog"][1][far].std() < 0.25 * day[far].std()
    # Beyond the headlights hardly anything is left but noise.
    assert np.median(pictures["night", "clear"][1][far]) < 16


def test_the_map_has_sky_above_ground_below_and_objects():
    canvas, _, numbers = _scene("day", "clear")
    assert canvas.objects[-3:].min() >= GROUND
    assert (canvas.objects == SKY)[:20].any()
    assert len(numbers) > 3
    assert set(np.unique(canvas.objects)) - {SKY, GROUND} <= set(range(FIRST, 256))


def test_rain_changes_the_picture_but_little_of_its_light():
    _, dry, _ = _scene("day", "clear")
    _, wet, _ = _scene("day", "rain")
    assert 0.7 < wet.mean() / dry.mean() < 1.4
