"""The report of a benchmark: the speed of each file beside the results of verification, compared with an older report.

Speed is measured here. Metric, flips, worst scenario and verdict are those of the export, which had the data.
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
    "Regression",
    "file_entries",
    "read_report",
    "read_side_file",
    "regressions",
    "report",
]

WATCHED = {"p50_ms": "median time", "bytes": "size", "peak_mib": "peak memory"}
"""Figures compared with a baseline: less is better."""
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

    ``failed`` has the error by path of the files without timings; ``skipped`` names files left out, with the reason.
    """
    verified = {str(entry.get("path")): entry for entry in file_entries(read_side_file(bundle, EXPORT))}
    measured = {timing.path: dataclasses.asdict(timing) for timing in timings}
    rows = []
    for file in files:
        row = {"format": file.format, "precision": file.precision, "path": file.path, "bytes": file.bytes}
        row |= {"error": failed.get(file.path, ""), "accepted": file.accepted}
        rows.append(row | measured.get(file.path, {}) | _proof(verified.get(file.path, {}), bundle.task.metric_sign))
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


def _proof(entry: Mapping[str, Any], sign: int) -> dict[str, Any]:
    """Return what verification found on one file; the worst scenario is the one that loses most of the metric."""
    scenarios = entry.get("scenarios")
    changes = {
        name: sign * change
        for name, found in (scenarios.items() if isinstance(scenarios, dict) else ())
        if isinstance(found, dict) and isinstance(change := found.get("metric_change"), (int, float))
    }
    worst = min(changes, key=lambda name: changes[name]) if changes else None
    return {
        "metric": entry.get("metric"),
        "metric_change": entry.get("metric_change"),
        "flips": entry.get("flips"),
        "verified_samples": entry.get("samples"),
        "worst_scenario": worst,
        "worst_change": None if worst is None else sign * changes[worst],
    }


def read_report(path: str | Path) -> dict[str, Any]:
    """Read a report that `report` made."""
    try:
        value = parse_json(Path(path).read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise DataError(
            f"--baseline {path} cannot be read: {error}. Name a file that mmkeras benchmark wrote"
        ) from None
    if not isinstance(value, dict) or not isinstance(value.get("files"), list) or value.get("schema_version") != 1:
        raise DataError(f"--baseline {path}: expected a report of mmkeras benchmark, version 1, got another JSON file")
    return value


@dataclasses.dataclass(frozen=True)
class Regression:
    """One figure of one file that became worse than allowed."""

    file: str
    """Format and precision."""
    what: str
    before: float | None
    now: float | None
    """None where it is no longer measured."""

    def __str__(self) -> str:
        if self.now is None or self.before is None:
            return f"{self.file}: {self.what}"
        change = f" ({self.now / self.before - 1:+.1%})" if self.before else ""
        return f"{self.file}: {self.what} {self.before:.4g} -> {self.now:.4g}{change}"


def regressions(now: Mapping[str, Any], baseline: Mapping[str, Any], share: float) -> list[Regression]:
    """Return the figures that became worse by more than a share, and files no longer measured.

    Files that the baseline lacks are not compared; a share of 0.1 allows a tenth more.
    """
    current = {_name(entry): entry for entry in file_entries(now)}
    found = []
    for entry in file_entries(baseline):
        name = _name(entry)
        if _figure(entry, "p50_ms") is None:
            continue  # it was not measured then
        new = current.get(name)
        if new is None or _figure(new, "p50_ms") is None:
            why = f": {new['error']}" if new is not None and new.get("error") else ""
            found.append(Regression(name, f"was measured in the baseline and is not any more{why}", None, None))
            continue
        for key, words in WATCHED.items():
            before, value = _figure(entry, key), _figure(new, key)
            if before is not None and value is not None and value > before * (1 + share):
                found.append(Regression(name, words, before, value))
    return found


def _name(entry: Mapping[str, Any]) -> str:
    return f"{entry.get('format')} {entry.get('precision')}"


def _figure(entry: Mapping[str, Any], key: str) -> float | None:
    value = entry.get(key)
    return float(value) if is_finite(value) else None  # type: ignore[arg-type]


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
