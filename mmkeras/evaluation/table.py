"""The results as a table for the terminal."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from rich.table import Table
from rich.text import Text

from mmkeras.core.console import Console
from mmkeras.evaluation.words import number, span, title

__all__ = ["print_metrics", "worst_slices"]


def worst_slices(metrics: Mapping[str, Any], limit: int = 5) -> list[tuple[str, str, Mapping[str, Any]]]:
    """Return (column, value, entry) of the worst slices over all columns; those with few samples last."""
    metric, sign = metrics["task"]["metric"], metrics["task"]["metric_sign"]
    rows = [
        (column, value, entry)
        for column, values in metrics["slices"].items()
        for value, entry in values.items()
        if entry[metric]["value"] is not None
    ]
    rows.sort(key=lambda row: (row[2]["few"], sign * row[2][metric]["value"]))
    return rows[:limit]


def print_metrics(metrics: Mapping[str, Any], console: Console) -> None:
    """Print test metrics, ablation, worst slices and warnings.

    Args:
        metrics: what ``metrics.json`` holds.
        console: where to.
    """
    confidence = f"{100 * metrics['intervals']['confidence']:g} % interval"
    primary = metrics["task"]["metric"]
    table = Table(title=f"Test split, {metrics['samples']} samples", title_justify="left")
    table.add_column("")
    table.add_column("metric")
    table.add_column("value", justify="right")
    table.add_column(confidence, justify="right")
    for name, interval in metrics["test"].items():
        style = "bold" if name == primary else ""
        table.add_row("all modalities", title(name), number(name, interval["value"]), span(name, interval), style=style)
    table.add_section()
    ablation = metrics["ablation"]
    rows = [(f"without {name}", entry) for name, entry in ablation["removed"].items()]
    rows += [(f"{name} of other samples", entry) for name, entry in ablation["shuffled"].items()]
    if len(ablation["removed"]) > 2:
        rows += [(f"{name}, others missing", entry) for name, entry in ablation["alone"].items()]
    if "baseline" in ablation:
        rows.append(("constant answer", ablation["baseline"]))
    for words, entry in rows:
        interval = entry["metrics"][primary]
        row = (Text(words), title(primary), number(primary, interval["value"]), span(primary, interval))
        table.add_row(*row)
    table.add_section()
    for column, value, entry in worst_slices(metrics):
        interval = entry[primary]
        words = f"{column} = {value}" + (f" (only {entry['samples']})" if entry["few"] else "")
        row = (Text(words), title(primary), number(primary, interval["value"]), span(primary, interval))
        table.add_row(*row)
    console.print(table)
    console.print(ablation["verdict"]["text"], markup=False)
    for warning in metrics["warnings"]:
        console.print(Text.assemble(("warning:", "bold yellow"), f" {warning}"))
    for remark in metrics["remarks"]:
        console.print(remark, style="dim", markup=False)
