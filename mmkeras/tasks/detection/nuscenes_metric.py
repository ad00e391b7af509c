"""The nuScenes detection metric: AP by centre distance, five errors of true positives, and their sum. numpy only.

It gives what nuscenes-devkit 1.2.0 gives (``detection_cvpr_2019``), ties, empty classes and NaN included. Matching
does not depend on how often a sample counts, so `match` is done once; `summarise` then takes a weight per sample, as a
bootstrap needs it. The official score wants the detections of all six cameras: on those of one it is no nuScenes NDS.

Source: Caesar et al., nuScenes: A multimodal dataset for autonomous driving, 2020, section 4.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from mmkeras.tasks.detection.boxes import Boxes
from mmkeras.tasks.detection.classes import NO_ORIENTATION, NO_VELOCITY

__all__ = [
    "DISTANCES",
    "ERRORS",
    "ERROR_DISTANCE",
    "ClassMatches",
    "Matches",
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
    """How the n detections of one class, most confident first, met its truth."""

    sample: np.ndarray
    """int (n,): the sample of each detection."""
    score: np.ndarray
    """float (n,), falling."""
    hit: np.ndarray
    """bool (4, n): it met an object, by `DISTANCES`."""
    errors: np.ndarray
    """float (5, n): `ERRORS` of those that met one within 2 m; NaN for the others and where an error is not known."""
    truth: np.ndarray
    """int (S,): objects in each sample."""
    row: np.ndarray
    """int (n,): position of each detection among those given to `match`."""


@dataclass(frozen=True)
class Matches:
    """Everything that the metric needs to know of S samples."""

    labels: tuple[str, ...]
    """The classes."""
    classes: tuple[ClassMatches, ...]
    """By class."""


@dataclass(frozen=True)
class Summary:
    """The metric's numbers."""

    labels: tuple[str, ...]
    """The classes."""
    average_precision: np.ndarray
    """(C, 4) by class and `DISTANCES`."""
    class_errors: np.ndarray
    """(C, 5) by class and `ERRORS`; NaN where nuScenes does not define one."""
    truth: np.ndarray
    """(C,) weighted number of objects."""
    velocity_error: float
    """Mean difference of the velocities (m/s) over all true positives within 2 m, of all classes; NaN without any."""

    def mean_ap(self, present_only: bool = False) -> float:
        """Return mAP over all classes, as nuScenes does (a class without truth counts 0), or over those with truth."""
        rows = self.average_precision[self._rows(present_only)]
        return float(np.mean(rows.mean(axis=1))) if len(rows) else float("nan")

    def errors(self, present_only: bool = False) -> np.ndarray:
        """Return the five mean errors (5,) over the classes that have them; NaN where none has."""
        rows = self.class_errors[self._rows(present_only)]
        known = ~np.isnan(rows)
        total, count = np.where(known, rows, 0.0).sum(axis=0), known.sum(axis=0)
        return np.asarray(np.divide(total, count, out=np.full(len(ERRORS), np.nan), where=count > 0))

    def detection_score(self, present_only: bool = False) -> float:
        """Return ``(5 mAP + sum of max(0, 1 - error)) / 10``."""
        parts = np.maximum(0.0, 1.0 - self.errors(present_only))
        return float((_AP_WEIGHT * self.mean_ap(present_only) + np.sum(parts)) / (_AP_WEIGHT + len(parts)))

    def _rows(self, present_only: bool) -> np.ndarray:
        return self.truth > 0 if present_only else np.ones(len(self.truth), bool)


def counts(boxes: Boxes, ranges: Sequence[float], count_unseen: bool = False) -> np.ndarray:
    """Return bool (n,): a box counts, being nearer than the range of its class and not without any sensor point.

    Args:
        boxes: truth or detections; the number of points of a detection is -1.
        ranges: by class, in m.
        count_unseen: keep boxes with 0 points too.
    """
    near = boxes.distance < np.asarray(ranges, np.float64)[boxes.label]
    return np.asarray(near if count_unseen else near & (boxes.points != 0))


def scored(boxes: Boxes, ranges: Sequence[float], count_unseen: bool = False) -> Boxes:
    """Return the boxes that count, see `counts`."""
    return boxes.take(counts(boxes, ranges, count_unseen))


def match(truth: Boxes, found: Boxes, labels: Sequence[str], samples: int) -> Matches:
    """Match detections with truth, class by class and sample by sample, the most confident first.

    A detection takes the nearest object that none before it took, if that is nearer than the limit. Of equal scores the
    later detection comes first.

    Args:
        truth: objects, see `scored`.
        found: detections, see `scored`.
        labels: the classes.
        samples: S.
    """
    return Matches(
        labels=tuple(labels),
        classes=tuple(
            _match_class(truth.take(truth.label == i), found, np.flatnonzero(found.label == i), name, samples)
            for i, name in enumerate(labels)
        ),
    )


def best_first(score: np.ndarray) -> np.ndarray:
    """Return the order (n,) in which detections are matched and counted: of equal scores the later one comes first."""
    return np.argsort(score, kind="stable")[::-1]


