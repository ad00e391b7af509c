"""Compares two bundles: their files, metrics, latency, data, settings and packages."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from mmkeras.bundle import Bundle, ExportedFile
from mmkeras.core.typed import is_finite
from mmkeras.runtime.benchmark_report import BENCHMARK, EXPORT, file_entries, read_side_file
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
    one, other = first.manifest, second.manifest
    settings = _changes(_flat(one.provenance.get("config")), _flat(other.provenance.get("config")))
    reports = (read_side_file(first, EXPORT), read_side_file(second, EXPORT))
    return {
        "schema_version": 1,
        "first": _head(first),
        "second": _head(second),
        "interface": _changes(_interface(first), _interface(second)),
        "files": _files(first, second, reports, times or (latencies(first), latencies(second))),
        "metrics": _metrics(one.provenance.get("metrics"), other.provenance.get("metrics")),
        "scenarios": {
            key: [_figure(value) for value in pair]
            for key, pair in _pairs(reports[0].get("reference"), reports[1].get("reference")).items()
        },
        "data": _changes(
            {"fingerprint": one.provenance.get("data_fingerprint"), **_only(one.provenance.get("config"), "data")},
            {"fingerprint": other.provenance.get("data_fingerprint"), **_only(other.provenance.get("config"), "data")},
        ),
        "settings": {key: pair for key, pair in settings.items() if not key.startswith("data.")},
        "packages": _changes(_packages(first), _packages(second)),
        "code_revision": [one.provenance.get("code_revision"), other.provenance.get("code_revision")],
    }


def latencies(bundle: Bundle) -> dict[str, float]:
    """Return the median milliseconds by file in the bundle's ``benchmark.json``; empty without one."""
    found = {}
    for entry in file_entries(read_side_file(bundle, BENCHMARK)):
        if is_finite(entry.get("p50_ms")):
            found[_name(entry)] = float(entry["p50_ms"])
    return found


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
    """Return what a program that uses the bundle must know: inputs, preprocessing, outputs and labels."""
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
    tables = [{_key(file): file for file in bundle.files} for bundle in (first, second)]
    measured = [{_name(entry): entry for entry in file_entries(report)} for report in reports]
    found = {}
    for key in dict.fromkeys([*tables[0], *tables[1]]):
        pair = [table.get(key) for table in tables]
        made = [_made_of(bundle, file) for bundle, file in zip((first, second), pair, strict=True)]
        hashes = [file.sha256 if file else None for file in pair]
        found[key] = {
            "state": _state(hashes),
            "accepted": [file.accepted if file else None for file in pair],
            "reason": [file.reason if file else None for file in pair],
            "bytes": [file.bytes if file else None for file in pair],
            "tolerance": [file.tolerance if file else None for file in pair],
            **{
                name: [_figure(entries.get(key, {}).get(name)) for entries in measured]
                for name in ("metric", "metric_change", "max_abs_diff", "flips")
            },
            "worst_scenario": [_worst(entries.get(key, {})) for entries in measured],
            "p50_ms": [time.get(key) for time in times],
            "operators": _changes(made[0]["operators"], made[1]["operators"]),
            "types": _pairs(made[0]["types"], made[1]["types"]),
            "parts": _pairs(made[0]["parts"], made[1]["parts"]),
        }
    return found


def _state(hashes: list[str | None]) -> str:
    if hashes[0] == hashes[1]:
        return "same"
    return "added" if hashes[0] is None else "removed" if hashes[1] is None else "changed"


def _made_of(bundle: Bundle, file: ExportedFile | None) -> dict[str, dict[str, int]]:
    empty: dict[str, dict[str, int]] = {"operators": {}, "types": {}, "parts": {}}
    if file is None or file.path == "." or not bundle.holds(file):
        return empty
    contents = read_contents(bundle.load(file.path, file.sha256), file.format)
    return {name: dict(getattr(contents, name)) for name in empty} if contents else empty


def _key(file: ExportedFile) -> str:
    return f"{file.format} {file.precision}"


def _name(entry: Mapping[str, Any]) -> str:
    return f"{entry.get('format')} {entry.get('precision')}"


def _worst(entry: Mapping[str, Any]) -> str | None:
    """Return the scenario with the largest difference to Keras."""
    scenarios = entry.get("scenarios")
    diffs = {
        name: value["max_abs_diff"]
        for name, value in (scenarios.items() if isinstance(scenarios, dict) else ())
        if isinstance(value, dict) and is_finite(value.get("max_abs_diff"))
    }
    return max(diffs, key=lambda name: diffs[name]) if diffs else None


def _metrics(one: Any, other: Any) -> dict[str, Any]:
    """Return both values of every metric, and whether their intervals keep apart."""
    found = {}
    pair = [value if isinstance(value, dict) else {} for value in (one, other)]
    for name in dict.fromkeys([*pair[0], *pair[1]]):
        # Older manifests hold plain numbers.
        values = [v if isinstance(v := side.get(name), dict) else {"value": v} for side in pair]
        limits: list[Any] = [value[key] for value in values for key in ("low", "high") if is_finite(value.get(key))]
        clear = (limits[2] > limits[1] or limits[3] < limits[0]) if len(limits) == 4 else None
        found[name] = {
            "value": [_figure(value.get("value")) for value in values],
            "low": [_figure(value.get("low")) for value in values],
            "high": [_figure(value.get("high")) for value in values],
            "intervals_apart": clear,
        }
    return found


def _figure(value: Any) -> Any:
    """Return a number that was measured; `None` for anything else that a report may hold."""
    return value if is_finite(value) else None


def _packages(bundle: Bundle) -> dict[str, Any]:
    found = {}
    for key, prefix in (("packages", ""), ("exported_with", "exported with ")):
        value = bundle.manifest.provenance.get(key)
        found.update({prefix + name: version for name, version in value.items()} if isinstance(value, dict) else {})
    return found


def _only(config: Any, key: str) -> dict[str, Any]:
    return _flat(config.get(key)) if isinstance(config, dict) else {}


def _pairs(one: Any, other: Any) -> dict[str, list[Any]]:
    """Return both values of every key."""
    first, second = (value if isinstance(value, dict) else {} for value in (one, other))
    return {key: [first.get(key), second.get(key)] for key in dict.fromkeys([*first, *second])}


def _changes(one: Mapping[str, Any], other: Mapping[str, Any]) -> dict[str, list[Any]]:
    return {key: pair for key, pair in _pairs(dict(one), dict(other)).items() if pair[0] != pair[1]}


def _flat(value: Any, prefix: str = "") -> dict[str, Any]:
    return dict(_leaves(value, prefix)) if isinstance(value, dict) else {}


def _leaves(value: dict[str, Any], prefix: str) -> Iterator[tuple[str, Any]]:
    for key, item in value.items():
        if isinstance(item, dict) and item:
            yield from _leaves(item, f"{prefix}{key}.")
        else:
            yield prefix + key, item
