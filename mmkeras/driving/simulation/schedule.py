"""When the camera and the radars measure, and what of it is written."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from mmkeras.driving.simulation.config import SimulationConfig
from mmkeras.driving.simulation.radar import RADARS

__all__ = ["CAMERA", "Shot", "key_stamp", "schedule"]

CAMERA = "CAM_FRONT"


@dataclass(frozen=True)
class Shot:
    """One camera frame or radar sweep to be written."""

    channel: str
    stamp: int
    """Microseconds since the scene's start."""
    key: int
    """The key frame that it belongs to: the next one."""
    is_key: bool


def key_stamp(config: SimulationConfig, key: int) -> int:
    """Return the microseconds from the scene's start to a key frame."""
    return round(key * 1e6 / config.key_rate)


def schedule(
    config: SimulationConfig, replay: bool, rng: np.random.Generator
) -> tuple[list[Shot], dict[str, list[Shot]]]:
    """Return the camera frames and, by channel, the radar sweeps of a scene, in the order of time.

    A key frame's sweep is the last one before it. Other sweeps are those that a reader of ``config.sweeps`` past ones
    needs, or all in a replay scene.
    """
    keys = [key_stamp(config, key) for key in range(config.key_frames)]
    between = max(1, round(config.camera_rate / config.key_rate)) if replay else 1
    step = 1e6 / config.key_rate / between
    total = (config.key_frames - 1) * between + 1
    frames = [Shot(CAMERA, round(i * step), math.ceil(i / between), i % between == 0) for i in range(total)]
    sweeps: dict[str, list[Shot]] = {}
    period = 1e6 / config.radar_rate
    before = math.ceil(config.sweeps + 1)
    for channel in RADARS:
        phase = rng.uniform(0, period)
        stamps = [round(phase + (i - before) * period) for i in range(before + math.ceil(keys[-1] / period) + 1)]
        stamps = [stamp for stamp in stamps if -900_000 < stamp <= keys[-1]]
        chosen: dict[int, Shot] = {}
        for stamp in stamps if replay else ():
            chosen[stamp] = Shot(channel, stamp, int(np.searchsorted(keys, stamp)), False)
        for key, time in enumerate(keys):
            past = [stamp for stamp in stamps if stamp <= time][-config.sweeps :]
            for stamp in past[:-1]:
                chosen.setdefault(stamp, Shot(channel, stamp, key, False))
            chosen[past[-1]] = Shot(channel, past[-1], key, True)
        sweeps[channel] = [chosen[stamp] for stamp in sorted(chosen)]
    return frames, sweeps
