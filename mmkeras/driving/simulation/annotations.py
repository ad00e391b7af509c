"""Annotates road users at key frames."""

from __future__ import annotations

import math

import numpy as np

from mmkeras.driving.simulation.agents import KINDS, Agent
from mmkeras.driving.simulation.scene_rows import SceneRows, token
from mmkeras.driving.simulation.schedule import key_stamp
from mmkeras.driving.simulation.visibility import Sight

__all__ = ["annotate"]


def _attribute(agent: Agent, speed: float) -> str:
    if agent.kind == "pedestrian":
        return "pedestrian.moving" if speed > 0.2 else "pedestrian.standing"
    if agent.kind == "bicycle":
        return "cycle.with_rider"
    return "vehicle.parked" if agent.parked else "vehicle.moving" if speed > 0.2 else "vehicle.stopped"


def annotate(scene: SceneRows, seen: dict[int, dict[int, Sight]], points: dict[int, dict[int, int]]) -> None:
    """Annotate, at every key frame, who is near and ahead within 50 degrees; hidden ones as well."""
    world = scene.world
    tracks: dict[int, list[tuple[int, np.ndarray, float, float]]] = {}
    for key in range(scene.config.key_frames):
        position, heading, velocity = world.tracks.at(key_stamp(scene.config, key) * 1e-6)
        feet = world.ground.lift(position)
        away = position - position[0]
        angle = np.arctan2(away[:, 1], away[:, 0]) - heading[0]
        ahead = np.cos(angle) > math.cos(math.radians(50.0))
        near = np.hypot(away[:, 0], away[:, 1]) < scene.config.annotation_range
        for i in np.flatnonzero(ahead & near).tolist():
            if i:
                tracks.setdefault(i, []).append((key, feet[i], float(heading[i]), float(np.hypot(*velocity[i]))))
    for i, track in tracks.items():
        agent = world.agents[i]
        names = [scene.token("annotation", i, key) for key, *_ in track]
        for n, (key, foot, heading_i, speed) in enumerate(track):
            view = seen[key].get(i, Sight(0, 0.0))
            scene.add("sample_annotation", {
                "token": names[n], "sample_token": scene.token("sample", key),
                "instance_token": scene.token("instance", i),
                "visibility_token": str(view.level), "attribute_tokens": [token("attribute", _attribute(agent, speed))],
                "translation": [round(foot[0], 4), round(foot[1], 4), round(foot[2] + agent.size[2] / 2, 4)],
                "size": list(agent.size),
                "rotation": [round(math.cos(heading_i / 2), 9), 0.0, 0.0, round(math.sin(heading_i / 2), 9)],
                "prev": names[n - 1] if n else "", "next": names[n + 1] if n + 1 < len(names) else "",
                "num_lidar_pts": view.lidar_points, "num_radar_pts": points.get(key, {}).get(i, 0),
            })  # fmt: skip
        scene.add("instance", {
            "token": scene.token("instance", i), "category_token": token("category", KINDS[agent.kind].category),
            "nbr_annotations": len(track), "first_annotation_token": names[0], "last_annotation_token": names[-1],
        })  # fmt: skip
