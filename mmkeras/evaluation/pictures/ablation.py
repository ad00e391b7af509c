"""Figures of the ablation and of the weakest slices."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from mmkeras.evaluation.pictures.style import (
    BLUE,
    GREEN,
    GREY,
    INK,
    LIGHT,
    ORANGE,
    heading,
    new_figure,
    shorten,
    styled,
)
from mmkeras.evaluation.slices import worst_slices
from mmkeras.evaluation.words import is_share, number, title

__all__ = ["ablation_figure", "slices_figure"]

_SLICES = 16


@styled()
def ablation_figure(ablation: Mapping[str, Any], whole: Mapping[str, Any], metric: str) -> Figure:
    """Draw a metric of the whole model beside its ablations, with intervals.

    Args:
        ablation: the ``ablation`` object of ``metrics.json``.
        whole: the interval of the whole model.
        metric: name of the metric.
    """
    rows: list[tuple[str, Mapping[str, Any], str]] = [("all modalities", whole, BLUE)]
    for group, words, colour in (
        ("alone", "{}, others missing", GREEN),
        ("removed", "without {}", ORANGE),
        ("shuffled", "{} of other samples", GREY),
    ):
        members = ablation.get(group, {})
        # With two modalities, "left alone" is "without right"; with one modality, it is the whole model.
        if group == "alone" and len(members) <= 2:
            continue
        for name, entry in members.items():
            rows.append((words.format(shorten(name, 18)), entry["metrics"][metric], colour))
    if "baseline" in ablation:
        rows.append(("constant answer", ablation["baseline"]["metrics"][metric], LIGHT))
    figure = new_figure(6.2, 1.5 + 0.34 * len(rows))
    axes = figure.add_subplot()
    _bars(axes, rows, metric)
    note = "The same model on the same samples with its inputs changed. Whiskers are the intervals."
    heading(figure, "Value of each modality", note)
    return figure


def _bars(axes: Axes, rows: list[tuple[str, Mapping[str, Any], str]], metric: str) -> None:
    scale = 100 if is_share(metric) else 1
    value, low, high = (
        scale * np.asarray([np.nan if row[key] is None else row[key] for _, row, _ in rows], np.float64)
        for key in ("value", "low", "high")
    )
    places = np.arange(len(rows))[::-1]
    axes.barh(places, value, 0.68, color=[colour for _, _, colour in rows])
    axes.errorbar(
        value,
        places,
        xerr=np.maximum([value - low, high - value], 0),
        fmt="none",
        ecolor=INK,
        elinewidth=1,
        capsize=2.5,
    )
    reach = float(np.nanmax(np.append(np.fmax(high, value), 0))) or 1.0
    for place, (_, row, _), end in zip(places, rows, np.fmax(high, value), strict=True):
        axes.text(end + 0.015 * reach, place, number(metric, row["value"]), va="center", fontsize=8.5)
    axes.set_yticks(places, [name for name, _, _ in rows])
    axes.tick_params(axis="y", length=0)
    axes.set_xlim(min(0.0, float(np.nanmin(np.append(low, 0)))), 1.16 * reach)
    if is_share(metric):
        axes.set_xticks([0, 20, 40, 60, 80, 100])
    axes.set_xlabel(f"{title(metric)} (%)" if is_share(metric) else title(metric))


@styled()
def slices_figure(
    slices: Mapping[str, Mapping[str, Any]], whole: Mapping[str, Any], metric: str, sign: int = 1
) -> Figure:
    """Draw the weakest slices over all columns, with intervals and the overall value as a line.

    Args:
        slices: the ``slices`` object of ``metrics.json``.
        whole: the interval of the metric on all samples.
        metric: name of the metric.
        sign: -1 if less is better.
    """
    rows = worst_slices(slices, metric, sign)
    shown = rows[:_SLICES]
    scale = 100 if is_share(metric) else 1
    figure = new_figure(6.2, 1.6 + 0.29 * len(shown))
    axes = figure.add_subplot()
    places = np.arange(len(shown))[::-1]
    for place, (_, entry) in zip(places, shown, strict=True):
        interval = entry[metric]
        colour = GREY if entry["few"] else ORANGE if entry["worse"] else BLUE
        marker = "D" if entry["worse"] else "o"
        if interval["low"] is not None and interval["high"] is not None:  # a slice of one group has no interval
            ends = [scale * interval["low"], scale * interval["high"]]
            axes.plot(ends, [place] * 2, color=colour, linewidth=1.6)
        axes.plot(
            scale * interval["value"],
            place,
            marker,
            color=colour,
            markersize=6,
            markerfacecolor="white" if entry["few"] else colour,
        )
    axes.axvline(scale * whole["value"], color=INK, linewidth=1, linestyle="--")
    axes.set_yticks(places, [f"{shorten(name, 34)}  ({entry['samples']})" for name, entry in shown])
    axes.tick_params(axis="y", length=0)
    axes.set_ylim(-0.8, len(shown) - 0.2)
    axes.grid(axis="x", color=LIGHT, linewidth=0.6)
    axes.set_xlabel(f"{title(metric)} (%)" if is_share(metric) else title(metric))
    note = "In brackets the samples; dashed, all samples together. Orange diamonds are worse than all samples "
    note += "by more than their interval; hollow grey circles have too few samples."
    heading(figure, f"Weakest of {len(rows)} slices" if len(rows) > _SLICES else "Slices, weakest first", note)
    return figure
