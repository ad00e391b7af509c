"""The static int8 LiteRT file of an export beside the float32 one: metric, size and latency."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from mmkeras.bundle import Bundle
from mmkeras.core.console import Console
from mmkeras.runtime.benchmark import benchmark

__all__ = ["compare_int8"]

_RUNS = 100


def compare_int8(folder: Path, console: Console) -> dict[str, Any]:
    """Return ``int8`` of metrics.json, or {} with a line that says why it cannot be measured.

    Each file is timed in a process of its own with one thread, on the bundle's golden samples.

    Args:
        folder: the bundle.
        console: shows the comparison.
    """
    files = {
        file["precision"]: file
        for file in json.loads((folder / "export.json").read_text("utf-8"))["files"]
        if file["format"] == "tflite" and file["accepted"] and file["metric_change"] is not None
    }
    if missing := [precision for precision in ("float32", "int8") if precision not in files]:
        said = f"int8 is not compared with float32: the export has no accepted LiteRT file of {', '.join(missing)}."
        console.print(said, style="yellow", highlight=False)
        return {}
    with Bundle.open(folder) as bundle:
        timed = [file for file in bundle.files if file.format == "tflite" and file.precision in ("float32", "int8")]
        latency = {each.precision: each.p50_ms for each in benchmark(bundle, timed, runs=_RUNS, threads=1)}
    found = {
        "metric_drop": -files["int8"]["metric_change"],
        "size_ratio": files["float32"]["bytes"] / files["int8"]["bytes"],
        "latency_ratio": latency["float32"] / latency["int8"],
        "float32_ms": latency["float32"],
        "int8_ms": latency["int8"],
    }
    console.print(
        f"int8 against float32: metric {-100 * found['metric_drop']:+.2f} points, {found['size_ratio']:.2f} times "
        f"smaller, {found['latency_ratio']:.2f} times faster ({found['float32_ms']:.1f} ms, {found['int8_ms']:.1f} ms)",
        highlight=False,
    )
    return {"int8": found}
