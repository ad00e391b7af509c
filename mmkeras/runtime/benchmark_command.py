"""``mmkeras benchmark``: measures the edge files, writes a table and compares it with an older one."""

from __future__ import annotations

import argparse
import re
import sys
from pathlib import Path
from typing import Any

from mmkeras.bundle import Bundle, ExportedFile
from mmkeras.core.errors import ConfigError, MmkerasError
from mmkeras.core.terminal import say, say_json, show_progress
from mmkeras.runtime.benchmark import Timing, benchmark
from mmkeras.runtime.benchmark_report import BENCHMARK, file_entries, read_report, regressions, report
from mmkeras.runtime.commands import rebuild_engines
from mmkeras.runtime.predictor import candidates, choose, why_not_run
from mmkeras.runtime.runner import runners
from mmkeras.storage.files import write_json

__all__ = ["add_options", "run"]


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add the command's options to a parser."""
    add = parser.add_argument
    add("--runs", type=int, default=200, metavar="N", help="timed inferences per file (default: 200)")
    add("--warmup", type=int, default=20, metavar="N", help="inferences before them (default: 20)")
    add("--out", metavar="FILE", help=f"JSON file to write (default: {BENCHMARK} in the bundle, if all are measured)")
    add("--baseline", metavar="FILE", help="an older JSON file: exit status 1 when a file became slower or larger")
    add("--max-regression", default="10%", metavar="SHARE", help="allowed increase (default: 10%%)")


def run(bundle: Bundle, options: argparse.Namespace) -> int:
    """Measure the requested accepted edge files whose engine is installed, by default all.

    A file that cannot be measured gets a row with its error, and the others are still measured. The exit status is 1
    when a file could not be measured or is worse than the baseline allows.
    """
    rebuild_engines(bundle, options)
    for name in ("runs", "warmup"):
        if getattr(options, name) < (name == "runs"):
            raise ConfigError(f"--{name}: expected at least {int(name == 'runs')}, got {getattr(options, name)}")
    allowed = _share(options.max_regression)
    baseline = None if options.baseline is None else _chosen_part(read_report(options.baseline), options)
    choose(bundle, options.format, options.precision)  # raises when there is nothing to measure
    files, skipped = _plan(bundle, options)
    timings: list[Timing] = []
    failed: dict[str, str] = {}
    for file in files:
        how = {"runs": options.runs, "warmup": options.warmup, "threads": options.threads, "device": options.device}
        try:
            timings += benchmark(bundle, [file], progress=show_progress, **how)
        except MmkerasError as error:
            failed[file.path] = str(error)
            say(f"mmkeras: {error}", to=sys.stderr)
    value = report(bundle, files, timings, failed, skipped)
    worse = [] if baseline is None else regressions(value, baseline, allowed)
    part = options.format is not None or options.precision is not None
    written = None if part and options.out is None else _write(bundle, options.out, value)
    if options.json:
        say_json({**value, "regressions": worse}, indent=2)
    else:
        from mmkeras.runtime import tables

        tables.show([tables.benchmark_table(value)])
        if skipped:
            say(f"not measured: {', '.join(skipped)}")
        if written is not None:
            say(f"written: {written}")
    for each in worse:
        say(f"worse than {options.baseline}: {each}", to=sys.stderr)
    if baseline is not None and not worse and not options.json:
        say(f"no file is more than {allowed:.0%} worse than in {options.baseline}")
    return 1 if failed or worse else 0


def _plan(bundle: Bundle, options: argparse.Namespace) -> tuple[list[ExportedFile], list[str]]:
    files: list[ExportedFile] = []
    skipped = []
    for file in candidates(bundle):
        if not _is_chosen(options, file.format, file.precision):
            continue
        why = why_not_run(bundle, file) if file.accepted else file.reason or "rejected"
        if not why:
            engine = runners()[file.format]
            known = engine.device_for(options.device) in engine.devices
            why = "" if known else f"{engine.engine} has no {options.device}"
        if why:
            skipped.append(f"{file.format if file.path == '.' else file.path} ({why})")
        else:
            files.append(file)
    return files, skipped


def _is_chosen(options: argparse.Namespace, format: Any, precision: Any) -> bool:
    return options.format in (None, format) and options.precision in (None, precision)


def _chosen_part(baseline: dict[str, Any], options: argparse.Namespace) -> dict[str, Any]:
    """Return a baseline without the files that the options exclude."""
    files = (e for e in file_entries(baseline) if _is_chosen(options, e.get("format"), e.get("precision")))
    return {**baseline, "files": list(files)}


def _share(text: str) -> float:
    """Return 0.1 for 10% and for 0.1."""
    match = re.fullmatch(r"\s*(\d+(?:\.\d+)?)\s*(%?)\s*", text)
    if match is None:
        raise ConfigError(f"--max-regression: expected a share such as 10% or 0.1, got {text!r}")
    return float(match[1]) / (100 if match[2] else 1)


def _write(bundle: Bundle, out: str | None, value: dict[str, Any]) -> Path | None:
    """Write the report, and return its path; a read-only bundle without ``--out`` only gives a warning."""
    if out is None and bundle.packed is not None:
        return None
    try:
        return write_json(bundle.folder / BENCHMARK if out is None else Path(out), value)
    except OSError as error:
        if out is not None:
            raise ConfigError(f"--out {out} cannot be written: {error}") from error
        say(f"mmkeras: the report is not written: {error}; name a file with --out", to=sys.stderr)
        return None
