"""The tables that the commands print, by rich."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from mmkeras.bundle import Bundle
from mmkeras.runtime.benchmark import Timing
from mmkeras.runtime.selftest import SelfTest

__all__ = ["benchmark_table", "inspect_tables", "selftest_tables", "show"]

_COLOURS = {"passed": "green", "failed": "bold red", "skipped": "yellow", "rejected": "yellow"}


def show(tables: Iterable[Table]) -> None:
    """Print tables; nothing is cut off where the output is not a terminal."""
    console = Console()
    if not console.is_terminal:
        console = Console(width=200)
    for table in tables:
        console.print(table)


def selftest_tables(bundle: Bundle, result: SelfTest) -> list[Table]:
    """Return the files' and the preprocessing's verdicts."""
    files = _table(
        f"Self-test of {bundle.folder}",
        ("file", "verdict", "samples", "max diff", "allowed", "flips", "worst scenario", "reason"),
        right=("samples", "max diff", "allowed", "flips"),
    )
    for file in result.files:
        worst = max(file.scenarios, key=lambda name: file.scenarios[name]) if file.scenarios else ""
        files.add_row(
            f"{file.format} {file.precision}",
            _verdict(file.verdict),
            str(file.samples or ""),
            _number(file.max_abs_diff),
            _number(file.tolerance),
            str(file.flips) if file.samples else "",
            worst,
            escape(file.reason),
        )
    preprocessing = _table(
        "Host-side preprocessing",
        ("modality", "verdict", "samples", "max diff", "reason"),
        right=("samples", "max diff"),
    )
    for check in result.preprocessing:
        diff = _number(check.max_abs_diff) if check.samples else ""
        preprocessing.add_row(check.modality, _verdict(check.verdict), str(check.samples or ""), diff, check.reason)
    return [files, preprocessing]


def benchmark_table(bundle: Bundle, timings: Sequence[Timing]) -> Table:
    """Return one row per measured file."""
    first = timings[0] if timings else None
    how = f", {first.threads} thread(s), {first.device}, {first.runs} runs, batch 1" if first else ""
    columns = ("file", "engine", "MB", "load ms", "p50 ms", "p90 ms", "p99 ms", "per s", "answer p50 ms", "peak MiB")
    table = _table(f"{bundle.folder}{how}", columns, right=columns[2:])
    for t in timings:
        answer = "" if t.answer_p50_ms is None else f"{t.answer_p50_ms:.3f}"
        figures = (t.load_ms, t.p50_ms, t.p90_ms, t.p99_ms)
        table.add_row(
            f"{t.format} {t.precision}",
            t.engine,
            f"{t.bytes / 1e6:.2f}",
            *(f"{value:.3f}" for value in figures),
            f"{t.per_second:.0f}",
            answer,
            f"{t.peak_mib:.0f}",
        )
    return table


def inspect_tables(bundle: Bundle, problems: dict[str, str]) -> list[Table]:
    """Return the inputs, the outputs, the files and where they came from."""
    manifest = bundle.manifest
    inputs = _table(
        f"{manifest.name} version {manifest.version}, exported {manifest.created}",
        ("modality", "kind", "tensor", "dtype", "shape"),
    )
    for spec in bundle.specs.values():
        for tensor in (*spec.tensors, spec.present):
            inputs.add_row(spec.name, spec.kind, tensor.name, tensor.dtype, _shape(tensor.shape))
    outputs = _table(f"Task: {bundle.task.kind}", ("output", "dtype", "shape"))
    for tensor in bundle.task.outputs:
        outputs.add_row(tensor.name, tensor.dtype, _shape(tensor.shape))
    files = _table(
        "Files",
        ("file", "format", "precision", "bytes", "tolerance", "sha256", "accepted", "on disk"),
        right=("bytes", "tolerance"),
    )
    for file in bundle.files:
        files.add_row(
            "(this folder)" if file.path == "." else file.path,
            file.format,
            file.precision,
            f"{file.bytes:,}",
            _number(file.tolerance),
            file.sha256[:16],
            "[green]yes[/]" if file.accepted else f"[yellow]no[/]: {escape(file.reason)}",
            "[bold red]missing or altered[/]" if file.path in problems else "[green]as exported[/]",
        )
    golden = manifest.golden
    broken = sum(path in problems for path in golden.files)
    state = f"[bold red]{broken} missing or altered[/]" if broken else "[green]as exported[/]"
    files.add_row(f"golden: {golden.samples} samples in {len(golden.files)} files", *[""] * 6, state)
    provenance = _table("Provenance", ("what", "value"))
    for key, value in manifest.provenance.items():
        provenance.add_row(key, escape(_compact(value)))
    return [inputs, outputs, files, provenance]


def _table(title: str, columns: Sequence[str], right: Sequence[str] = ()) -> Table:
    table = Table(title=title, title_justify="left", title_style="bold")
    for column in columns:
        table.add_column(column, justify="right" if column in right else "left", overflow="fold")
    return table


def _verdict(verdict: str) -> str:
    return f"[{_COLOURS[verdict]}]{verdict}[/]"


def _number(value: float | None) -> str:
    return "" if value is None else f"{value:.3g}"


def _shape(shape: tuple[int, ...]) -> str:
    return f"({', '.join(['B', *map(str, shape)])})"


def _compact(value: Any) -> str:
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    return text if len(text) <= 300 else f"{text[:300]} ... (whole in manifest.json)"
