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

Classes without an object among the samples are left out of the means (nuScenes counts them as 0, which would make a
small group of samples look bad). An object that no radar or lidar point lies in is not scored, as in nuScenes.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from mmkeras.tasks.detection.boxes import Boxes
from mmkeras.tasks.detection.coco_metric import available, coco_match, coco_precision
from mmkeras.tasks.detection.nuscenes_metric import match, scored, summarise

__all__ = ["Scores"]

_MEANS = ("mATE", "mASE", "mAOE", "mAVE", "mAAE")


class Scores:
    """Matches detections with truth once; a call then gives the numbers under weights (S,)."""

    def __init__(
        self,
        truth: Boxes,
        found: Boxes,
        labels: Sequence[str],
        samples: int,
        ranges: Sequence[float],
        count_unseen: bool = False,
    ) -> None:
        self._labels = tuple(labels)
        counted = [scored(each, ranges, count_unseen) for each in (truth, found)]
        self._matches = match(counted[0], counted[1], labels, samples)
        self._flat = None
        if available():
            seen = truth if count_unseen else truth.take(truth.points != 0)
            self._flat = coco_match(seen, found, len(self._labels), samples)

    def __call__(self, weights: np.ndarray | None = None) -> dict[str, float]:
        """Return every number under sample weights (S,); whole ones count like that many copies."""
        summary = summarise(self._matches, weights)
        flat = {} if self._flat is None else _flat(coco_precision(self._flat, weights))
        by_class = zip(self._labels, summary.average_precision.mean(axis=1), summary.truth > 0, strict=True)
        return {
            "mAP": summary.mean_ap(present_only=True),
            "NDS_front": summary.detection_score(present_only=True),
            **dict(zip(_MEANS, summary.errors(present_only=True).tolist(), strict=True)),
            "velocity_error": summary.velocity_error,
            **{f"AP_{name}": float(value) if present else float("nan") for name, value, present in by_class},
            **flat,
        }


def _flat(precision: np.ndarray) -> dict[str, float]:
    """Return the 2D numbers from average precisions (C, 10); NaN without an object."""
    known = precision[~np.isnan(precision[:, 0])]
    each = known.mean(axis=0) if len(known) else np.full(precision.shape[1], np.nan)
    return {"AP_2d": float(each.mean()), "AP50_2d": float(each[0])}
