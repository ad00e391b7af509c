"""The nuScenes detection metric: AP by centre distance, five errors of true positives, and their sum. numpy only.

Its results equal those of nuscenes-devkit 1.2.0 (``detection_cvpr_2019``), with ties, empty classes and NaN. Matching
does not depend on the weights of samples, so `match` runs once, and `summarise` runs for each weighting of a bootstrap.
The official score needs the detections of all six cameras: with one camera it is not the nuScenes NDS.

Source: Caesar et al., nuScenes: A multimodal dataset for autonomous driving, 2020, section 4.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from mmkeras.tasks._metrics import mean_of_known, weighted_rows
from mmkeras.tasks.detection.boxes import Boxes
from mmkeras.tasks.detection.classes import NO_ORIENTATION, NO_VELOCITY

__all__ = [
    "DISTANCES",
    "ERRORS",
    "ERROR_DISTANCE",
    "ClassMatches",
    "Summary",
    "best_first",
    "counts",
    "match",
    "scored",
    "summarise",
]

DISTANCES = (0.5, 1.0, 2.0, 4.0)
"""Centre distances (m) below which a detection may match."""
ERRORS = ("trans_err", "scale_err", "orient_err", "vel_err", "attr_err")
"""Errors of true positives: m, 1 - IOU of aligned boxes, rad, m/s, 1 - accuracy."""
ERROR_DISTANCE = 2.0
"""Centre distance (m) below which errors are measured."""
_MIN_RECALL = 10  # per cent
_MIN_PRECISION = 0.1
_RECALLS = np.linspace(0, 1, 101)
_AP_WEIGHT = 5


@dataclass(frozen=True)
class ClassMatches:
    """How the n detections of one class, most confident first, match its objects."""

    sample: np.ndarray
    """int (n,): the sample of each detection."""
    score: np.ndarray
    """float (n,), falling."""
    hit: np.ndarray
    """bool (4, n): it matches an object, by `DISTANCES`."""
    errors: np.ndarray
    """float (5, n): `ERRORS` of a match within 2 m; NaN without a match and for an unknown error."""
    truth: np.ndarray
    """int (S,): objects in each sample."""
    row: np.ndarray
    """int (n,): position of each detection among those given to `match`."""


@dataclass(frozen=True)
class Summary:
    """The metric's numbers for C classes."""

    average_precision: np.ndarray
    """(C, 4) by class and `DISTANCES`."""
    class_errors: np.ndarray
    """(C, 5) by class and `ERRORS`; NaN for an error that nuScenes does not define."""
    truth: np.ndarray
    """(C,) weighted number of objects."""
    velocity_error: float
    """Mean difference of the velocities (m/s) over the true positives within 2 m of all classes; NaN without any."""

    def mean_ap(self, present_only: bool = False) -> float:
        """Return mAP over the classes with objects, or as in nuScenes over all, where one without objects counts 0."""
        rows = self.average_precision[self._rows(present_only)]
        return float(np.mean(rows.mean(axis=1))) if len(rows) else float("nan")

    def errors(self, present_only: bool = False) -> np.ndarray:
        """Return the five mean errors (5,) over the classes that define them; NaN without such a class."""
        return mean_of_known(self.class_errors[self._rows(present_only)], axis=0)

    def detection_score(self, present_only: bool = False) -> float:
        """Return ``(5 mAP + sum of max(0, 1 - error)) / 10``."""
        parts = np.maximum(0.0, 1.0 - self.errors(present_only))
        return float((_AP_WEIGHT * self.mean_ap(present_only) + np.sum(parts)) / (_AP_WEIGHT + len(parts)))

    def _rows(self, present_only: bool) -> np.ndarray:
        return self.truth > 0 if present_only else np.ones(len(self.truth), bool)


def counts(boxes: Boxes, ranges: Sequence[float], count_unseen: bool = False) -> np.ndarray:
    """Return bool (n,): a box is within the range of its class, and a radar or lidar point lies in it.

    Args:
        boxes: truth or detections; a detection has -1 points, which is unknown and counts.
        ranges: by class, in m.
        count_unseen: count boxes with 0 points too.
    """
    near = boxes.distance < np.asarray(ranges, np.float64)[boxes.label]
    return np.asarray(near if count_unseen else near & (boxes.points != 0))


def scored(boxes: Boxes, ranges: Sequence[float], count_unseen: bool = False) -> Boxes:
    """Return the boxes that count, see `counts`."""
    return boxes.take(counts(boxes, ranges, count_unseen))


def match(truth: Boxes, found: Boxes, labels: Sequence[str], samples: int) -> dict[str, ClassMatches]:
    """Match detections with objects, class by class and sample by sample, the most confident detection first.

    A detection matches the nearest object that no detection before it matches, if that is nearer than the limit.

    Args:
        truth: objects, see `scored`.
        found: detections, see `scored`.
        labels: the classes.
        samples: S.

    Returns:
        The matches by class.
    """
    return {
        name: _match_class(truth.take(truth.label == i), found, np.flatnonzero(found.label == i), name, samples)
        for i, name in enumerate(labels)
    }


def best_first(score: np.ndarray) -> np.ndarray:
    """Return the order (n,) of detections by score; of two equal scores the later detection comes first."""
    return np.argsort(score, kind="stable")[::-1]


