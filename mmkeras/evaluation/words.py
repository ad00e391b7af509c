"""Metrics as text: shares in percent, differences of shares in points."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from mmkeras.core.rounding import percent
from mmkeras.evaluation.draws import Interval
from mmkeras.evaluation.scales import is_share

__all__ = ["amount", "change", "is_share", "number", "span", "span_of_change", "step", "title"]

# No line break between a number and its unit.
_SPACE = "\u00a0"
_TITLES = {
    "mae": "mean absolute error",
    "mse": "mean squared error",
    "rmse": "root mean squared error",
    "relative_mae": "mean absolute error / standard deviation",
    "r2": "R²",
    "ece": "expected calibration error",
    "auc": "area under ROC",
    "mcc": "MCC",
    "NDS_front": "NDS_front",
    "mATE": "mATE (m)",
    "mASE": "mASE (1 - IOU)",
    "mAOE": "mAOE (rad)",
    "mAVE": "mAVE (m/s)",
    "mAAE": "mAAE (1 - accuracy)",
    "velocity_error": "velocity error (m/s)",
    "mean_iou": "mean IoU",
    "scene_iou": "mean IoU against all classes",
    "boundary_f": "boundary F",
    "AP_2d": "2D AP (COCO)",
    "AP50_2d": "2D AP at IOU 0.5",
}


def title(metric: str) -> str:
    """Return the name of a metric in words."""
    if metric.startswith("mae_"):
        return f"mean absolute error of {metric.removeprefix('mae_')}"
    if metric.startswith("iou_"):
        return f"IoU of {metric.removeprefix('iou_').replace('_', ' ')}"
    if metric.startswith("AP_") and metric not in _TITLES:
        return f"AP of {metric.removeprefix('AP_').replace('_', ' ')}"
    return _TITLES.get(metric, metric.replace("_", " ").replace("f1", "F1"))


def number(metric: str, value: float | None) -> str:
    """Return one value of a metric: ``97.3 %``, ``99.97 %`` or ``0.0421``."""
    if value is None or value != value:
        return "–"
    return f"{percent(value)}{_SPACE}%" if is_share(metric) else f"{value:.4g}"


def span(metric: str, interval: Mapping[str, Any]) -> str:
    """Return an interval of ``metrics.json``: ``96.9 – 97.7 %``."""
    low, high = interval["low"], interval["high"]
    if low is None or high is None:
        return "–"
    if is_share(metric):
        return f"{percent(low)} – {percent(high)}{_SPACE}%"
    return f"{low:.4g} – {high:.4g}"


def span_of_change(metric: str, interval: Mapping[str, Any]) -> str:
    """Return the interval of a difference in ``metrics.json``: ``-55.9 to -53.9 points``."""
    low, high = interval["low"], interval["high"]
    if low is None or high is None:
        return "–"
    if is_share(metric):
        return f"{percent(low, signed=True)} to {percent(high, signed=True)} points"
    return f"{low:+.3g} to {high:+.3g}"


def step(metric: str, value: float | None) -> str:
    """Return a difference with its sign: ``-0.20 points``."""
    if value is None or value != value:
        return "–"
    # Adding 0 turns -0 into 0.
    return f"{percent(value, 2, signed=True)}{_SPACE}points" if is_share(metric) else f"{value + 0:+.3g}"


def change(metric: str, difference: Interval) -> str:
    """Return a difference with sign and interval: ``+1.2 points, interval +0.8 to +1.6``."""
    share = is_share(metric)
    value, low, high = (
        percent(x, signed=True) if share else f"{x:+.3g}" for x in (difference.value, difference.low, difference.high)
    )
    return f"{value}{' points' if share else ''}, {_interval(low, high, difference)}"


def amount(metric: str, difference: Interval) -> str:
    """Return the size of a difference without its sign: ``32.5 points, interval 31.2 to 33.9``.

    An interval that includes 0 starts with a minus sign.
    """
    share, sign = is_share(metric), -1 if difference.value < 0 else 1
    ends = sorted((sign * difference.low, sign * difference.high))
    size, low, high = (percent(x) if share else f"{x:.3g}" for x in (abs(difference.value), *ends))
    return f"{size}{' points' if share else ''}, {_interval(low, high, difference)}"


def _interval(low: str, high: str, difference: Interval) -> str:
    known = math.isfinite(difference.low) and math.isfinite(difference.high)
    return f"interval {low} to {high}" if known else "no interval: a single group"
