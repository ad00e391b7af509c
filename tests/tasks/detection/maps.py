"""Perfect maps: what a flawless model would say about encoded targets."""

from __future__ import annotations

from typing import Any

import numpy as np

from mmkeras.tasks.detection.spec import Config, Spec

CAMERA = (256.0, 96.0, 230.0, 128.0, 40.0)


def spec(**options: Any) -> Spec:
    return Config(**({"camera": CAMERA} | options)).spec()


def perfect_maps(task: Spec, targets: np.ndarray) -> dict[str, np.ndarray]:
    """Return the maps (B, h, w, ...) whose decoding gives targets (B, M + 1, 20) back.

    Where two objects share a cell, it belongs to the nearer one.
    """
    maps = {each.name: np.zeros((len(targets), *each.shape), np.float32) for each in task.outputs}
    for i, target in enumerate(targets):
        for row in target[:-1][::-1].astype(np.float64):
            if row[0] < 0.5:
                continue
            x, y, z = row[6:9]
            pixel = task.pinhole.project(np.array([[x, y, z]]))[0]
            column, line = (min(int(p // task.stride), n - 1) for p, n in zip(pixel, task.cells[::-1], strict=True))
            middle = (np.array([column, line]) + 0.5) * task.stride
            alpha = np.arctan2(row[12], row[13]) - np.arctan2(x, z)
            maps["heatmap"][i, line, column] = 0.0
            maps["heatmap"][i, line, column, int(row[1])] = 0.9
            maps["box"][i, line, column] = [*(middle - row[2:4]), *(row[4:6] - middle)]
            maps["offset"][i, line, column] = (pixel - middle) / task.stride
            maps["depth"][i, line, column] = z
            maps["size"][i, line, column] = row[9:12]
            maps["yaw"][i, line, column] = 2 * np.sin(alpha), 2 * np.cos(alpha)
            maps["velocity"][i, line, column] = row[14:16]
    return maps


def random_boxes(rng: np.random.Generator, count: int) -> list[dict[str, Any]]:
    """Return objects ahead of the ego vehicle, as dicts."""
    return [
        {
            "name": str(rng.choice(["car", "truck", "pedestrian", "bicycle"])),
            "centre": [rng.uniform(6, 48), rng.uniform(-12, 12), rng.uniform(0.3, 2)],
            "size": rng.uniform(0.5, 6, 3).tolist(),
            "yaw": rng.uniform(-np.pi, np.pi),
            "velocity": rng.uniform(-20, 20, 2).tolist(),
            "attribute": str(rng.choice(["", "vehicle.moving", "pedestrian.standing"])),
            "visibility": int(rng.integers(1, 5)),
            "radar_points": int(rng.integers(0, 4)),
            "lidar_points": int(rng.integers(1, 9)),
        }
        for _ in range(count)
    ]
