"""A detection problem with a camera, a radar and a model that reads both: tiny, with known answers."""

from __future__ import annotations

import io
from dataclasses import replace
from typing import Any

import numpy as np
from PIL import Image

from mmkeras.evaluation import Samples
from mmkeras.modalities import ModalitySpec
from mmkeras.modalities.image.spec import Config as ImageConfig
from mmkeras.modalities.radar.spec import Config as RadarConfig
from mmkeras.tasks.detection.spec import Spec
from tests.tasks.detection.maps import CAMERA, perfect_maps, random_boxes, spec

SIZE = (96, 256)


def task() -> Spec:
    return spec()


def specs() -> dict[str, ModalitySpec]:
    return {
        "camera": ImageConfig(size=SIZE).spec("camera"),
        "radar": RadarConfig(camera=CAMERA, max_points=64).spec("radar"),
    }


def frames(count: int = 12, seed: int = 0) -> Samples:
    """Return frames whose points lie on their objects, with the columns of drives."""
    rng = np.random.default_rng(seed)
    own, modalities = task(), specs()
    targets, raws = [], []
    for _ in range(count):
        boxes = [dict(box, size=[1.9, 4.4, 1.6]) for box in random_boxes(rng, 5)]
        target = own.encode({"boxes": boxes, "camera": own.pose})
        rows = target[:-1][target[:-1, 0] > 0]
        points = np.zeros((len(rows), 8), np.float32)
        points[:, :3] = rows[:, 6:9]
        points[:, 4], points[:, 6] = rows[:, 14], rows[:, 15]
        stream = io.BytesIO()
        Image.fromarray(rng.integers(60, 180, (*SIZE, 3), dtype=np.uint8)).save(stream, "PNG")
        targets.append(target)
        raws.append({"camera": stream.getvalue(), "radar": points})
    inputs: dict[str, list[np.ndarray]] = {}
    for raw in raws:
        for name, modality in modalities.items():
            for tensor, value in modality.inputs(raw[name]).items():
                inputs.setdefault(tensor, []).append(value)
    return Samples(
        inputs={name: np.stack(values) for name, values in inputs.items()},
        targets=np.stack(targets),
        weights=np.ones(count, np.float32),
        keys=tuple(f"frame {i}" for i in range(count)),
        columns={
            "time_of_day": np.asarray(["night" if i % 3 == 0 else "day" for i in range(count)]),
            "weather": np.asarray(["rain" if i % 4 == 0 else "clear" for i in range(count)]),
        },
        raw=tuple(raws),
    )


class Oracle:
    """Knows the truth of every frame, but shows an object only while both sensors are there and a point lies on it."""

    def __init__(self, samples: Samples) -> None:
        self._pictures = samples.inputs["camera"].reshape(len(samples), -1)
        self._maps = perfect_maps(task(), samples.targets)

    def __call__(self, inputs: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
        size = len(inputs["camera"])
        result = {name: np.zeros((size, *value.shape[1:]), np.float32) for name, value in self._maps.items()}
        for i in range(size):
            if not inputs["camera_present"][i] or not inputs["radar_present"][i]:
                continue
            frame = int((self._pictures == inputs["camera"][i].reshape(-1)).all(1).argmax())
            for name, value in self._maps.items():
                result[name][i] = value[frame]
            points = inputs["radar_points"][i][inputs["radar_mask"][i] > 0]
            for row, column, _ in np.argwhere(result["heatmap"][i] > 0):
                depth = result["depth"][i, row, column, 0]
                near = np.abs(points[:, 1] - depth) < 0.15
                beside = np.abs(points[:, 2] * CAMERA[0] / 8 - 0.5 - column) < 1.0
                if not (near & beside).any():
                    result["heatmap"][i, row, column] = 0
        return result


def without_raw(samples: Samples) -> Samples:
    return replace(samples, raw=())


def boxes_of(samples: Samples) -> list[Any]:
    return task().truth(samples.targets).by_sample(len(samples))
