"""The table at the end of an export."""

from __future__ import annotations

import math

from rich.box import SIMPLE_HEAD
from rich.table import Table
from rich.text import Text

from export.quantization.table import print_costs
from export.to_tensorrt.notes import NOTES
from export.verification.report import FileResult, Report
from export.verification.scenarios import ALL
from mmkeras.core.console import Console
from mmkeras.core.rounding import rounded

__all__ = ["print_report"]


def print_report(report: Report, console: Console) -> None:
    """Print one row per file, the reasons for rejections, and the next commands."""
    # Without vertical lines, it fits into 80 columns.
    title = f"{report.name} version {report.version}: every file against the Keras model"
    table = Table(title=title, box=SIMPLE_HEAD, show_edge=False, pad_edge=False)
    table.add_column("file")
    for column in ("size", "max diff", "flips", f"{report.metric} (change)"):
        table.add_column(column, justify="right")
    table.add_column("verdict")
    whole = report.reference.get(ALL, math.nan)
    table.add_row("keras float32", "", "", "", f"{whole:.4f}          ", "-")
    for file in report.files:
        table.add_row(*_row(file))
    console.print(table)
    for file in report.files:
        if not file.accepted:
            style, onward = ("yellow", "; the next rung is tried") if report.files_accepted else ("red", "")
            where = f", kept as {report.folder / file.path}" if file.path else ""
            console.print(f"{file.format} {file.precision}: {file.reason}{where}{onward}", markup=False, style=style)
    print_costs(report, console)
    for warning in report.calibration.get("warnings", []):
        console.print(f"calibration: {warning}", markup=False, style="yellow")
    samples = {result.samples for file in report.files for result in file.scenarios.values()}
    if samples:
        names = ", ".join(report.reference)
        console.print(f"Each on {max(samples)} test samples in every scenario: {names}.", markup=False)
        console.print(f"Differences and flips are over all scenarios, {report.metric} is that of the scenario {ALL!r}.")
    console.print(f"Bundle: {report.folder}", markup=False, highlight=False)
    if any(file.accepted for file in report.files):
        console.print(f"Next: mmkeras selftest {report.folder}", markup=False, highlight=False)
        console.print(f"      mmkeras pack {report.folder}", markup=False, highlight=False)
    _print_engines(report, console)


def _print_engines(report: Report, console: Console) -> None:
    """Print which ONNX files TensorRT refuses, and how to build an engine."""
    described = [file for file in report.files if file.engine]
    for file in described:
        refused = file.engine["refused_by"]
        if refused:
            console.print(f"TensorRT {' and '.join(refused)} refuses {file.path}: see {NOTES}.", markup=False)
    if any(file.engine["commands"] for file in described):
        console.print(f"      mmkeras build-engine {report.folder}", markup=False, highlight=False)


def _row(file: FileResult) -> list[str | Text]:
    whole = file.scenarios.get(ALL)
    return [
        f"{file.format} {file.precision}",
        f"{file.bytes / 1e6:.2f} MB" if file.bytes else "-",
        f"{file.max_abs_diff:.1e}" if file.scenarios else "-",
        f"{file.flips}" if file.scenarios else "-",
        f"{rounded(whole.metric, 4)} ({rounded(whole.metric_change, 4, signed=True)})" if whole else "-",
        Text("accepted") if file.accepted else Text("REJECTED", style="red"),
    ]
