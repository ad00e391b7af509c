"""The table that a replay ends with."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from rich.table import Table

__all__ = ["stream_tables", "summary"]


def stream_tables(report: Mapping[str, Any]) -> list[Table]:
    """Return what was answered how, the latency by stage, and the sensors, as `stream.json` says them."""
    return [_answers(report), _latency(report), _sensors(report)]


def summary(report: Mapping[str, Any]) -> list[str]:
    """Return what the tables leave out, in sentences."""
    kinds = ", ".join(f"{count} {kind}" for kind, count in report["kinds"].items() if count)
    lines = [f"answers: {kinds or 'none'}; jumps of the sensors' clock: {report['clock_jumps']}"]
    share = report["share_beyond_interpreter"]
    if share is not None:
        lines.append(f"{100 * share:.1f} % of an answer's work is beyond the interpreter's call (median)")
    return lines


def _answers(report: Mapping[str, Any]) -> Table:
    table = Table(title="Answers", title_justify="left")
    for column in ("frames", "of them ticks", "answered", "dropped", "blind", "after the deadline"):
        table.add_column(column, justify="right")
    names = ("frames", "ticks", "answered", "dropped", "blind", "deadline_missed")
    table.add_row(*(str(report[name]) for name in names))
    return table


def _latency(report: Mapping[str, Any]) -> Table:
    table = Table(title="Latency in ms", title_justify="left")
    for column in ("stage", "p50", "p99", "mean", "max"):
        table.add_column(column, justify="left" if column == "stage" else "right")
    for stage, figures in report["latency_ms"].items():
        table.add_row(stage, *(f"{figures[name]:.2f}" for name in ("p50", "p99", "mean", "max")))
    return table


def _sensors(report: Mapping[str, Any]) -> Table:
    table = Table(title="Sensors", title_justify="left")
    for column in ("sensor", "received", "not used", "absent", "late"):
        table.add_column(column, justify="left" if column in ("sensor", "not used") else "right")
    for name, sensor in report["sensors"].items():
        counts = sensor["counts"]
        other = ", ".join(f"{count} {key}" for key, count in counts.items() if count and key != "received")
        seconds = [f"{sum(end - begin for begin, end in sensor[state]):.1f} s" for state in ("absent", "late")]
        table.add_row(name, str(counts.get("received", 0)), other, *seconds)
    return table
