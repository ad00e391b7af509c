"""The table that ends an export."""

from __future__ import annotations

import math

from rich.console import Console
from rich.table import Table

from export.results import FileResult, Report
from export.scenarios import ALL

__all__ = ["print_report"]


def print_report(report: Report, console: Console) -> None:
    """Print one row per file, the reasons of those that were rejected, and the next command."""
    table = Table(title=f"{report.name} version {report.version}: every file against the Keras model")
    for column in ("format", "precision"):
        table.add_column(column)
    for column in ("size", "max diff", "flips", f"{report.metric} (change)"):
        table.add_column(column, justify="right")
    table.add_column("verdict")
    whole = report.reference.get(ALL, math.nan)
    table.add_row("keras", "float32", "", "", "", f"{whole:.4f}", "reference")
    for file in report.files:
        table.add_row(*_row(file))
    console.print(table)
    for file in report.files:
        if not file.accepted:
            where = f", kept as {report.folder / file.path}" if file.path else ""
            # markup=False: messages hold brackets.
            console.print(f"{file.format} {file.precision}: {file.reason}{where}", markup=False, style="red")
    samples = {result.samples for file in report.files for result in file.scenarios.values()}
    if samples:
        names = ", ".join(report.reference)
        console.print(f"Each on {max(samples)} test samples in every scenario: {names}.", markup=False)
    console.print(f"Bundle: {report.folder}", markup=False, highlight=False)
    if any(file.accepted for file in report.files):
        console.print(f"Next: mmkeras selftest {report.folder}", markup=False, highlight=False)


def _row(file: FileResult) -> list[str]:
    whole = file.scenarios.get(ALL)
    compared = [r.samples for r in file.scenarios.values()]
    return [
        file.format,
        file.precision,
        f"{file.bytes / 1e6:.2f} MB" if file.bytes else "-",
        f"{file.max_abs_diff:.1e}" if compared else "-",
        f"{file.flips} of {sum(compared)}" if compared else "-",
        f"{whole.metric:.4f} ({whole.metric_change:+.4f})" if whole else "-",
        "accepted" if file.accepted else "[red]REJECTED",
    ]
