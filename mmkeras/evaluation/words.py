"""Numbers as people read them: shares in percent, differences of shares in points."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

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
    "NDS_front": "NDS_front",
    "mATE": "mATE (m)",
    "mASE": "mASE (1 - IOU)",
    "mAOE": "mAOE (rad)",
    "mAVE": "mAVE (m/s)",
    "mAAE": "mAAE (1 - accuracy)",
    "velocity_error": "velocity error (m/s)",
    "AP_2d": "2D AP (COCO)",
    "AP50_2d": "2D AP at IOU 0.5",
}


def title(metric: str) -> str:
    """Return the metric's name in words."""
    if metric.startswith("mae_"):
        return f"mean absolute error of {metric.removeprefix('mae_')}"
    if metric.startswith("AP_") and metric not in _TITLES:
        return f"AP of {metric.removeprefix('AP_').replace('_', ' ')}"
    return _TITLES.get(metric, metric.replace("_", " ").replace("f1", "F1"))


def number(metric: str, value: float | None) -> str:
    """Return one value of a metric: ``97.3 %`` or ``0.0421``."""
    if value is None or value != value:
        return "–"
    return f"{100 * value:.1f}{_SPACE}%" if is_share(metric) else f"{value:.4g}"


def span(metric: str, interval: Mapping[str, Any]) -> str:
    """Return an interval of ``metrics.json``: ``96.9 – 97.7 %``."""
    low, high = interval["low"], interval["high"]
    if low is None or high is None:
        return "–"
    if is_share(metric):
        return f"{100 * low:.1f} – {100 * high:.1f}{_SPACE}%"
    return f"{low:.4g} – {high:.4g}"


def span_of_change(metric: str, interval: Mapping[str, Any]) -> str:
    """Return a difference's interval of ``metrics.json``: ``-55.9 to -53.9 points``."""
    low, high = interval["low"], interval["high"]
    if low is None or high is None:
        return "–"
    if is_share(metric):
        return f"{100 * low:+.1f} to {100 * high:+.1f} points"
    return f"{low:+.3g} to {high:+.3g}"


def step(metric: str, value: float | None) -> str:
    """Return a difference with its sign: ``-0.20 points``."""
    if value is None or value != value:
        return "–"
    # Adding 0 turns -0 into 0.
    return f"{100 * value + 0:+.2f}{_SPACE}points" if is_share(metric) else f"{value + 0:+.3g}"


def change(metric: str, difference: Interval) -> str:
    """Return a difference with sign and interval: ``+1.2 points, interval +0.8 to +1.6``."""
    scale, unit = (100, " points") if is_share(metric) else (1, "")
    value, low, high = (scale * x for x in (difference.value, difference.low, difference.high))
    form = "+.1f" if is_share(metric) else "+.3g"
    return f"{value:{form}}{unit}, interval {low:{form}} to {high:{form}}"


def amount(metric: str, difference: Interval) -> str:
    """Return the size of a difference without its sign: ``32.5 points, interval 31.2 to 33.9``."""
    low, high = sorted((abs(difference.low), abs(difference.high)))
    scale, unit, form = (100, " points", ".1f") if is_share(metric) else (1, "", ".3g")
    size = abs(scale * difference.value)
    return f"{size:{form}}{unit}, interval {scale * low:{form}} to {scale * high:{form}}"
