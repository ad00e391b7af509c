"""What a run of the fuzzer says: a table for people, a file for programs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from rich.table import Table

from mmkeras.training.environment import machine, package_versions
from tests.fuzz.campaign import Counts, Plan

__all__ = ["BAR", "GOAL", "describe", "table"]

BAR, GOAL = 50_000, 1_000_000
"""Inputs without a failure."""
_SUMS = ("inputs", "read", "refused", "foreign_exceptions", "crashes", "hangs", "over_memory", "seconds")


def describe(plan: Plan, counts: Mapping[str, Counts]) -> dict[str, Any]:
    """Return what ``runs/fuzz.json`` holds: its schema is ``mmkeras/schemas/fuzz.schema.json``."""
    readers = {name: asdict(each) for name, each in counts.items()}
    failures = [failure for each in readers.values() for failure in each.pop("failures")]
    return {
        "schema_version": 1,
        "code_revision": plan.code,
        "seed": plan.seed,
        "limits": {"seconds": plan.seconds, "memory_mib": plan.memory},
        "bar": BAR,
        "goal": GOAL,
        "readers": readers,
        "totals": {name: round(sum(each[name] for each in readers.values()), 3) for name in _SUMS},
        "failures": failures,
        "machine": {**machine(), "packages": package_versions()},
    }


def table(counts: Mapping[str, Counts]) -> Table:
    """Return a row for every reader, and one for all."""
    shown = Table(title="Damaged files", title_justify="left", show_footer=True)
    rows = list(counts.values())
    shown.add_column("reader", footer="all", no_wrap=True, min_width=max(map(len, counts), default=0))
    for heading, name in (
        *(("inputs", "inputs"), ("read", "read"), ("refused", "refused"), ("foreign", "foreign_exceptions")),
        *(("crashed", "crashes"), ("hung", "hangs"), ("memory", "over_memory"), ("seconds", "seconds")),
    ):
        shown.add_column(heading, f"{sum(getattr(row, name) for row in rows):,.0f}", justify="right")
    shown.add_column("slowest s", f"{max((row.slowest_seconds for row in rows), default=0):.2f}", justify="right")
    for name, row in counts.items():
        wrong = row.foreign_exceptions + row.crashes + row.hangs + row.over_memory
        cells = (row.inputs, row.read, row.refused, row.foreign_exceptions, row.crashes, row.hangs, row.over_memory)
        figures = [f"{cell:,}" for cell in cells]
        shown.add_row(name, *figures, f"{row.seconds:.0f}", f"{row.slowest_seconds:.2f}", style="red" if wrong else "")
    return shown
