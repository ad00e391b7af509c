"""Scales on which a metric's sampling error is about normal; shares, errors and R2 are skewed near their limits."""

from __future__ import annotations

from typing import Literal

import numpy as np

__all__ = ["Scale", "ends", "is_share", "scale_of"]

Scale = Literal["share", "error", "explained", "correlation", "plain"]

_SHARES = (
    *("accuracy", "f1", "precision", "recall", "match", "auc", "average_precision", "hamming", "iou"),
    *("boundary_f", "false_alarms"),
)
_ERRORS = ("mae", "mse", "rmse", "relative_mae", "log_loss", "cross_entropy", "mATE", "mASE", "mAOE", "mAVE", "mAAE")


def is_share(metric: str) -> bool:
    """Return whether a metric lies between 0 and 1 and is shown in percent."""
    if metric.startswith("mae_"):  # the name of the number follows, which may be "recall"
        return False
    return any(word in metric for word in _SHARES) or metric == "NDS_front" or metric.startswith(("AP", "mAP"))


def scale_of(metric: str) -> Scale:
    """Return the scale of a metric.

    ``share`` in [0, 1], ``error`` from 0 up, ``explained`` up to 1, ``correlation`` in [-1, 1], else ``plain``.

    Args:
        metric: its name, which may follow the name of a class or number: ``rmse``, ``distance rmse``.
    """
    name = metric.rpartition(" ")[2]
    if is_share(name):
        return "share"
    if name in _ERRORS or name.startswith("mae_") or name.endswith("_error"):
        return "error"
    return "correlation" if name == "mcc" else "explained" if name == "r2" else "plain"


def ends(scale: Scale, value: float, reach: float) -> tuple[float, float]:
    """Return the ends of an interval that is symmetric on a scale.

    The scale of shares is the logit, that of errors the logarithm, that of explained variance the logarithm of
    ``1 - value``, and that of correlations Fisher's z. A value outside the scale gets a plain interval.

    Args:
        scale: of the metric.
        value: the metric.
        reach: half the width of the plain interval.
    """
    if scale == "share" and 0 < value < 1:
        middle, half = np.log(value / (1 - value)), reach / (value * (1 - value))
        # tanh is the logistic function without its overflow.
        low, high = (0.5 * (1 + np.tanh((middle + side * half) / 2)) for side in (-1, 1))
        return float(low), float(high)
    if scale == "correlation" and -1 < value < 1:
        middle, half = np.arctanh(value), reach / (1 - value**2)
        return float(np.tanh(middle - half)), float(np.tanh(middle + half))
    if scale == "correlation" and abs(value) == 1:  # Fisher's z is infinite there
        return max(-1.0, value - reach), min(1.0, value + reach)
    if scale == "error" and value > 0:
        return _factor(value, reach)
    if scale == "explained" and value < 1:
        low, high = _factor(1 - value, reach)
        return 1 - high, 1 - low
    return value - reach, value + reach


def _factor(value: float, reach: float) -> tuple[float, float]:
    with np.errstate(over="ignore"):
        factor = float(np.exp(reach / value))
    return value / factor, value * factor
