"""``mmkeras benchmark``: one table of speed and proof for every edge file, kept as JSON, held to an older one."""

from __future__ import annotations

import argparse
import re
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from mmkeras.bundle import Bundle, ExportedFile
from mmkeras.core.errors import ConfigError, MmkerasError
from mmkeras.core.terminal import say, say_json
from mmkeras.runtime.benchmark import Timing, benchmark
from mmkeras.runtime.benchmark_report import BENCHMARK, file_entries, read_report, regressions, report
from mmkeras.runtime.predictor import candidates, choose
from mmkeras.runtime.runner import runners
from mmkeras.runtime.tensorrt.engines import EngineFile
from mmkeras.storage.files import write_json

__all__ = ["add_options", "run"]

Progress = Callable[[str], None]


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add the command's options to a parser."""
    add = parser.add_argument
    add("--runs", type=int, default=200, metavar="N", help="timed inferences per file (default: 200)")
    add("--warmup", type=int, default=20, metavar="N", help="inferences before them (default: 20)")
    add(
        "--out",
        metavar="FILE",
        help=f"where the table is kept as JSON (default: {BENCHMARK} in the bundle, when all is measured)",
    )
    add("--baseline", metavar="FILE", help="an older table: exit status 1 when a file became slower or larger")
    add("--max-regression", default="10%", metavar="SHARE", help="how much worse is allowed (default: 10%%)")


def run(bundle: Bundle, options: argparse.Namespace, progress: Progress = lambda what: None) -> int:
    """Measure the requested accepted edge files whose engine is installed, by default all.

    A file that cannot be measured becomes a row with its error and does not stop the others. The exit status is 1 then,
    and where a baseline is missed.
    """
    for name in ("runs", "warmup"):
        if getattr(options, name) < (name == "runs"):
            raise ConfigError(f"--{name}: expected at least {int(name == 'runs')}, got {getattr(options, name)}")
    allowed = _share(options.max_regression)
    baseline = None if options.baseline is None else _chosen_part(read_report(options.baseline), options)
    choose(bundle, options.format, options.precision)  # raises where there is nothing to measure
    files, skipped = _plan(bundle, options)
    timings: list[Timing] = []
    failed: dict[str, str] = {}
    for file in files:
        how = {"runs": options.runs, "warmup": options.warmup, "threads": options.threads, "device": options.device}
        try:
            timings += benchmark(bundle, [file], progress=progress, **how)
        except MmkerasError as error:
            failed[file.path] = str(error)
            say(f"mmkeras: {error}", to=sys.stderr)
    value = report(bundle, files, timings, failed, skipped)
    worse = [] if baseline is None else regressions(value, baseline, allowed)
    part = options.format is not None or options.precision is not None
    kept = None if part and options.out is None else _keep(bundle, options.out, value)
    if options.json:
        say_json({**value, "regressions": [str(each) for each in worse]}, indent=2)
    else:
        _show(bundle, value, timings, skipped, kept)
    for each in worse:
        say(f"worse than {options.baseline}: {each}", to=sys.stderr)
    if baseline is not None and not worse and not options.json:
        say(f"no file is more than {allowed:.0%} worse than in {options.baseline}")
    return 1 if failed or worse else 0


def _plan(bundle: Bundle, options: argparse.Namespace) -> tuple[list[ExportedFile], list[str]]:
    engines = runners()
    files: list[ExportedFile] = []
    skipped = []
    for file in candidates(bundle):
        engine = engines.get(file.format)
        if not _is_chosen(options, file.format, file.precision):
            continue
        if engine is None:
            skipped.append(f"{file.format} (not run on a device)")
        elif not isinstance(file, EngineFile) and not bundle.holds(file):
            skipped.append(f"{file.path} (left out when the bundle was packed)")
        elif not file.accepted or not engine.available():
            why = file.reason or "rejected" if not file.accepted else engine.missing()
            skipped.append(f"{file.path} ({why})")
        elif engine.device_for(options.device) not in engine.devices:
            skipped.append(f"{file.path} ({engine.engine} has no {options.device})")
        else:
            files.append(file)
    return files, skipped


def _is_chosen(options: argparse.Namespace, format: Any, precision: Any) -> bool:
    return options.format in (None, format) and options.precision in (None, precision)


def _chosen_part(baseline: dict[str, Any], options: argparse.Namespace) -> dict[str, Any]:
    """Return a baseline without the files that the options leave out."""
    entries = file_entries(baseline)
    files = [entry for entry in entries if _is_chosen(options, entry.get("format"), entry.get("precision"))]
    return {**baseline, "files": files}


def _share(text: str) -> float:
    """Return 0.1 for 10% and for 0.1."""
    match = re.fullmatch(r"\s*(\d+(?:\.\d+)?)\s*(%?)\s*", text)
    if match is None:
        raise ConfigError(f"--max-regression: expected a share such as 10% or 0.1, got {text!r}")
    return float(match[1]) / (100 if match[2] else 1)


def _keep(bundle: Bundle, out: str | None, value: dict[str, Any]) -> Path | None:
    """Write the table; a bundle that cannot be written to keeps none unless a file is named."""
    if out is None and bundle.packed is not None:
        return None
    try:
        return write_json(bundle.folder / BENCHMARK if out is None else Path(out), value)
    except OSError as error:
        if out is not None:
            raise ConfigError(f"--out {out} cannot be written: {error}") from error
        say(f"mmkeras: the table is not kept: {error}; name a file with --out", to=sys.stderr)
        return None


def _show(bundle: Bundle, value: dict[str, Any], timings: list[Timing], skipped: list[str], kept: Path | None) -> None:
    from mmkeras.runtime import tables

    tables.show([tables.benchmark_table(bundle, value, timings)])
    if skipped:
        say(f"not measured: {', '.join(skipped)}")
    if kept is not None:
        say(f"kept as {kept}")
