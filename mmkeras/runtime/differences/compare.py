"""Compares two bundles: their files, metrics, latency, data, settings and packages."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from mmkeras.bundle import Bundle, ExportedFile
from mmkeras.core.typed import is_finite
from mmkeras.runtime.benchmark_report import (
    BENCHMARK,
    EXPORT,
    entry_name,
    figure,
    file_entries,
    read_side_file,
    scenario_figures,
)
from mmkeras.runtime.differences.contents import Contents
from mmkeras.runtime.differences.read import read_contents

__all__ = ["compare", "latencies"]


def compare(
    first: Bundle,
    second: Bundle,
    times: tuple[Mapping[str, float], Mapping[str, float]] | None = None,
) -> dict[str, Any]:
    """Return the changes from the first bundle to the second, ready for JSON.

    Every pair is ``[first, second]``, with ``null`` for a missing value. Equal values are left out, except the sizes,
    metrics and latencies of files. ``times`` are median milliseconds by ``"<format> <precision>"``, by default those of
    `latencies`.

    Raises:
        BundleError: a file of a bundle is altered or cannot be read.
    """
    one, other = first.manifest.provenance, second.manifest.provenance
    settings = _changes(_flat(one.get("config")), _flat(other.get("config")))
    data = _changes(*({"fingerprint": each.get("data_fingerprint")} for each in (one, other)))
    reports = (read_side_file(first, EXPORT), read_side_file(second, EXPORT))
    return {
        "schema_version": 1,
        "first": _head(first),
        "second": _head(second),
        "interface": _changes(_interface(first), _interface(second)),
        "files": _files(first, second, reports, times or (latencies(first), latencies(second))),
        "metrics": _metrics(one.get("metrics"), other.get("metrics")),
        "scenarios": {
            key: [figure(value) for value in pair]
            for key, pair in _pairs(*(report.get("reference") for report in reports)).items()
        },
        "data": data | {key[5:]: pair for key, pair in settings.items() if key.startswith("data.")},
        "settings": {key: pair for key, pair in settings.items() if not key.startswith("data.")},
        "packages": _changes(_packages(one), _packages(other)),
        "code_revision": [one.get("code_revision"), other.get("code_revision")],
    }


def latencies(bundle: Bundle) -> dict[str, float]:
    """Return the median milliseconds by file in the bundle's ``benchmark.json``; empty without one."""
    entries = file_entries(read_side_file(bundle, BENCHMARK))
    return {entry_name(entry): float(entry["p50_ms"]) for entry in entries if is_finite(entry.get("p50_ms"))}


def _head(bundle: Bundle) -> dict[str, Any]:
    manifest = bundle.manifest
    return {
        "place": str(bundle.place),
        "name": manifest.name,
        "version": manifest.version,
        "created": manifest.created,
        "notice": manifest.provenance.get("notice"),
    }


def _interface(bundle: Bundle) -> dict[str, Any]:
    """Return what a program that uses the bundle depends on: inputs, preprocessing, outputs and labels."""
    found = {f"modality {value.get('name')}": value for value in bundle.manifest.modalities}
    tensors = {f"input {tensor.name}": f"{tensor.dtype} {list(tensor.shape)}" for tensor in bundle.inputs}
    outputs = {f"output {tensor.name}": f"{tensor.dtype} {list(tensor.shape)}" for tensor in bundle.task.outputs}
    return {**_flat(found), **tensors, **outputs, **_flat({"task": bundle.manifest.task})}


def _files(
    first: Bundle,
    second: Bundle,
    reports: tuple[dict[str, Any], dict[str, Any]],
    times: tuple[Mapping[str, float], Mapping[str, float]],
) -> dict[str, Any]:
    tables = [{f"{file.format} {file.precision}": file for file in bundle.files} for bundle in (first, second)]
    verified = [{entry_name(entry): entry for entry in file_entries(report)} for report in reports]
    found = {}
    for key in dict.fromkeys([*tables[0], *tables[1]]):
        pair = [table.get(key) for table in tables]
        entries = [table.get(key, {}) for table in verified]
        one, other = (_contents(bundle, file) for bundle, file in zip((first, second), pair, strict=True))
        found[key] = {
            "state": _state([file.sha256 if file else None for file in pair]),
            **{
                name: [getattr(file, name) if file else None for file in pair]
                for name in ("accepted", "reason", "bytes", "tolerance")
            },
            **{
                name: [figure(entry.get(name)) for entry in entries]
                for name in ("metric", "metric_change", "max_abs_diff", "flips")
            },
            "worst_scenario": [_worst(entry) for entry in entries],
            "p50_ms": [time.get(key) for time in times],
            "operators": _changes(one.operators, other.operators),
            "types": _pairs(one.types, other.types),
            "parts": _pairs(one.parts, other.parts),
        }
    return found


def _state(hashes: list[str | None]) -> str:
    if hashes[0] == hashes[1]:
        return "same"
    return "added" if hashes[0] is None else "removed" if hashes[1] is None else "changed"


def _contents(bundle: Bundle, file: ExportedFile | None) -> Contents:
    if file is None or file.path == "." or not bundle.holds(file):
        return Contents()
    return read_contents(bundle.load(file.path, file.sha256), file.format) or Contents()


def _worst(entry: Mapping[str, Any]) -> str | None:
    """Return the scenario with the largest difference to Keras."""
    diffs = scenario_figures(entry, "max_abs_diff")
    return max(diffs, key=lambda name: diffs[name]) if diffs else None


def _metrics(one: Any, other: Any) -> dict[str, Any]:
    """Return both values of every metric, and whether their intervals are apart."""
    found: dict[str, Any] = {}
    for name, pair in _pairs(one, other).items():
        # Older manifests hold plain numbers.
        values = [value if isinstance(value, dict) else {"value": value} for value in pair]
        found[name] = {key: [figure(value.get(key)) for value in values] for key in ("value", "low", "high")}
        low, high = found[name]["low"], found[name]["high"]
        known = None not in (*low, *high)
        found[name]["intervals_apart"] = (low[1] > high[0] or high[1] < low[0]) if known else None
    return found


def _packages(provenance: Mapping[str, Any]) -> dict[str, Any]:
    found = {}
    for key, prefix in (("packages", ""), ("exported_with", "exported with ")):
        value = provenance.get(key)
        found.update({prefix + name: version for name, version in value.items()} if isinstance(value, dict) else {})
    return found


def _pairs(one: Any, other: Any) -> dict[str, list[Any]]:
    """Return both values of every key."""
    first, second = (value if isinstance(value, dict) else {} for value in (one, other))
    return {key: [first.get(key), second.get(key)] for key in dict.fromkeys([*first, *second])}


def _changes(one: Mapping[str, Any], other: Mapping[str, Any]) -> dict[str, list[Any]]:
    return {key: pair for key, pair in _pairs(one, other).items() if pair[0] != pair[1]}


def _flat(value: Any, prefix: str = "") -> dict[str, Any]:
    """Return the values of nested objects by their keys, joined with dots."""
    found: dict[str, Any] = {}
    for key, item in value.items() if isinstance(value, dict) else ():
        found |= _flat(item, f"{prefix}{key}.") if isinstance(item, dict) and item else {prefix + key: item}
    return found
