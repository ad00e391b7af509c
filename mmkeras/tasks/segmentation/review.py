"""Masks of samples in words and pictures, for the report: see `mmkeras.evaluation.examples`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from mmkeras.modalities import ModalitySpec
from mmkeras.tasks._contract import Outputs
from mmkeras.tasks.segmentation.picture import overlay, picture_of
from mmkeras.tasks.segmentation.spec import Spec

__all__ = ["answers", "sample_pictures", "truths"]

_WIDTH = 480
"""Pixels that a drawn picture is at least as wide as, if that needs no more than four times its own."""
_LONGEST = 46


def truths(task: Spec, targets: np.ndarray) -> list[str]:
    """Return the classes of each mask with their share of the pixels: ``road 42 %, car 3 %``."""
    return [_listed(task, mask) for mask in task.truth(targets)]


def answers(task: Spec, outputs: Outputs) -> list[str]:
    """Return the classes of each answer, like `truths`."""
    return [_listed(task, mask) for mask in task.answer(outputs)]


def sample_pictures(
    task: Spec, specs: Mapping[str, ModalitySpec], values: Mapping[str, Any], target: np.ndarray, outputs: Outputs
) -> list[np.ndarray]:
    """Return one picture of a sample: the mask of the dataset over the picture, beside the model's.

    Args:
        task: the task.
        specs: modality specs by name.
        values: raw values by modality; a missing picture is grey.
        target: the encoded mask (H, W).
        outputs: scores (H, W, K) of this sample.

    Returns:
        uint8 (height, width, 3), of the same size for every sample of a model.
    """
    pixels = picture_of(specs, values, (task.height, task.width), task.resize)
    if pixels is None:
        pixels = np.full((task.height, task.width, 3), 96, np.uint8)
    text = values.get(task.prompt) if task.prompt else None
    asked = f"“{text}”" if text else "all classes"
    scale = min(max(round(_WIDTH / task.width), 1), 4)
    pairs = (("data", task.truth(target[None])[0]), ("model", task.answer({"mask": outputs["mask"][None]})[0]))
    drawn = [
        overlay(pixels, mask, task.labels, task.colours, title=f"{who}: {asked}"[:_LONGEST], scale=scale)
        for who, mask in pairs
    ]
    return [np.concatenate(drawn, axis=1)]


def _listed(task: Spec, mask: np.ndarray) -> str:
    counts = np.bincount(mask[(mask >= 0) & (mask < len(task.labels))], minlength=len(task.labels))
    order = [number for number in np.argsort(-counts, kind="stable") if counts[number]]
    named = ", ".join(f"{task.labels[number]} {100 * counts[number] / mask.size:.0f} %" for number in order)
    return named or "nothing"
