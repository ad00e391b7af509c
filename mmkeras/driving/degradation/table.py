"""The degradation table for the terminal, ``metrics.json`` and the report."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from rich.table import Table

from mmkeras.core.console import Console
from mmkeras.core.errors import DataError
from mmkeras.driving.degradation.measure import SCENARIOS
from mmkeras.evaluation.pictures import figure_to_png
from mmkeras.evaluation.pictures.style import BLUE, GREEN, GREY, INK, LIGHT, ORANGE, heading, new_figure, styled
from mmkeras.evaluation.words import is_share, number, title
from mmkeras.storage.files import write_bytes, write_json

__all__ = ["degradation_figure", "print_degradation", "record_degradation"]


def record_degradation(folder: Path, table: Mapping[str, Mapping[str, Any]], file: str = "") -> None:
    """Add a table to ``metrics.json``, and its picture to the report's; ``write_report`` shows both.

    Args:
        folder: the run's folder, evaluated before.
        table: what `degradation` returns.
        file: the exported file that was measured, relative to its bundle; the Keras model when empty.
    """
    path = folder / "metrics.json"
    if not path.is_file():
        raise DataError(f"Expected metrics.json in {folder}, got none. Evaluate the model before its degradation.")
    metrics = json.loads(path.read_text(encoding="utf-8"))
    if file:
        metrics["degradation_exported"] = {**metrics.get("degradation_exported", {}), file: dict(table)}
    else:
        metrics["degradation"] = dict(table)
        figure = degradation_figure(table, {scenario.name: scenario.title for scenario in SCENARIOS})
        write_bytes(folder / "pictures" / "degradation.png", figure_to_png(figure))
    write_json(path, metrics)


def print_degradation(
    table: Mapping[str, Mapping[str, Any]], console: Console, heading: str = "Under degradation"
) -> None:
    """Print one row per scenario and one column per metric of what `degradation` returns."""
    titles = {scenario.name: scenario.title for scenario in SCENARIOS}
    metrics = [name for name in next(iter(table.values()), {}) if name != "samples"]
    shown = Table(title=heading, title_justify="left")
    shown.add_column("scenario")
    for metric in metrics:
        shown.add_column(title(metric), justify="right")
    shown.add_column("samples", justify="right")
    for place, (name, row) in enumerate(table.items()):
        cells = [number(metric, row[metric]) for metric in metrics]
        shown.add_row(titles.get(name, name), *cells, str(row["samples"]), style="bold" if place == 0 else "")
    console.print(shown)


_LESS = ("velocity_error",)
_COLOURS = (BLUE, GREEN, ORANGE)


@styled
def degradation_figure(table: Mapping[str, Mapping[str, Any]], titles: Mapping[str, str], note: str = "") -> Figure:
    """Draw one panel of bars per metric and one row per scenario of what `degradation` returns.

    The first scenario is the reference, drawn as a dashed line.
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
