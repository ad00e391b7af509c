"""``stream.json``: what a replay showed. Its schema is ``mmkeras/schemas/stream.schema.json``."""

from __future__ import annotations

import dataclasses
import os
import platform
from importlib import metadata
from pathlib import Path
from typing import Any

from mmkeras import __version__
from mmkeras.driving.stream.injection import Injection
from mmkeras.driving.stream.replay import Recording
from mmkeras.driving.stream.stream import SensorStream
from mmkeras.runtime.predictor import Predictor

__all__ = ["SCHEMA_VERSION", "machine", "report"]

SCHEMA_VERSION = 1
_PACKAGES = ("numpy", "pillow", "ai-edge-litert", "onnxruntime")


def report(
    stream: SensorStream,
    predictor: Predictor,
    recording: Recording,
    injection: Injection,
    *,
    drive: str,
    rate: float,
) -> dict[str, Any]:
    """Return the report, ready for JSON but for ``outputs``.

    Args:
        stream: after the replay.
        predictor: what ran.
        recording: what was played.
        injection: what went wrong.
        drive: the directory, as the user named it.
        rate: speed of the replay; 0 for as fast as possible.
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
        "settings": {f"{k}_us" if k not in ("queue", "sweeps") else k: v for k, v in _settings(stream).items()},
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
        "machine": machine(),
    }


def machine() -> dict[str, Any]:
    """Return what the figures were measured on."""
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


def _settings(stream: SensorStream) -> dict[str, int]:
    return dataclasses.asdict(stream.settings)


def _cpu() -> str:
    info = Path("/proc/cpuinfo")
    if info.exists():
        for line in info.read_text(encoding="utf-8", errors="replace").splitlines():
            if line.lower().startswith(("model name", "hardware")):
                return line.partition(":")[2].strip()
    return platform.processor() or "unknown"
