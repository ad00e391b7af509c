"""The numbers of the detection task, by weights of its samples. numpy only.

| name | meaning |
|---|---|
| ``mAP`` | mean of ``AP_<class>`` over the classes that occur |
| ``AP_<class>`` | nuScenes average precision, mean over centre distances of 0.5, 1, 2 and 4 m |
| ``mATE``, ``mASE``, ``mAOE``, | errors of true positives within 2 m: position in m, size as 1 - IOU, heading in rad, |
| ``mAVE``, ``mAAE`` | velocity in m/s, attribute as 1 - accuracy |
| ``NDS_front`` | nuScenes' sum of them, on what one camera sees: never the nuScenes detection score |
| ``velocity_error`` | mean difference of velocity over all true positives within 2 m, in m/s |
| ``AP_2d``, ``AP50_2d`` | COCO average precision of the 2D boxes; only where pycocotools is installed |

Classes without an object among the samples are left out of the means (nuScenes counts them as 0, which would lower the
score of a small group of samples). An object without any radar or lidar point is not scored, as in nuScenes.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from mmkeras.tasks._evidence import Evidence
from mmkeras.tasks.detection.boxes import Boxes
from mmkeras.tasks.detection.coco_metric import OVERLAPS, CocoMatches, available, coco_match, coco_precision
from mmkeras.tasks.detection.nuscenes_metric import (
    DISTANCES,
    ERRORS,
    ClassMatches,
    best_first,
    counts,
    match,
    scored,
    summarise,
)

__all__ = ["box_scores", "picture_evidence", "space_evidence"]

_MEANS = ("mATE", "mASE", "mAOE", "mAVE", "mAAE")


def space_evidence(
    truth: Boxes,
    found: Boxes,
    labels: Sequence[str],
    samples: int,
    detections: int,
    ranges: Sequence[float],
    count_unseen: bool = False,
) -> dict[str, np.ndarray]:
    """Match detections with objects by the distance of their centres.

    Args:
        truth: objects.
        found: detections in the order of the samples.
        labels: the classes (C,).
        samples: B.
        detections: D, the most of a sample; unused places have class -1.
        ranges: by class, in m.
        count_unseen: score objects without a radar or lidar point.

    Returns:
        ``label`` and ``score`` (B, D), ``near`` (B, D) for detections within the range, ``hit`` (B, D, 4) and
        ``errors`` (B, D, 5) as in `ClassMatches`, ``objects`` (B, C).
    """
    shape, (sample, place) = (samples, detections), _places(found)
    rows: dict[str, np.ndarray] = {
        "label": np.full(shape, -1, np.int16),
        "score": np.zeros(shape),
        "near": np.zeros(shape, bool),
        "hit": np.zeros((*shape, len(DISTANCES)), bool),
        "errors": np.full((*shape, len(ERRORS)), np.nan),
    }
    rows["label"][sample, place], rows["score"][sample, place] = found.label, found.score
    kept = np.flatnonzero(counts(found, ranges, count_unseen))
    matches = match(scored(truth, ranges, count_unseen), found.take(kept), labels, samples)
    for each in matches.values():
        own = sample[kept[each.row]], place[kept[each.row]]
        rows["near"][own], rows["hit"][own], rows["errors"][own] = True, each.hit.T, each.errors.T
    return {**rows, "objects": np.stack([each.truth for each in matches.values()], axis=1)}


def picture_evidence(
    truth: Boxes, found: Boxes, classes: int, samples: int, detections: int, count_unseen: bool = False
) -> dict[str, np.ndarray]:
    """Match detections with objects by their 2D boxes, see `space_evidence`; without pycocotools the result is empty.

    Returns:
        ``flat`` (B, D) for the detections that COCO counts, ``flat_hit`` (B, D, 10) and ``flat_objects`` (B, C).
    """
    if not available():
        return {}
    shape, (sample, place) = (samples, detections), _places(found)
    flat, hit = np.zeros(shape, bool), np.zeros((*shape, len(OVERLAPS)), bool)
    matches = coco_match(truth if count_unseen else truth.take(truth.points != 0), found, classes, samples)
    for each in matches:
        own = sample[each.row], place[each.row]
        flat[own], hit[own] = True, each.hit.T
    return {"flat": flat, "flat_hit": hit, "flat_objects": np.stack([each.truth for each in matches], axis=1)}


def _places(found: Boxes) -> tuple[np.ndarray, np.ndarray]:
    """Return the sample of each detection (n,) and its place among those of the sample."""
    return found.sample, np.arange(len(found)) - np.searchsorted(found.sample, found.sample)


def box_scores(evidence: Evidence, labels: Sequence[str], weights: np.ndarray) -> dict[str, np.ndarray]:
    """Return every number (R,) under R weightings (R, N); a sample of weight 2 counts like two copies of it."""
    matches = {name: _matches(evidence, i) for i, name in enumerate(labels)}
    flat = [_flat_matches(evidence, i) for i in range(len(labels))] if "flat" in evidence else []
    found = [_scores(matches, flat, row) for row in weights]
    return {name: np.asarray([each[name] for each in found]) for name in found[0]}


def _matches(evidence: Evidence, label: int) -> ClassMatches:
    sample, place = np.nonzero((evidence["label"] == label) & evidence["near"])
    order = best_first(evidence["score"][sample, place])
    own = sample[order], place[order]
    score, hit, errors = (evidence[name][own] for name in ("score", "hit", "errors"))
    return ClassMatches(own[0], score, hit.T, errors.T, evidence["objects"][:, label], order)


def _flat_matches(evidence: Evidence, label: int) -> CocoMatches:
    sample, place = np.nonzero((evidence["label"] == label) & evidence["flat"])
    order = np.argsort(-evidence["score"][sample, place], kind="stable")
    hit = evidence["flat_hit"][sample[order], place[order]]
    return CocoMatches(sample[order], hit.T, evidence["flat_objects"][:, label], order)


def _scores(matches: Mapping[str, ClassMatches], flat: Sequence[CocoMatches], weights: np.ndarray) -> dict[str, float]:
    summary = summarise(matches, weights)
    by_class = zip(matches, summary.average_precision.mean(axis=1), summary.truth > 0, strict=True)
    return {
        "mAP": summary.mean_ap(present_only=True),
        "NDS_front": summary.detection_score(present_only=True),
        **dict(zip(_MEANS, summary.errors(present_only=True).tolist(), strict=True)),
        "velocity_error": summary.velocity_error,
        **{f"AP_{name}": float(value) if present else float("nan") for name, value, present in by_class},
        **(_flat(coco_precision(flat, weights)) if flat else {}),
    }


def _flat(precision: np.ndarray) -> dict[str, float]:
    """Return the 2D numbers from average precisions (C, 10); NaN without an object."""
    known = precision[~np.isnan(precision[:, 0])]
    each = known.mean(axis=0) if len(known) else np.full(precision.shape[1], np.nan)
    return {"AP_2d": float(each.mean()), "AP50_2d": float(each[0])}