def _match_class(truth: Boxes, found: Boxes, rows: np.ndarray, name: str, samples: int) -> ClassMatches:
    own = rows[best_first(found.score[rows])]
    found = found.take(own)
    partner = np.full((len(DISTANCES), len(found)), -1)
    # The rows of each sample; its detections stay in the order of their scores.
    of_truth, of_found = (np.argsort(each.sample, kind="stable") for each in (truth, found))
    truth_ends = np.searchsorted(truth.sample[of_truth], np.arange(samples + 1))
    found_ends = np.searchsorted(found.sample[of_found], np.arange(samples + 1))
    for i in np.flatnonzero((np.diff(truth_ends) > 0) & (np.diff(found_ends) > 0)):
        objects = of_truth[truth_ends[i] : truth_ends[i + 1]]
        rows = of_found[found_ends[i] : found_ends[i + 1]]
        apart = found.centre[rows, None, :2] - truth.centre[None, objects, :2]
        distance = np.sqrt(apart[..., 0] ** 2 + apart[..., 1] ** 2)
        # Only detections that are near an object can match.
        close = np.flatnonzero(distance.min(axis=1) < DISTANCES[-1])
        for k, limit in enumerate(DISTANCES):
            chosen = _greedy(distance[close], limit)
            partner[k, rows[close]] = np.where(chosen >= 0, objects[chosen], -1)
    met = partner[DISTANCES.index(ERROR_DISTANCE)]
    errors = np.full((len(ERRORS), len(found)), np.nan)
    hits = np.flatnonzero(met >= 0)
    errors[:, hits] = _errors(truth.take(met[hits]), found.take(hits), name)
    count = np.bincount(truth.sample, minlength=samples)
    return ClassMatches(found.sample, found.score, partner >= 0, errors, count, own)


def _greedy(distance: np.ndarray, limit: float) -> np.ndarray:
    """Return the matching column of each row (n,), or -1."""
    left = distance.copy()
    chosen = np.full(len(left), -1)
    for row in range(len(left)):
        column = left[row].argmin()
        if left[row, column] < limit:
            chosen[row] = column
            left[:, column] = np.inf
    return chosen


def _errors(truth: Boxes, found: Boxes, name: str) -> np.ndarray:
    """Return `ERRORS` (5, n) of pairs."""
    apart = found.centre[:, :2] - truth.centre[:, :2]
    common = np.prod(np.minimum(truth.size, found.size), axis=1)
    union = np.prod(truth.size, axis=1) + np.prod(found.size, axis=1) - common
    # A barrier looks the same from both sides.
    period = np.pi if name == "barrier" else 2 * np.pi
    turned = np.abs((truth.yaw - found.yaw + period / 2) % period - period / 2)
    faster = found.velocity - truth.velocity
    wrong = np.where(truth.attribute == 0, np.nan, (truth.attribute != found.attribute).astype(np.float64))
    return np.stack([np.hypot(*apart.T), 1 - common / union, turned, np.hypot(*faster.T), wrong])


def summarise(matches: Mapping[str, ClassMatches], weights: np.ndarray | None = None) -> Summary:
    """Return the metric's numbers; a sample of weight 2 counts like two copies of it.

    Args:
        matches: by class, of S samples.
        weights: (S,), at least 0; ones by default.
    """
    count = len(matches)
    precision, errors = np.zeros((count, len(DISTANCES))), np.ones((count, len(ERRORS)))
    truth, speed, hits = np.zeros(count), 0.0, 0.0
    for i, (name, each) in enumerate(matches.items()):
        weight = np.ones(len(each.truth)) if weights is None else np.asarray(weights, np.float64)
        rows, share = weighted_rows(each.sample, weight)
        truth[i] = each.truth @ weight
        if truth[i] > 0:
            precision[i], errors[i] = _curves(each, rows, share, truth[i])
        met = each.hit[DISTANCES.index(ERROR_DISTANCE), rows]
        part, scale = each.errors[ERRORS.index("vel_err"), rows[met]], share[met]
        known = ~np.isnan(part)
        speed, hits = speed + float(part[known] @ scale[known]), hits + float(scale[known].sum())
        if name in NO_ORIENTATION:
            errors[i, ERRORS.index("orient_err")] = np.nan
        if name in NO_VELOCITY:
            errors[i, [ERRORS.index("vel_err"), ERRORS.index("attr_err")]] = np.nan
    return Summary(precision, errors, truth, speed / hits if hits else float("nan"))


def _curves(each: ClassMatches, rows: np.ndarray, share: np.ndarray, truth: float) -> tuple[np.ndarray, np.ndarray]:
    """Return the APs (4,) and errors (5,) of one class."""
    average, errors = np.zeros(len(DISTANCES)), np.ones(len(ERRORS))
    every = np.cumsum(share)
    for k, limit in enumerate(DISTANCES):
        hit = each.hit[k, rows]
        if not hit.any():
            continue
        positive = np.cumsum(hit * share)
        recall = positive / truth
        precision = np.interp(_RECALLS, recall, positive / every, right=0)
        average[k] = np.mean(np.maximum(precision[_MIN_RECALL + 1 :] - _MIN_PRECISION, 0)) / (1 - _MIN_PRECISION)
        if limit == ERROR_DISTANCE:
            score = each.score[rows]
            confidence = np.interp(_RECALLS, recall, score, right=0)
            last = int(np.flatnonzero(confidence)[-1]) if confidence.any() else 0
            if last > _MIN_RECALL:
                at = confidence[_MIN_RECALL + 1 : last + 1]
                errors = np.array([_mean_error(row, score[hit], at, share[hit]) for row in each.errors[:, rows[hit]]])
    return average, errors


def _mean_error(errors: np.ndarray, score: np.ndarray, at: np.ndarray, share: np.ndarray) -> float:
    """Return the mean over the operating points ``at`` of an error's cumulative mean; 1 if it is never known."""
    known = ~np.isnan(errors)
    if not known.any():
        return 1.0
    weight = known * share
    total, count = np.cumsum(np.where(known, errors, 0.0) * weight), np.cumsum(weight)
    running = np.divide(total, count, out=np.zeros(len(total)), where=count > 0)
    return float(np.mean(np.interp(at[::-1], score[::-1], running[::-1])))
