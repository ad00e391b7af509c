"""Figures of calibration and residuals."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from mmkeras.core.rounding import percent
from mmkeras.evaluation.pictures.style import BLUE, GREY, INK, LIGHT, ORANGE, heading, new_figure, shorten, styled

__all__ = ["calibration_figure"]

_PANELS = 6


@styled()
def calibration_figure(calibration: Mapping[str, Any]) -> Figure:
    """Draw a reliability diagram, one per label, or residuals, from a result of `mmkeras.evaluation.calibration`."""
    if calibration["kind"] == "residuals":
        return _residuals(calibration["numbers"])
    if calibration["kind"] == "per_label":
        return _per_label(calibration)
    figure = new_figure(5.6, 5.8)
    above, below = figure.subplots(2, 1, sharex=True, gridspec_kw={"height_ratios": [3.2, 1]})
    bins = calibration["bins"]
    _reliability(above, bins)
    above.legend(loc="upper left")
    above.set_ylabel("share that is right")
    above.set_aspect("auto")
    counts = [entry["samples"] for entry in bins]
    lows = [entry["low"] for entry in bins]
    below.bar(lows, counts, 1 / len(bins), align="edge", color=GREY, edgecolor="white")
    below.set_ylabel("samples")
    if max(counts) > 50 * max(1, min(c for c in counts if c)):
        below.set_yscale("log")
        below.yaxis.set_major_formatter(lambda value, _: f"{value:g}")
        below.yaxis.set_minor_formatter(lambda value, _: "")
        below.set_ylabel("samples (log)")
    below.set_xlabel("confidence in the chosen answer")
    heading(
        figure,
        f"Calibration: expected error {percent(calibration['ece'])} points",
        "The share of right answers in each range of confidence. On the dashed line, a confidence of 80 % is right "
        "in 80 % of the cases; below it the confidence is too high.",
    )
    return figure


def _reliability(axes: Axes, bins: list[dict[str, Any]]) -> None:
    filled = [entry for entry in bins if entry["samples"]]
    low = np.asarray([entry["low"] for entry in filled])
    width = 1 / len(bins)
    share = np.asarray([entry["accuracy"] for entry in filled])
    sure = np.asarray([entry["confidence"] for entry in filled])
    axes.bar(low, share, width, align="edge", color=BLUE, edgecolor="white", label="measured")
    axes.bar(
        low,
        sure - share,
        width,
        bottom=share,
        align="edge",
        facecolor="none",
        edgecolor=ORANGE,
        hatch="////",
        linewidth=0.8,
        label="gap to the confidence",
    )
    axes.plot([0, 1], [0, 1], color=INK, linewidth=1, linestyle="--", label="perfect")
    axes.set_xlim(0, 1)
    axes.set_ylim(0, 1.03)
    axes.set_axisbelow(True)
    axes.grid(color=LIGHT, linewidth=0.6)


def _per_label(calibration: Mapping[str, Any]) -> Figure:
    worst = sorted(calibration["labels"].items(), key=lambda item: -item[1]["ece"])[:_PANELS]
    columns = min(3, len(worst))
    rows = -(-len(worst) // columns)
    figure = new_figure(2.3 * columns + 0.6, 2.3 * rows + 1.1)
    grid = figure.subplots(rows, columns, sharex=True, sharey=True, squeeze=False)
    for axes in grid.ravel()[len(worst) :]:
        axes.set_visible(False)
    for axes, (name, entry) in zip(grid.ravel(), worst, strict=False):
        _reliability(axes, entry["bins"])
        axes.set_title(f"{shorten(name, 18)}: {percent(entry['ece'])}", fontsize=9)
    figure.supxlabel("predicted probability of the label", fontsize=9)
    figure.supylabel("share that has the label", fontsize=9)
    total = len(calibration["labels"])
    note = f"Mean over the labels; shown are the {len(worst)} worst of {total}, each with its own error."
    heading(figure, f"Calibration: expected error {percent(calibration['ece'])} points", note)
    return figure


def _residuals(numbers: Mapping[str, Mapping[str, Any]]) -> Figure:
    shown = list(numbers.items())[:_PANELS]
    columns = min(2, len(shown))
    rows = -(-len(shown) // columns)
    figure = new_figure(5.6 if columns == 1 else 6.6, 2.6 * rows + 1.2)
    grid = figure.subplots(rows, columns, squeeze=False)
    for axes in grid.ravel()[len(shown) :]:
        axes.set_visible(False)
    for axes, (name, entry) in zip(grid.ravel(), shown, strict=False):
        low, high = entry["quantiles"]["0.05"], entry["quantiles"]["0.95"]
        axes.axhspan(low, high, color=LIGHT, alpha=0.6, label="90 % of samples")
        axes.axhline(0, color=INK, linewidth=0.8)
        axes.axhline(entry["mean"], color=ORANGE, linestyle="--", linewidth=1.2, label="mean")
        axes.scatter(entry["truth"], entry["residual"], s=8, color=BLUE, alpha=0.4, linewidths=0)
        unit = f" ({entry['unit']})" if entry["unit"] else ""
        axes.set_xlabel(f"true {shorten(name, 24)}{unit}")
        axes.set_ylabel(f"predicted - true{unit}")
    handles, words = grid[0, 0].get_legend_handles_labels()
    figure.legend(handles, words, loc="outside lower right", ncols=2)
    note = "The error of each prediction over the true value. A slope or an offset from zero is a systematic error."
    heading(figure, "Residuals", note)
    return figure
