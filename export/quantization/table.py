"""The table of what a precision costs, part by part, after a search."""

from __future__ import annotations

from rich.box import SIMPLE_HEAD
from rich.table import Table

from export.verification.report import FileResult, Report
from mmkeras.core.console import Console

__all__ = ["print_costs"]

SHOWN = 8
"""Layers listed; export.json has all of them."""


def print_costs(report: Report, console: Console) -> None:
    """Print for every file that was searched which part and which layers cost how much."""
    for file in report.files:
        if file.costs is not None and file.costs.branches:
            _print(file, console)


def _print(file: FileResult, console: Console) -> None:
    costs = file.costs
    assert costs is not None
    small = file.precision
    table = Table(
        title=f"{file.format} {file.precision}: what each part costs in {small}", box=SIMPLE_HEAD, pad_edge=False
    )
    table.add_column(f"only this in {small}")
    table.add_column(f"{costs.metric}, points", justify="right")
    table.add_column("")
    table.add_row("everything", f"{-costs.whole:+.2f}", "")
    for name, drop in sorted(costs.branches.items(), key=lambda item: -item[1]):
        table.add_row(name, f"{-drop:+.2f}", "")
    for cost in [cost for cost in costs.layers if cost.kept or cost.drop > 0][:SHOWN]:
        table.add_row(f"  {cost.layer}", f"{-cost.drop:+.2f}", "stays in float32" if cost.kept else "")
    table.add_row("the file", f"{-costs.final:+.2f}", f"{costs.quantized} of {costs.total} layers in {small}")
    console.print(table)
    console.print(
        f"Worst of {', '.join(costs.scenarios)}, on {costs.samples} {costs.split} samples that it is not verified on.",
        markup=False,
    )
