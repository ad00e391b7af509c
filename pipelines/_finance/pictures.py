"""Pictures for the report: price windows with answers and texts, the MCC of every block, and returns after costs."""

from __future__ import annotations

import textwrap
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.figure import Figure

from mmkeras.evaluation.pictures.style import BLUE, GREEN, GREY, INK, ORANGE, bare, heading, new_figure, styled
from pipelines._finance.trading import Trades
from pipelines._finance.walk import Block

__all__ = ["returns_figure", "walk_figure", "windows_figure"]

_SHOWN = 4
_CHARACTERS = 46
_LINES = 5
_NAMES = {"long_flat": "long or flat", "long_short": "long or short", "buy_and_hold": "all stocks held"}


@styled()
def windows_figure(block: Block) -> Figure:
    """Draw price windows: two surest right answers with texts, and two surest wrong ones."""
    said = block.rise > 0.5
    right = said == np.array([day.move > 0 for day in block.days])
    sure = np.abs(block.rise - 0.5) + np.array([day.sample.values["text"] is not None for day in block.days])
    order = [int(place) for place in np.argsort(-sure, kind="stable") if block.labelled[place]]
    half = _SHOWN // 2
    chosen = [p for p in order if right[p]][:half] + [p for p in order if not right[p]][:half]
    figure = new_figure(7.0, 2.1 * len(chosen) + 0.4)
    grid = figure.subplots(len(chosen), 2, squeeze=False, width_ratios=(3, 2))
    for (axes, words), place in zip(grid, chosen, strict=True):
        day, rise = block.days[place], float(block.rise[place])
        colour = BLUE if right[place] else ORANGE
        series = day.sample.values["series"]
        path = 100.0 * np.exp(np.concatenate([[0.0], np.cumsum(series[:, 0])]))
        steps = np.arange(-len(path), 0)
        axes.plot(steps, path, color=INK, linewidth=1.3)
        axes.plot([-1, 0], [path[-1], path[-1] * (1 + day.move)], color=colour, linewidth=2, marker="o", markersize=4)
        axes.axvline(-1, color=GREY, linewidth=0.8, linestyle=":")
        answer = f"{'rise' if rise > 0.5 else 'fall'} ({100 * max(rise, 1 - rise):.0f} %)"
        axes.set_title(
            f"{day.stock} {day.date}: predicted {answer}, it was {100 * day.move:+.1f} %", fontsize=8.5, color=colour
        )
        axes.tick_params(labelsize=7)
        bare(words)
        text = day.sample.values["text"] or "no text was public"
        lines = textwrap.wrap(text, _CHARACTERS)
        lines = lines if len(lines) <= _LINES else [*lines[: _LINES - 1], lines[_LINES - 1][:-1] + "…"]
        words.text(0, 1, "\n".join(lines), va="top", fontsize=7.5, color=INK, transform=words.transAxes)
    grid[-1][0].set_xlabel("trading days; the dotted line is the last close that was known")
    heading(figure, "Price windows (close, first day 100), answers and the texts that were read")
    return figure


@styled()
def walk_figure(blocks: Sequence[Mapping[str, Any]], whole: Mapping[str, Any]) -> Figure:
    """Draw the MCC of every block and of all, with intervals."""
    rows = [(f"{block['start']} to {block['until'] or 'end'}", block["mcc"], GREY) for block in blocks]
    rows.append(("all blocks", whole["mcc"], BLUE))
    figure = new_figure(7.0, 0.35 * len(rows) + 1.0)
    axes = figure.subplots()
    for place, (_, entry, colour) in enumerate(rows):
        if entry["low"] is not None:
            axes.plot([entry["low"], entry["high"]], [place, place], color=colour, linewidth=2)
        axes.plot([entry["value"]], [place], color=colour, marker="o")
    axes.axvline(0, color=ORANGE, linewidth=1)
    axes.set_yticks(range(len(rows)), [name for name, _, _ in rows])
    axes.invert_yaxis()
    axes.set_xlabel("MCC; 0 is what guessing reaches")
    heading(figure, "Walk forward: each block answered by a model of its past")
    return figure


@styled()
def returns_figure(trades: Mapping[str, Trades], costs: float) -> Figure:
    """Draw what each rule earns after costs, over all blocks."""
    figure = new_figure(7.0, 3.0)
    axes = figure.subplots()
    colours = {"long_flat": BLUE, "long_short": GREEN, "buy_and_hold": GREY}
    for name, each in trades.items():
        total = 100.0 * (np.cumprod(1.0 + each.net) - 1.0)
        axes.plot(np.arange(len(total)), total, color=colours[name], label=_NAMES[name], linewidth=1.3)
    dates = next(iter(trades.values())).dates
    ticks = np.linspace(0, len(dates) - 1, min(6, len(dates))).round().astype(int)
    axes.set_xticks(ticks, [dates[tick] for tick in ticks])
    axes.axhline(0, color=INK, linewidth=0.6)
    axes.set_ylabel("return, %")
    axes.legend()
    heading(figure, f"Returns after costs of {costs:g} basis points of the traded value")
    return figure