def _match_class(truth: Boxes, found: Boxes, rows: np.ndarray, name: str, samples: int) -> ClassMatches:
    own = rows[best_first(found.score[rows])]
    found = found.take(own)
    partner = np.full((len(DISTANCES), len(found)), -1)
    # Rows of each sample; those of the detections stay in the order of their scores.
    of_truth, of_found = (np.argsort(each.sample, kind="stable") for each in (truth, found))
    truth_ends = np.searchsorted(truth.sample[of_truth], np.arange(samples + 1))
    found_ends = np.searchsorted(found.sample[of_found], np.arange(samples + 1))
    for i in np.flatnonzero((np.diff(truth_ends) > 0) & (np.diff(found_ends) > 0)):
        objects = of_truth[truth_ends[i] : truth_ends[i + 1]]
        rows = of_found[found_ends[i] : found_ends[i + 1]]
        apart = found.centre[rows, None, :2] - truth.centre[None, objects, :2]
        distance = np.sqrt(apart[..., 0] ** 2 + apart[..., 1] ** 2)
        # A detection that is near nothing never matches, whatever is taken.
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
    """Return the column (n,) that each row takes, or -1."""
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


def summarise(matches: Matches, weights: np.ndarray | None = None) -> Summary:
    """Return the metric's numbers under one weight per sample.

    Whole weights count exactly as that many copies of a sample would; others enter the cumulative sums as they are.

    Args:
        matches: of S samples.
        weights: (S,), at least 0; ones where not given.
    """
    count = len(matches.labels)
    precision, errors = np.zeros((count, len(DISTANCES))), np.ones((count, len(ERRORS)))
    truth, speed, hits = np.zeros(count), 0.0, 0.0
    weight = None if weights is None else np.asarray(weights, np.float64)
    whole = weight is None or bool((weight == np.floor(weight)).all())
    for i, (name, each) in enumerate(zip(matches.labels, matches.classes, strict=True)):
        if weight is None:
            rows, share = np.arange(len(each.sample)), None
        elif whole:
            rows, share = np.repeat(np.arange(len(each.sample)), weight[each.sample].astype(np.int64)), None
        else:
            rows = np.flatnonzero(weight[each.sample] > 0)
            share = weight[each.sample[rows]]
        truth[i] = each.truth.sum() if weight is None else each.truth @ weight
        if truth[i] > 0:
            precision[i], errors[i] = _curves(each, rows, share, truth[i])
        met = rows[each.hit[DISTANCES.index(ERROR_DISTANCE), rows]]
        part = each.errors[ERRORS.index("vel_err"), met]
        known = ~np.isnan(part)
        scale = np.ones(len(met)) if share is None else weight[each.sample[met]]  # type: ignore[index]
        speed, hits = speed + float(part[known] @ scale[known]), hits + float(scale[known].sum())
        errors[i, _undefined(name)] = np.nan
    return Summary(matches.labels, precision, errors, truth, speed / hits if hits else float("nan"))


def _undefined(name: str) -> list[int]:
    names = (["orient_err"] if name in NO_ORIENTATION else []) + (
        ["vel_err", "attr_err"] if name in NO_VELOCITY else []
    )
    return [ERRORS.index(each) for each in names]


def _curves(
    each: ClassMatches, rows: np.ndarray, share: np.ndarray | None, truth: float
) -> tuple[np.ndarray, np.ndarray]:
    """Return the APs (4,) and errors (5,) of one class."""
    average, errors = np.zeros(len(DISTANCES)), np.ones(len(ERRORS))
    every = np.arange(1, len(rows) + 1, dtype=np.float64) if share is None else np.cumsum(share)
    for k, limit in enumerate(DISTANCES):
        hit = each.hit[k, rows]
        if not hit.any():
            continue
        positive = np.cumsum(hit if share is None else hit * share).astype(np.float64)
        recall = positive / truth
        precision = np.interp(_RECALLS, recall, positive / every, right=0)
        average[k] = np.mean(np.maximum(precision[_MIN_RECALL + 1 :] - _MIN_PRECISION, 0)) / (1 - _MIN_PRECISION)
        if limit == ERROR_DISTANCE:
            score = each.score[rows]
            confidence = np.interp(_RECALLS, recall, score, right=0)
            last = int(np.flatnonzero(confidence)[-1]) if confidence.any() else 0
            if last > _MIN_RECALL:
                at = confidence[_MIN_RECALL + 1 : last + 1]
                met = None if share is None else share[hit]
                errors = np.array([_mean_error(row, score[hit], at, met) for row in each.errors[:, rows[hit]]])
    return average, errors


def _mean_error(errors: np.ndarray, score: np.ndarray, at: np.ndarray, share: np.ndarray | None) -> float:
    """Return the mean over the operating points ``at`` of an error's cumulative mean; 1 where it is never known."""
    known = ~np.isnan(errors)
    if not known.any():
        return 1.0
    weight = known.astype(np.float64) if share is None else known * share
    total, count = np.cumsum(np.where(known, errors, 0.0) * weight), np.cumsum(weight)
    running = np.divide(total, count, out=np.zeros(len(total)), where=count > 0)
    return float(np.mean(np.interp(at[::-1], score[::-1], running[::-1])))
