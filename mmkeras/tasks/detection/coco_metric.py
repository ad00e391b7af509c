"""COCO average precision of the 2D boxes, for weighted samples; pycocotools does the matching.

pycocotools is an optional package of the training machine; without it there are no 2D numbers. As in COCO, boxes match
by intersection over union, at ten limits from 0.5 to 0.95, and precision is read at 101 recalls.

Source: Lin et al., Microsoft COCO: Common Objects in Context, 2014, and https://cocodataset.org/#detection-eval.
"""

from __future__ import annotations

import contextlib
import importlib.util
import io
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from mmkeras.core.errors import require
from mmkeras.tasks._metrics import weighted_rows
from mmkeras.tasks.detection.boxes import Boxes

__all__ = ["OVERLAPS", "CocoMatches", "available", "coco_match", "coco_precision"]

OVERLAPS = np.linspace(0.5, 0.95, 10)
"""Least intersection over union of a match."""
_RECALLS = np.linspace(0.0, 1.0, 101)
_MOST = 100


@dataclass(frozen=True)
class CocoMatches:
    """How the n detections of one class, most confident first, match its objects in S samples."""

    sample: np.ndarray
    """int (n,)."""
    hit: np.ndarray
    """bool (10, n), by `OVERLAPS`."""
    truth: np.ndarray
    """int (S,): objects in each sample."""
    row: np.ndarray
    """int (n,): position of each detection among those given to `coco_match`."""


def available() -> bool:
    """Return whether pycocotools is installed."""
    return importlib.util.find_spec("pycocotools") is not None


def coco_match(truth: Boxes, found: Boxes, classes: int, samples: int) -> tuple[CocoMatches, ...]:
    """Match the 2D boxes of objects and detections in each class, up to 100 detections of a class in a sample.

    Raises:
        DependencyError: pycocotools is not installed.
    """
    evaluation = _evaluated(truth, found, classes, samples)
    result = []
    for label in range(classes):
        entries = evaluation.evalImgs[label * samples : (label + 1) * samples]
        seen = [(i, each) for i, each in enumerate(entries) if each is not None]
        sample = np.concatenate([np.full(len(each["dtScores"]), i) for i, each in seen] or [np.zeros(0)])
        score = np.concatenate([np.asarray(each["dtScores"]) for _, each in seen] or [np.zeros(0)])
        row = np.concatenate([np.asarray(each["dtIds"]) - 1 for _, each in seen] or [np.zeros(0)])
        hit = np.concatenate([each["dtMatches"] > 0 for _, each in seen] or [np.zeros((len(OVERLAPS), 0))], axis=1)
        order = np.argsort(-score, kind="stable")
        objects = truth.sample[(truth.label == label) & _has_area(truth)]
        count = np.bincount(objects, minlength=samples)
        places = sample[order].astype(np.int64), row[order].astype(np.int64)
        result.append(CocoMatches(places[0], hit[:, order].astype(bool), count, places[1]))
    return tuple(result)


def _has_area(boxes: Boxes) -> np.ndarray:
    return np.asarray((boxes.box[:, 2] > boxes.box[:, 0]) & (boxes.box[:, 3] > boxes.box[:, 1]))


def _evaluated(truth: Boxes, found: Boxes, classes: int, samples: int) -> Any:
    coco = require("pycocotools.coco", "train")
    evaluator = require("pycocotools.cocoeval", "train")
    images = [{"id": i} for i in range(samples)]
    categories = [{"id": i} for i in range(classes)]
    with contextlib.redirect_stdout(io.StringIO()):  # pycocotools prints its progress
        sides = []
        for boxes in (truth.take(_has_area(truth)), found):
            side = coco.COCO()
            side.dataset = {"images": images, "categories": categories, "annotations": _annotations(boxes)}
            side.createIndex()
            sides.append(side)
        evaluation = evaluator.COCOeval(sides[0], sides[1], "bbox")
        evaluation.params.areaRng = [[0, 1e10]]
        evaluation.params.areaRngLbl = ["all"]
        evaluation.params.maxDets = [_MOST]
        evaluation.params.iouThrs = OVERLAPS
        evaluation.evaluate()
    return evaluation


def _annotations(boxes: Boxes) -> list[dict[str, Any]]:
    """Return COCO's annotations; ids start at 1, since 0 means no match in COCO."""
    size = boxes.box[:, 2:] - boxes.box[:, :2]
    corners = np.concatenate([boxes.box[:, :2], size], axis=1).tolist()
    rows = zip(boxes.sample.tolist(), boxes.label.tolist(), boxes.score.tolist(), corners, strict=True)
    return [
        {
            "id": i + 1,
            "image_id": sample,
            "category_id": label,
            "score": score,
            "bbox": box,
            "area": box[2] * box[3],
            "iscrowd": 0,
        }
        for i, (sample, label, score, box) in enumerate(rows)
    ]


def coco_precision(matches: Sequence[CocoMatches], weights: np.ndarray | None = None) -> np.ndarray:
    """Return the average precision (C, 10) by class and `OVERLAPS`; NaN for a class without objects.

    Args:
        matches: by class.
        weights: (S,) of the samples, ones by default; a sample of weight 2 counts like two copies of it.
    """
    result = np.full((len(matches), len(OVERLAPS)), np.nan)
    for i, each in enumerate(matches):
        weight = np.ones(len(each.truth)) if weights is None else np.asarray(weights, np.float64)
        truth = float(each.truth @ weight)
        if truth > 0:
            rows, share = weighted_rows(each.sample, weight)
            result[i] = _average(each.hit[:, rows], share, truth)
    return result


def _average(hit: np.ndarray, share: np.ndarray, truth: float) -> np.ndarray:
    """Return the average precision (10,) of detections (10, n) with weights (n,), most confident first."""
    result = np.zeros(len(hit))
    if not hit.shape[1]:
        return result
    positive = np.cumsum(hit * share, axis=1)
    precision = positive / (np.cumsum(share) + np.spacing(1))
    # The best precision from each recall on.
    precision = np.maximum.accumulate(precision[:, ::-1], axis=1)[:, ::-1]
    for k in range(len(hit)):
        places = np.searchsorted(positive[k] / truth, _RECALLS, side="left")
        reached = places < hit.shape[1]
        result[k] = precision[k, places[reached]].sum() / len(_RECALLS)
    return result
