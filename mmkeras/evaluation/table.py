"""The results as a table for the terminal."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from rich.table import Table
from rich.text import Text

from mmkeras.core.console import Console
from mmkeras.evaluation.slices import worst_slices
from mmkeras.evaluation.words import number, span, title

__all__ = ["print_metrics"]

_SLICES = 5


def print_metrics(metrics: Mapping[str, Any], console: Console) -> None:
    """Print test metrics, ablation, worst slices and warnings of ``metrics.json``."""
    confidence = f"{100 * metrics['intervals']['confidence']:g} % interval"
    primary = metrics["task"]["metric"]

    def add(words: str, interval: Mapping[str, Any]) -> None:
        table.add_row(Text(words), title(primary), number(primary, interval["value"]), span(primary, interval))

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
        add(words, entry["metrics"][primary])
    table.add_section()
    for words, entry in worst_slices(metrics["slices"], primary, metrics["task"]["metric_sign"])[:_SLICES]:
        add(words + (f" (only {entry['samples']})" if entry["few"] else ""), entry[primary])
    console.print(table)
    console.print(ablation["verdict"]["text"], markup=False)
    for warning in metrics["warnings"]:
        console.print(Text.assemble(("warning:", "bold yellow"), f" {warning}"))
    for remark in metrics["remarks"]:
        console.print(remark, style="dim", markup=False)
