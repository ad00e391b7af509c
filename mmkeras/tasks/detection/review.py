"""Objects and detections of frames in words and pictures, for the report: see `mmkeras.evaluation.examples`."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import Any

import numpy as np

from mmkeras.media.image.pixels import read_rgb
from mmkeras.modalities import ModalitySpec
from mmkeras.modalities.radar.spec import read_points
from mmkeras.tasks._contract import Outputs
from mmkeras.tasks.detection.birds_eye import birds_eye
from mmkeras.tasks.detection.boxes import Boxes
from mmkeras.tasks.detection.picture import beside, camera_picture
from mmkeras.tasks.detection.spec import Spec
from mmkeras.tasks.detection.target import as_pose

__all__ = ["answers", "sample_pictures", "truths"]

_WIDTH, _HEIGHT = 768, 420


def truths(task: Spec, targets: np.ndarray) -> list[str]:
    """Return the objects of each frame: ``2 car, 1 truck``."""
    return [_listed(task, each) for each in task.truth(targets).by_sample(len(targets))]


def answers(task: Spec, outputs: Outputs) -> list[str]:
    """Return the detections of each frame, like `truths`."""
    found = task.found(outputs, threshold=task.score_threshold)
    return [_listed(task, each) for each in found.by_sample(len(outputs["heatmap"]))]


def sample_pictures(
    task: Spec, specs: Mapping[str, ModalitySpec], values: Mapping[str, Any], target: np.ndarray, outputs: Outputs
) -> list[np.ndarray]:
    """Return one picture of a frame: the camera image with boxes, speeds and radar points, beside the scene from above.

    Args:
        task: the task.
        specs: modality specs by name.
        values: raw values by modality; a missing camera image is black.
        target: the encoded target (max_objects + 1, 20).
        outputs: maps (h, w, ...) of this frame.

    Returns:
        uint8 (H, W, 3), of the same size for every frame of a model.
    """
    batch = {name: value[None] for name, value in outputs.items()}
    truth = task.truth(target[None]).answers(task.labels, 1)[0]["detections"]
    pose = as_pose(target[-1, :7])
    found = task.decode(batch, [pose])[0]["detections"]
    camera = task.pinhole
    picture, points = np.zeros((round(camera.height), round(camera.width), 3), np.uint8), None
    for name, spec in specs.items():
        value = values.get(name)
        if value is not None and spec.kind == "image":
            picture = np.asarray(read_rgb(value))
        elif value is not None and spec.kind == "radar":
            points = read_points(value)
    scale = max(round(_WIDTH / camera.width), 1)
    left = camera_picture(picture, found, truth, points, camera=camera, camera_pose=pose, scale=scale)
    right = birds_eye(found, truth, points, camera=camera, camera_pose=pose, height=max(left.shape[0], _HEIGHT))
    return [beside(left, right)]


def _listed(task: Spec, boxes: Boxes) -> str:
    counts = Counter(task.labels[label] for label in boxes.label)
    return ", ".join(f"{counts[name]} {name}" for name in task.labels if counts[name]) or "nothing"
