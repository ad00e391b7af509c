"""Tables of the race's results."""

from __future__ import annotations

import statistics
from collections.abc import Mapping
from typing import Any

from rich.table import Table

from mmkeras.core.console import Console
from pipelines._stages.numbers import NUMBERS

__all__ = ["show"]

_TITLES = {"step": "A training step, milliseconds", "inference": "One answer, milliseconds"}


def show(part: str, result: Mapping[str, Any], console: Console) -> None:
    """Print the result of a part."""
    tables = {"step": _times, "inference": _times, "seeds": _seeds, "ludwig": _ludwig, "tables": _tables}
    console.print(tables[part](part, result))
    if (number := NUMBERS.get(f"race.{part}")) is not None:
        interval = f" ({result['low']:.3f} to {result['high']:.3f})" if "low" in result else ""
        reached = "reached" if number.reaches(result["value"], number.bar) else "not reached"
        console.print(
            f"race.{part}: {result['value']:.3f} {number.unit}{interval}; bar {number.bar:g} {reached}, goal "
            f"{number.goal:g}",
            markup=False,
            highlight=False,
        )


def _times(part: str, result: Mapping[str, Any]) -> Table:
    table = _table(_TITLES[part], "way", "CPU", "CPU, quartiles", "wall")
    for name, figures in result["milliseconds"].items():
        quarters = statistics.quantiles(figures["cpu"], n=4)
        median, wall = statistics.median(figures["cpu"]), statistics.median(figures["wall"])
        table.add_row(name, f"{median:.3g}", f"{quarters[0]:.3g} to {quarters[2]:.3g}", f"{wall:.3g}")
    return table


def _seeds(part: str, result: Mapping[str, Any]) -> Table:
    del part
    title = f"Full trainings; largest difference {result['largest_difference']:.2f} points"
    table = _table(title, "seed", "operations", "accuracy", "CPU seconds")
    for row in result["trainings"]:
        table.add_row(str(row["seed"]), row["side"], f"{row['accuracy']:.2f} %", f"{row['cpu_seconds']:.0f}")
    return table


def _ludwig(part: str, result: Mapping[str, Any]) -> Table:
    del part
    table = _table("Accuracy on the test split", "side", "epochs", "CPU seconds", "accuracy", "memory")
    for name in ("ludwig", "mmkeras"):
        side = result[name]
        memory = f"{side['peak_gigabytes']:.1f} GB"
        figures = (str(side["epochs"]), f"{side['cpu_seconds']:.0f}", f"{side['accuracy']:.2f} %", memory)
        table.add_row(name, *figures)
    return table


def _table(title: str, *headings: str) -> Table:
    table = Table(title=title, title_justify="left")
    for number, heading in enumerate(headings):
        table.add_column(heading, justify="right" if number else "left")
    return table


def _tables(part: str, result: Mapping[str, Any]) -> Table:
    del part
    table = _table("Accuracy on the test split", "table", "rows", "side", "CPU seconds", "accuracy", "memory")
    for name, found in result.items():
        for side in ("ludwig", "mmkeras"):
            each = found[side]
            figures = (f"{each['cpu_seconds']:.0f}", f"{each['accuracy']:.1f} %", f"{each['peak_gigabytes']:.1f} GB")
            table.add_row(name, str(each["questions"]), side, *figures)
    return table
