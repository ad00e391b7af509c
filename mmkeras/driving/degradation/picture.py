"""How much of the metric is left in each degradation scenario."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from matplotlib.figure import Figure

from mmkeras.evaluation.pictures.style import BLUE, GREEN, GREY, INK, LIGHT, ORANGE, heading, new_figure, styled
from mmkeras.evaluation.words import is_share, number, title

__all__ = ["degradation_figure"]

_LESS = ("velocity_error",)
_COLOURS = (BLUE, GREEN, ORANGE)


@styled
def degradation_figure(table: Mapping[str, Mapping[str, Any]], titles: Mapping[str, str], note: str = "") -> Figure:
    """Draw one panel of bars per metric, a row per scenario; dashed is the value with nothing wrong.

    Args:
        table: scenario -> metric -> number or ``None``; the first scenario is the one to compare with.
        titles: scenarios in words.
        note: explanation under the title.
    """
    names = list(table)
    metrics = [name for name in table[names[0]] if name != "samples"]
    figure = new_figure(3.2 + 2.1 * len(metrics), 1.5 + 0.32 * len(names))
    panels = figure.subplots(1, len(metrics), sharey=True, squeeze=False)[0]
    places = np.arange(len(names))[::-1]
    for axes, metric, colour in zip(panels, metrics, _COLOURS * len(metrics), strict=False):
        values = [table[name][metric] for name in names]
        scale = 100 if is_share(metric) else 1
        known = np.asarray([np.nan if value is None else scale * value for value in values], np.float64)
        axes.barh(places, np.nan_to_num(known), 0.66, color=colour)
        reach = float(np.nanmax(np.append(known, 0))) or 1.0
        for place, value in zip(places, values, strict=True):
            axes.text(scale * (value or 0) + 0.02 * reach, place, number(metric, value), va="center", fontsize=8.5)
        if values[0] is not None:
            axes.axvline(scale * values[0], color=INK, linewidth=0.9, linestyle="--")
        axes.set_xlim(0, 1.28 * reach)
        axes.locator_params(axis="x", nbins=4)
        axes.grid(axis="x", color=LIGHT, linewidth=0.6)
        axes.set_axisbelow(True)
        axes.set_title(title(metric) + (", less is better" if metric in _LESS else ""), fontsize=9, color=GREY)
        axes.tick_params(axis="y", length=0)
    panels[0].set_yticks(places, [f"{titles.get(name, name)} ({table[name]['samples']})" for name in names])
    heading(figure, "What is left when a sensor fails", note or "In brackets the samples; dashed, with both sensors.")
    return figure
