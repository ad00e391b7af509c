"""The tables and lines that the command prints."""

from __future__ import annotations

from collections.abc import Iterator

from export.foreign.feeds import SIDES
from export.foreign.measure import Measured
from export.foreign.report import Report
from export.foreign.shares import share_interval
from mmkeras.core.rounding import percent
from mmkeras.evaluation.words import change, number, span, step, title
from mmkeras.runtime.grid import Cell, Grid

__all__ = ["grids", "lines"]

_MOST_BAD = 5
_MOST_SLICES = 5


def grids(report: Report) -> list[Grid]:
    """Return the tables: both files, the inputs, the scenarios and the worst slices."""
    found = [_files(report), _inputs(report)]
    if report.measured:
        found.append(_scenarios(report))
        slices = report.measured["all"].slices if "all" in report.measured else ()
        if slices and report.decisions is not None:
            found.append(_slices(report))
    return found


def _files(report: Report) -> Grid:
    grid = Grid("", ("", "file", "format", "precision", "MB", "ms", "CPU ms"), right=("MB", "ms", "CPU ms"))
    for side, entry in report.sides.items():
        times = ["", ""]
        if report.latency is not None:
            times = [f"{report.latency.wall_ms[side]:.3f}", f"{report.latency.cpu_ms[side]:.3f}"]
        size = f"{entry['bytes'] / 1e6:.3f}"
        grid.add("FILE" if side == "file" else side, entry["path"], entry["format"], entry["precision"], size, *times)
    return grid


def _inputs(report: Report) -> Grid:
    grid = Grid("Inputs", ("FILE", "reference", "matched by", "columns", "given to FILE", "given to the reference"))
    for entry in report.inputs:
        given = [entry[f"{side}_given"] or "as in the table" for side in SIDES]
        grid.add(entry["file"], entry["reference"], entry["matched_by"], ", ".join(entry["columns"]), *given)
    return grid


def _scenarios(report: Report) -> Grid:
    decisions = report.decisions
    known = decisions is not None and decisions.targets is not None
    metric = decisions.task.metric if decisions is not None and known else ""
    counted = decisions is not None and decisions.kind != "numbers"
    columns = ["scenario", "rows", "difference", "relative", "noise"]
    columns += ["decisions changed"] if counted else []
    columns += [title(metric), "reference", "change"] if known else []
    grid = Grid("FILE against the reference", (*columns, "verdict"), right=columns[1:])
    failed = {check.name for check in report.checks if check.problems}
    for name, found in report.measured.items():
        result = found.result
        worst = list(result.outputs.values())
        cells = [name, str(result.samples), _number(result.max_abs_diff)]
        cells += [_number(max((each.relative for each in worst), default=None))]
        cells += [_number(max((each.noise for each in worst), default=None))]
        cells += [_flips(found)] if counted else []
        if known:
            cells += [number(metric, result.metric), number(metric, found.reference_metric)]
            cells += [_change(metric, found)]
        grid.add(*cells, Cell("FAILED", "bold red") if name in failed else Cell("passed", "green"))
    return grid


def _flips(found: Measured) -> str:
    result = found.result
    if result.not_finite:
        return ""
    low, high = share_interval(result.flips, result.samples)
    close = f", {result.close} near tie{'s' if result.close > 1 else ''}" if result.close else ""
    return f"{result.flips} ({percent(low)} – {percent(high)} %){close}"


def _change(metric: str, found: Measured) -> str:
    interval = found.intervals.get("change")
    return step(metric, found.result.metric_change) if interval is None else change(metric, interval)


def _slices(report: Report) -> Grid:
    assert report.decisions is not None
    metric = report.decisions.task.metric
    known = report.decisions.targets is not None
    columns = ("slice", "rows", "decisions changed", *((title(metric), "change") if known else ()))
    parts = report.measured["all"].slices
    more = f", the worst {_MOST_SLICES} of {len(parts)}" if len(parts) > _MOST_SLICES else ""
    grid = Grid(f"Slices of 30 rows or more{more}", columns, right=columns[1:])
    for part in parts[:_MOST_SLICES]:
        values = [number(metric, part.metric), step(metric, part.metric_change)] if known else []
        grid.add(part.name, str(part.samples), str(part.flips), *values)
    return grid


def lines(report: Report) -> Iterator[str]:
    """Yield what follows the tables: bad rows, assumptions, failures with their causes, and the verdict."""
    if report.rows + len(report.bad) < report.in_table:
        looked = report.rows + len(report.bad)
        yield f"note: {looked} of the {report.in_table} rows, at equal distances; --rows changes that"
    for row in report.bad[:_MOST_BAD]:
        yield f"left out: {row.origin}: {row.reason}"
    if len(report.bad) > _MOST_BAD:
        yield f"left out: {len(report.bad) - _MOST_BAD} more rows; --out lists them"
    for side in report.sides.values():
        for note in side["notes"]:
            yield f"{side['path']}: {note}"
    if report.outputs is not None:
        yield from (f"note: {text}" for text in report.outputs.said)
    if report.decisions is not None and report.decisions.said:
        yield f"note: {report.decisions.said}"
    for text in report.assumed:
        yield f"assumed: {text}. Declare it with --input"
    yield from (f"warning: {text}" for text in report.warnings)
    whole = report.measured.get("all")
    if whole is not None and "file" in whole.intervals and report.decisions is not None:
        metric = report.decisions.task.metric
        sides = (f"{side} {span(metric, whole.intervals[side].to_json())}" for side in ("file", "reference"))
        yield f"{title(metric)}, 95 % intervals: {', '.join(sides)}"
    if report.latency is not None:
        found = report.latency
        yield (
            f"latency of one row, FILE / reference over {found.rounds} interleaved rounds: {found.wall_ratio:.2f} "
            f"(wall), {found.cpu_ratio:.2f} (CPU time)"
        )
    if report.limits is not None:
        known = report.decisions is not None and report.decisions.targets is not None
        yield f"limits: {report.limits.text(known)}"
    for check in report.checks:
        yield from (f"FAILED {check.name}: {problem}" for problem in check.problems)
    for finding in report.findings:
        yield f"{'found' if finding.agrees else 'closest'}: {finding.text}"
    if not report.findings and any(check.name == "all" and check.problems for check in report.checks):
        exact = report.limits is not None and report.limits.gate.exact
        rest = (
            "weights or operations differ" if exact else "what remains is rounding by the quantisation, or the weights"
        )
        yield f"no other preprocessing, order of outputs or scale explains the difference: {rest}"
    yield "ACCEPTED: FILE is the same model within the limits" if report.accepted else "NOT ACCEPTED"


def _number(value: float | None) -> str:
    return "" if value is None or value != value else f"{value:.2g}"
