"""The degradation table for the terminal, ``metrics.json`` and the report."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from rich.table import Table

from mmkeras.core.console import Console
from mmkeras.core.errors import DataError
from mmkeras.driving.degradation.measure import SCENARIOS
from mmkeras.driving.degradation.picture import degradation_figure
from mmkeras.evaluation.pictures import figure_to_png
from mmkeras.evaluation.words import number, title
from mmkeras.storage.files import write_bytes, write_json

__all__ = ["print_degradation", "record_degradation"]


def record_degradation(folder: Path, table: Mapping[str, Mapping[str, Any]], file: str = "") -> None:
    """Add a table to ``metrics.json``, and its picture to the report's; ``write_report`` shows both.

    Args:
        folder: the run's folder, evaluated before.
        table: what `degradation` returns.
        file: the exported file that was measured, relative to its bundle; the Keras model when empty.

    Raises:
        DataError: there is no ``metrics.json``.
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
    """Print a row per scenario and a column per metric.

    Args:
        table: what `degradation` returns.
        console: where to.
        heading: above the table.
    """
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
