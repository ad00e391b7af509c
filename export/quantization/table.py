"""Prints the costs of a precision by part of the model, after a search."""

from __future__ import annotations

from rich.box import SIMPLE_HEAD
from rich.table import Table

from export.verification.report import Report
from mmkeras.core.console import Console

__all__ = ["print_costs"]

SHOWN = 8
"""Layers in the table; export.json has all of them."""


def print_costs(report: Report, console: Console) -> None:
    """Print the costs of each part and of the costliest layers, for every file whose layers were searched."""
    for file in report.files:
        costs, small = file.costs, file.precision
        if costs is None or not costs.branches:
            continue
        table = Table(title=f"{file.format} {small}: cost of each part in {small}", box=SIMPLE_HEAD, pad_edge=False)
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
            f"Worst of {', '.join(costs.scenarios)}, on {costs.samples} {costs.split} samples; the file is verified on "
            "others.",
            markup=False,
        )
