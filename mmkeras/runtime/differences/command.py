"""``mmkeras diff A B``: what changed between two bundles, as tables or JSON."""

from __future__ import annotations

import argparse
from collections.abc import Callable

from mmkeras.bundle import Bundle
from mmkeras.core.errors import ConfigError
from mmkeras.core.terminal import say, say_json, show_progress
from mmkeras.runtime.benchmark import benchmark
from mmkeras.runtime.differences.compare import compare
from mmkeras.runtime.differences.report import diff_tables, summary
from mmkeras.runtime.runner import runners

__all__ = ["add_options", "diff"]


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add the command's options to a parser."""
    add = parser.add_argument
    add("other", metavar="OTHER", help="the bundle to compare with, a folder or a packed bundle")
    add("--measure", action="store_true", help="time the files of both here, one after the other")
    add("--runs", type=int, default=200, metavar="N", help="timed inferences per file with --measure (default: 200)")


def diff(bundle: Bundle, options: argparse.Namespace, progress: Callable[[str], None] = show_progress) -> int:
    """Compare and print; the status is 0 whether or not something changed."""
    if options.runs < 1:
        raise ConfigError(f"--runs: expected at least 1, got {options.runs}")
    with Bundle.open(options.other, options.key) as other:
        times = None
        if options.measure:
            times = _measure(bundle, options, progress), _measure(other, options, progress)
        value = compare(bundle, other, times)
    if options.json:
        say_json(value, indent=2)
        return 0
    from mmkeras.runtime import tables

    tables.show(diff_tables(value))
    for line in summary(value):
        say(line)
    return 0


def _measure(bundle: Bundle, options: argparse.Namespace, progress: Callable[[str], None]) -> dict[str, float]:
    engines = runners()
    files = [
        file
        for file in bundle.files
        if file.accepted and bundle.holds(file) and file.format in engines and engines[file.format].available()
    ]
    timings = benchmark(bundle, files, runs=options.runs, threads=options.threads, progress=progress)
    return {f"{timing.format} {timing.precision}": timing.p50_ms for timing in timings}
