"""``mmkeras diff``: the tables, the summary and the command."""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable, Mapping
from typing import Any

from mmkeras.bundle import Bundle
from mmkeras.core.errors import ConfigError
from mmkeras.core.rounding import rounded
from mmkeras.core.terminal import say, say_json, show_progress
from mmkeras.runtime.benchmark import benchmark
from mmkeras.runtime.differences.compare import compare
from mmkeras.runtime.grid import Cell, Grid
from mmkeras.runtime.predictor import why_not_run

__all__ = ["add_options", "diff", "diff_tables", "summary"]

_STYLES = {"same": "", "changed": "yellow", "added": "green", "removed": "red"}
_LONGEST = 60


def diff_tables(value: Mapping[str, Any]) -> list[Grid]:
    """Return the changes found by `compare` as tables; empty tables are left out."""
    scenarios = _changes("Keras metric by scenario", "scenario", value["scenarios"], "{:.4f}", _difference)
    tables = [_files(value), _metrics(value), scenarios]
    for name, file in value["files"].items():
        for key, what, by in (("parts", "part", "part of the model"), ("types", "type", "type")):
            title = f"{name}: bytes of weights by {by}"
            differs = any(pair[0] != pair[1] for pair in file[key].values())
            sizes = sorted(file[key].items(), key=lambda item: -max(number or 0 for number in item[1]))
            tables.append(_changes(title, what, dict(sizes) if differs else {}, "{:,}", _ratio))
        operators = Grid(f"{name}: operators", ("operator", "first", "second"), right=("first", "second"))
        for kind, pair in sorted(file["operators"].items()):
            operators.add(kind, *(str(count or 0) for count in pair))
        tables.append(operators)
    for key in ("interface", "data", "settings", "packages"):
        title = "Inputs, outputs and preprocessing" if key == "interface" else key.capitalize()
        grid = Grid(title, ("what", "first", "second"))
        for name, pair in value[key].items():
            grid.add(name, *map(_short, pair))
        tables.append(grid)
    return [table for table in tables if table.rows]


def summary(value: Mapping[str, Any]) -> list[str]:
    """Return what `compare` found as lines of text."""
    states = [file["state"] for file in value["files"].values()]
    counts = ", ".join(f"{states.count(state)} {state}" for state in _STYLES if state in states)
    lines = [f"files: {counts or 'none'}"]
    same = [key for key in ("interface", "data", "settings", "packages") if not value[key]]
    if same:
        lines.append(f"no change in: {', '.join(same)}")
    if value["interface"]:
        lines.append("A program that uses the first may not work with the second: inputs, outputs or labels changed.")
    if not any(time is not None for file in value["files"].values() for time in file["p50_ms"]):
        lines.append("latency: not measured; --measure times both bundles on this machine")
    notices = {str(value[side]["notice"]) for side in ("first", "second") if value[side]["notice"]}
    return [*lines, *sorted(notices)]


def _files(value: Mapping[str, Any]) -> Grid:
    titles = [f"{value[side]['place']} (version {value[side]['version']})" for side in ("first", "second")]
    columns = ("file", "state", "bytes", "change", "metric", "flips", "max diff", "worst scenario", "p50 ms", "verdict")
    grid = Grid(f"From {titles[0]} to {titles[1]}", columns, right=columns[2:7])
    verdicts = {None: None, True: "accepted", False: "rejected"}
    for name, file in value["files"].items():
        grid.add(
            name,
            Cell(file["state"], _STYLES[file["state"]]),
            _pair(file["bytes"], "{:,}"),
            _ratio(file["bytes"]),
            _pair(file["metric"], "{:.4f}"),
            _pair(file["flips"], "{}"),
            _pair(file["max_abs_diff"], "{:.2g}"),
            _pair(file["worst_scenario"], "{}"),
            _pair(file["p50_ms"], "{:.3f}"),
            _pair([verdicts[accepted] for accepted in file["accepted"]], "{}"),
        )
    return grid


def _metrics(value: Mapping[str, Any]) -> Grid:
    columns = ("metric on the test split", "first", "second", "change", "intervals")
    grid = Grid("Keras model", columns, right=columns[1:4])
    for name, metric in value["metrics"].items():
        shown = [
            "-"
            if number is None
            else rounded(number, 4)
            + ("" if low is None or high is None else f" ({rounded(low, 4)} to {rounded(high, 4)})")
            for number, low, high in zip(metric["value"], metric["low"], metric["high"], strict=True)
        ]
        apart = metric["intervals_apart"]
        grid.add(
            name,
            *shown,
            _difference(metric["value"]),
            "not measured" if apart is None else "apart" if apart else "overlap",
        )
    return grid


def _changes(title: str, what: str, pairs: Mapping[str, Any], form: str, change: Callable[[list[Any]], str]) -> Grid:
    grid = Grid(title, (what, "first", "second", "change"), right=("first", "second", "change"))
    for name, pair in pairs.items():
        grid.add(name, *(_number(number, form) for number in pair), change(pair))
    return grid


def _number(number: Any, form: str) -> str:
    return "-" if number is None else form.format(number)


def _pair(pair: list[Any], form: str) -> str:
    """Return both values, or one where they are equal."""
    shown = [_number(value, form) for value in pair]
    return shown[0] if shown[0] == shown[1] else " -> ".join(shown)


def _difference(pair: list[Any]) -> str:
    return "" if None in pair else f"{pair[1] - pair[0]:+.4f}"


def _ratio(pair: list[Any]) -> str:
    return "" if None in pair or not pair[0] or pair[0] == pair[1] else f"{100 * (pair[1] / pair[0] - 1):+.1f} %"


def _short(value: Any) -> str:
    text = "-" if value is None else value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    return text if len(text) <= _LONGEST else f"{text[:_LONGEST]} ... (whole with --json)"


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add the command's options to a parser."""
    add = parser.add_argument
    add("other", metavar="OTHER", help="the bundle to compare with, a folder or a packed bundle")
    add("--measure", action="store_true", help="time the files of both bundles on this machine")
    add("--runs", type=int, default=200, metavar="N", help="timed inferences per file with --measure (default: 200)")


def diff(bundle: Bundle, options: argparse.Namespace) -> int:
    """Compare two bundles and print the changes; the status is 0 with and without changes."""
    if options.runs < 1:
        raise ConfigError(f"--runs: expected at least 1, got {options.runs}")
    with Bundle.open(options.other, options.key) as other:
        times = (_measure(bundle, options), _measure(other, options)) if options.measure else None
        value = compare(bundle, other, times)
    if options.json:
        say_json(value, indent=2)
        return 0
    from mmkeras.runtime import tables

    tables.show(diff_tables(value))
    for line in summary(value):
        say(line)
    return 0


def _measure(bundle: Bundle, options: argparse.Namespace) -> dict[str, float]:
    files = [file for file in bundle.files if file.accepted and not why_not_run(bundle, file)]
    timings = benchmark(bundle, files, runs=options.runs, threads=options.threads, progress=show_progress)
    return {f"{timing.format} {timing.precision}": timing.p50_ms for timing in timings}
