"""``stream.json``: the report of a replay. Its schema is ``mmkeras/schemas/stream.schema.json``."""

from __future__ import annotations

import dataclasses
import os
import platform
from collections.abc import Mapping
from importlib import metadata
from pathlib import Path
from typing import Any

from mmkeras import __version__
from mmkeras.driving.stream.injection import Injection
from mmkeras.driving.stream.replay import Recording
from mmkeras.driving.stream.stream import SensorStream
from mmkeras.runtime.grid import Grid
from mmkeras.runtime.predictor import Predictor

__all__ = ["SCHEMA_VERSION", "report", "stream_tables", "summary"]

SCHEMA_VERSION = 1
_PACKAGES = ("numpy", "pillow", "ai-edge-litert", "onnxruntime")


def report(
    stream: SensorStream, predictor: Predictor, recording: Recording, injection: Injection, *, drive: str, rate: float
) -> dict[str, Any]:
    """Return the content of ``stream.json`` after a replay, without ``outputs``.

    ``drive`` is the directory as the user named it; ``rate`` the speed of the replay, 0 for as fast as possible.
    """
    bundle, file = predictor.bundle, predictor.file
    return {
        "schema_version": SCHEMA_VERSION,
        "bundle": {
            "name": bundle.manifest.name,
            "version": bundle.manifest.version,
            "path": file.path,
            "format": file.format,
            "precision": file.precision,
            "engine": predictor.runner.engine,
            "threads": predictor.runner.threads,
            "device": predictor.runner.device,
        },
        "drive": {
            "folder": drive,
            "scene": recording.scene,
            "camera": recording.camera,
            "radars": list(recording.radars),
            "frames": len(recording.frames),
            "sweeps": len(recording.sweeps),
            "seconds": round((recording.end - recording.start) / 1e6, 3),
        },
        "rate": rate,
        "settings": {
            name if name in ("queue", "sweeps") else f"{name}_us": value
            for name, value in dataclasses.asdict(stream.settings).items()
        },
        **stream.statistics.to_json(),
        **stream.counters(recording.end),
        "faults": [
            {
                "fault": fault.text,
                "begin_s": fault.begin / 1e6,
                "end_s": None if fault.end is None else fault.end / 1e6,
                "messages": injection.applied[fault.text],
            }
            for fault in injection.faults
        ],
        "machine": _machine(),
    }


def _machine() -> dict[str, Any]:
    packages = {"mmkeras": __version__}
    for name in _PACKAGES:
        try:
            packages[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return {
        "system": platform.system(),
        "architecture": platform.machine(),
        "cpu": _cpu(),
        "cores": os.cpu_count() or 1,
        "python": platform.python_version(),
        "packages": packages,
    }


def _cpu() -> str:
    info = Path("/proc/cpuinfo")
    if info.exists():
        for line in info.read_text(encoding="utf-8", errors="replace").splitlines():
            if line.lower().startswith(("model name", "hardware")):
                return line.partition(":")[2].strip()
    return platform.processor() or "unknown"


def stream_tables(report: Mapping[str, Any]) -> list[Grid]:
    """Return the counts of answers, the latency by stage and the sensors of a report as tables."""
    columns = ("frames", "of them ticks", "answered", "dropped", "blind", "after the deadline")
    answers = Grid("Answers", columns, right=columns)
    answers.add(*(str(report[key]) for key in ("frames", "ticks", "answered", "dropped", "blind", "deadline_missed")))
    figures = ("p50", "p99", "mean", "max")
    latency = Grid("Latency in ms", ("stage", *figures), right=figures)
    for stage, values in report["latency_ms"].items():
        latency.add(stage, *(f"{values[name]:.2f}" for name in figures))
    right = ("received", "absent", "late")
    sensors = Grid("Sensors", ("sensor", "received", "not used", "absent", "late"), right=right)
    for name, sensor in report["sensors"].items():
        counts = sensor["counts"]
        other = ", ".join(f"{count} {key}" for key, count in counts.items() if count and key != "received")
        seconds = [f"{sum(end - begin for begin, end in sensor[state]):.1f} s" for state in ("absent", "late")]
        sensors.add(name, str(counts.get("received", 0)), other, *seconds)
    return [answers, latency, sensors]


def summary(report: Mapping[str, Any]) -> list[str]:
    """Return the numbers that the tables leave out, in sentences."""
    kinds = ", ".join(f"{count} {kind}" for kind, count in report["kinds"].items() if count)
    lines = [f"answers: {kinds or 'none'}; jumps of the sensors' clock: {report['clock_jumps']}"]
    share = report["share_beyond_interpreter"]
    if share is not None:
        lines.append(f"{100 * share:.1f} % of an answer's work is outside the interpreter's call (median)")
    return lines
