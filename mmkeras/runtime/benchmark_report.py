"""The report of a benchmark, and its comparison with an older one.

Speed is measured on this machine. Metric, flips, worst scenario and verdict come from the export, which had the data.
"""

from __future__ import annotations

import dataclasses
import os
import platform
from collections.abc import Mapping, Sequence
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from mmkeras.bundle import Bundle, ExportedFile
from mmkeras.core.errors import BundleError, DataError
from mmkeras.core.typed import is_finite, parse_json
from mmkeras.runtime.benchmark import Timing

__all__ = [
    "BENCHMARK",
    "EXPORT",
    "entry_name",
    "figure",
    "file_entries",
    "read_report",
    "read_side_file",
    "regressions",
    "report",
    "scenario_figures",
]

WATCHED = {"p50_ms": "median time", "bytes": "size", "peak_mib": "peak memory"}
"""Figures compared with a baseline, and their names in messages: less is better."""
BENCHMARK = "benchmark.json"
"""Written by `mmkeras benchmark`."""
EXPORT = "export.json"
"""Results of verification at export."""


def report(
    bundle: Bundle,
    files: Sequence[ExportedFile],
    timings: Sequence[Timing],
    failed: Mapping[str, str],
    skipped: Sequence[str],
) -> dict[str, Any]:
    """Return the content of ``benchmark.json``; its schema is ``mmkeras/schemas/benchmark.schema.json``.

    ``failed`` holds the error of each file without timings by its path; ``skipped`` names other files, with the reason.
    """
    verified = {str(entry.get("path")): entry for entry in file_entries(read_side_file(bundle, EXPORT))}
    measured = {timing.path: dataclasses.asdict(timing) for timing in timings}
    rows = []
    for file in files:
        row = {"format": file.format, "precision": file.precision, "path": file.path, "bytes": file.bytes}
        row |= {"error": failed.get(file.path, ""), "accepted": file.accepted}
        row |= measured.get(file.path, {})
        rows.append(row | _verified(verified.get(file.path, {}), bundle.task.metric_sign))
    return {
        "schema_version": 1,
        "bundle": str(bundle.place),
        "name": bundle.manifest.name,
        "version": bundle.manifest.version,
        "created": datetime.now(timezone.utc).isoformat(timespec="seconds"),
        "machine": {"platform": platform.platform(), "processor": platform.machine(), "cores": os.cpu_count()},
        "metric_name": bundle.task.metric,
        "files": rows,
        "skipped": list(skipped),
    }


def _verified(entry: Mapping[str, Any], sign: int) -> dict[str, Any]:
    """Return the results of verification of one file; the metric falls most in the worst scenario."""
    changes = scenario_figures(entry, "metric_change")
    worst = min(changes, key=lambda name: sign * changes[name]) if changes else None
    return {
        **{name: figure(entry.get(name)) for name in ("metric", "metric_change", "flips")},
        "verified_samples": figure(entry.get("samples")),
        "worst_scenario": worst,
        "worst_change": None if worst is None else changes[worst],
    }


def read_report(path: str | Path) -> dict[str, Any]:
    """Read a report that `report` made.

    Raises:
        DataError: it cannot be read, or is something else.
    """
    try:
        value = parse_json(Path(path).read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise DataError(
            f"--baseline {path} cannot be read: {error}. Name a file that mmkeras benchmark wrote"
        ) from None
    if not isinstance(value, dict) or not isinstance(value.get("files"), list) or value.get("schema_version") != 1:
        raise DataError(f"--baseline {path}: expected a report of mmkeras benchmark, version 1, got another JSON file")
    return value


def regressions(now: Mapping[str, Any], baseline: Mapping[str, Any], share: float) -> list[str]:
    """Return one message for each figure that grew by more than a share, and for each file no longer measured.

    Files that the baseline lacks are not compared; a share of 0.1 allows a tenth more.
    """
    current = {entry_name(entry): entry for entry in file_entries(now)}
    found = []
    for entry in file_entries(baseline):
        name = entry_name(entry)
        if figure(entry.get("p50_ms")) is None:
            continue  # the baseline did not measure it either
        new = current.get(name, {})
        if figure(new.get("p50_ms")) is None:
            why = f": {new['error']}" if new.get("error") else ""
            found.append(f"{name}: was measured in the baseline and is not any more{why}")
            continue
        for key, words in WATCHED.items():
            before, value = figure(entry.get(key)), figure(new.get(key))
            if before is not None and value is not None and value > before * (1 + share):
                change = f" ({value / before - 1:+.1%})" if before else ""
                found.append(f"{name}: {words} {before:.4g} -> {value:.4g}{change}")
    return found


def figure(value: Any) -> Any:
    """Return a finite number as it is, and None for anything else that a report may hold."""
    return value if is_finite(value) else None


def scenario_figures(entry: Mapping[str, Any], key: str) -> dict[str, float]:
    """Return a file's finite numbers by scenario, from its entry in ``export.json``."""
    scenarios = entry.get("scenarios")
    found = scenarios.items() if isinstance(scenarios, dict) else ()
    return {name: each[key] for name, each in found if isinstance(each, dict) and is_finite(each.get(key))}


def entry_name(entry: Mapping[str, Any]) -> str:
    """Return format and precision of a file's entry in a report, its name in messages."""
    return f"{entry.get('format')} {entry.get('precision')}"


def file_entries(report: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Return the objects in the list ``files`` of a report; empty where there is no such list."""
    value = report.get("files")
    return [entry for entry in value if isinstance(entry, dict)] if isinstance(value, list) else []


def read_side_file(bundle: Bundle, name: str) -> dict[str, Any]:
    """Return a file's object; empty where the bundle has no such file.

    Raises:
        BundleError: it cannot be read as JSON.
    """
    try:
        value = parse_json((bundle.folder / name).read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {}
    except (OSError, ValueError, RecursionError) as error:
        raise BundleError(f"{bundle.place / name} cannot be read as JSON: {error}. Copy the bundle again.") from error
    return value if isinstance(value, dict) else {}
