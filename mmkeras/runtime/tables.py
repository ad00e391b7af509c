"""The tables that the commands print: with rich if it is installed, otherwise as plain text."""

from __future__ import annotations

import importlib.util
import json
from collections.abc import Iterable, Mapping
from typing import Any

from mmkeras.bundle import Bundle
from mmkeras.core.terminal import say
from mmkeras.runtime.grid import Cell, Grid
from mmkeras.runtime.selftest import FileCheck, SelfTest

__all__ = ["benchmark_table", "inspect_tables", "selftest_tables", "show"]

_COLOURS = {"passed": "green", "failed": "bold red", "skipped": "yellow", "rejected": "yellow", "not covered": "yellow"}


def show(grids: Iterable[Grid]) -> None:
    """Print tables; if the output is not a terminal, they are at most 200 characters wide."""
    if importlib.util.find_spec("rich") is None:
        for grid in grids:
            say(grid.text())
        return
    from rich.table import Table
    from rich.text import Text

    from mmkeras.core.console import Console

    console = Console()
    if not console.is_terminal:
        console = Console(width=200)
    for grid in grids:
        table = Table(title=Text(grid.title), title_justify="left", title_style="bold")
        for column in grid.columns:
            table.add_column(Text(column), justify="right" if column in grid.right else "left", overflow="fold")
        for row in grid.rows:
            table.add_row(*(Text(cell.text, style=cell.style) for cell in row))
        console.print(table)


def selftest_tables(bundle: Bundle, result: SelfTest) -> list[Grid]:
    """Return tables of the files, of the scenarios, and of the preprocessing and the answers."""
    files = Grid(
        f"Self-test of {bundle.place}",
        ("file", "verdict", "samples", "max diff", "allowed", "flips", "worst scenario", "reason"),
        right=("samples", "max diff", "allowed", "flips"),
    )
    for file in result.files:
        worst = max(file.scenarios, key=lambda name: file.scenarios[name]) if file.scenarios else ""
        files.add(
            f"{file.format} {file.precision}",
            _verdict(file.verdict),
            str(file.samples or ""),
            _number(file.max_abs_diff),
            _number(file.tolerance),
            str(file.flips) if file.samples else "",
            worst,
            file.reason,
        )
    preprocessing = Grid(
        "On this host: preprocessing and decoded answers",
        ("what", "verdict", "samples", "max diff", "reason"),
        right=("samples", "max diff"),
    )
    for check in (*result.preprocessing, result.answers):
        samples, diff = str(check.samples or ""), _number(check.max_abs_diff)
        preprocessing.add(check.modality, _verdict(check.verdict), samples, diff, check.reason)
    run = [file for file in result.files if file.samples]
    if not run:
        return [files, preprocessing]
    names = tuple(f"{file.format} {file.precision}" for file in run)
    scenarios = Grid("Largest difference by modality scenario", ("scenario", "verdict", *names), right=names)
    for scenario, verdict in result.scenarios.items():
        scenarios.add(scenario, _verdict(verdict), *(_scenario_cell(file, scenario) for file in run))
    return [files, scenarios, preprocessing]


def _scenario_cell(file: FileCheck, scenario: str) -> Cell:
    if scenario in file.failed_scenarios:
        return Cell(f"{_number(file.scenarios.get(scenario)) or 'not finite'} FAILED", _COLOURS["failed"])
    return Cell(_number(file.scenarios.get(scenario)))


def benchmark_table(report: Mapping[str, Any]) -> Grid:
    """Return one row per file: the measurements, and the results of the export."""
    first = next((row for row in report["files"] if "runs" in row), None)
    how = f", {first['threads']} thread(s), {first['device']}, {first['runs']} runs, batch 1" if first else ""
    metric = report["metric_name"]
    figures = ("MB", "load ms", "p50 ms", "p90 ms", "p99 ms", "per s", "answer p50 ms", "peak MiB")
    columns = ("file", *figures, metric, "to Keras", "flips", "worst scenario", "verdict")
    table = Grid(f"{report['bundle']}{how}", columns, right=(*figures, metric, "to Keras", "flips"))
    for row in report["files"]:
        worst = row["worst_scenario"]
        table.add(
            f"{row['format']} {row['precision']}",
            f"{row['bytes'] / 1e6:.2f}",
            *(_number(row.get(f"{name}_ms"), ".3f") for name in ("load", "p50", "p90", "p99")),
            _number(row.get("per_second"), ".0f"),
            _number(row.get("answer_p50_ms"), ".3f"),
            _number(row.get("peak_mib"), ".0f"),
            _number(row["metric"], ".4f"),
            _number(row["metric_change"], "+.4f"),
            _number(row["flips"], ".0f"),
            "" if worst is None else f"{worst} {row['worst_change']:+.4f}",
            Cell("failed", "bold red") if row["error"] else _verdict("passed" if row["accepted"] else "rejected"),
        )
    return table


def inspect_tables(bundle: Bundle, problems: dict[str, str]) -> list[Grid]:
    """Return tables of the inputs, the outputs, the files and the provenance."""
    manifest = bundle.manifest
    inputs = Grid(
        f"{manifest.name} version {manifest.version}, exported {manifest.created}",
        ("modality", "kind", "tensor", "dtype", "shape"),
    )
    for spec in bundle.specs.values():
        for tensor in (*spec.tensors, spec.present):
            inputs.add(spec.name, spec.kind, tensor.name, tensor.dtype, _shape(tensor.shape))
    outputs = Grid(f"Task: {bundle.task.kind}", ("output", "dtype", "shape"))
    for tensor in bundle.task.outputs:
        outputs.add(tensor.name, tensor.dtype, _shape(tensor.shape))
    files = Grid(
        "Files",
        ("file", "format", "precision", "bytes", "tolerance", "sha256", "runtime", "accepted", "on disk"),
        right=("bytes", "tolerance"),
    )
    for file in bundle.files:
        files.add(
            "(this folder)" if file.path == "." else file.path,
            file.format,
            file.precision,
            f"{file.bytes:,}",
            _number(file.tolerance),
            file.sha256[:16],
            f">= {file.min_runtime}" if file.min_runtime else "",
            Cell("yes", "green") if file.accepted else Cell(f"no: {file.reason}", "yellow"),
            _state(file.path in problems) if bundle.holds(file) else Cell("not packed", "yellow"),
        )
    golden = manifest.golden
    broken = sum(path in problems for path in golden.files)
    files.add(f"golden: {golden.samples} samples in {len(golden.files)} files", *[""] * 7, _state(bool(broken)))
    provenance = Grid("Provenance", ("what", "value"))
    if bundle.packed:
        signature = bundle.packed.archive.signature
        provenance.add("signature", f"names the key {signature.public_key}" if signature else "none")
    for key, value in manifest.provenance.items():
        provenance.add(key, _compact(value))
    return [inputs, outputs, files, provenance]


def _state(broken: bool) -> Cell:
    return Cell("missing or altered", "bold red") if broken else Cell("as exported", "green")


def _verdict(verdict: str) -> Cell:
    return Cell(verdict, _COLOURS[verdict])


def _number(value: float | None, form: str = ".3g") -> str:
    return "" if value is None else format(value, form)


def _shape(shape: tuple[int, ...]) -> str:
    return f"({', '.join(['B', *map(str, shape)])})"


def _compact(value: Any) -> str:
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    return text if len(text) <= 300 else f"{text[:300]} ... (whole in manifest.json)"
