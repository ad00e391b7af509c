"""A sweep as nuScenes stores it: a PCD of packed 43-byte records and one byte more.

The devkit parses fields one by one and refuses a file that ends with the last record, so a byte follows it. A sweep
without returns holds one record of NaN.
"""

from __future__ import annotations

import numpy as np

from mmkeras.driving.simulation.radar import Returns

__all__ = ["RECORD", "sweep_file"]

RECORD = np.dtype(
    [
        ("x", "<f4"), ("y", "<f4"), ("z", "<f4"), ("dyn_prop", "i1"), ("id", "<i2"), ("rcs", "<f4"), ("vx", "<f4"),
        ("vy", "<f4"), ("vx_comp", "<f4"), ("vy_comp", "<f4"), ("is_quality_valid", "i1"), ("ambig_state", "i1"),
        ("x_rms", "i1"), ("y_rms", "i1"), ("invalid_state", "i1"), ("pdh0", "i1"), ("vx_rms", "i1"), ("vy_rms", "i1"),
    ]
)  # fmt: skip
"""One return, 43 bytes."""


def sweep_file(returns: Returns) -> bytes:
    """Return the content of a radar ``.pcd`` in the sensor's frame (x forward, y left)."""
    count = len(returns.range)
    records = np.zeros(max(count, 1), RECORD)
    if count:
        c, s = np.cos(returns.azimuth), np.sin(returns.azimuth)
        records["x"], records["y"] = returns.range * c, returns.range * s
        records["id"], records["rcs"] = np.arange(count), np.round(returns.rcs * 2) / 2
        records["vx"], records["vy"] = returns.speed * c, returns.speed * s
        records["vx_comp"], records["vy_comp"] = returns.ground_speed * c, returns.ground_speed * s
        moving = np.abs(returns.ground_speed) > 0.7
        records["dyn_prop"] = np.where(moving, np.where(returns.ground_speed < 0, 2, 0), 1)
        records["is_quality_valid"] = 1
        records["ambig_state"] = 3
        records["invalid_state"] = np.where(returns.valid, 0, 4)
        records["x_rms"] = records["y_rms"] = 19
        records["vx_rms"] = records["vy_rms"] = 16
        records["pdh0"] = 1
    else:
        for name in ("x", "y", "z", "rcs", "vx", "vy", "vx_comp", "vy_comp"):
            records[name] = np.nan
    return _header(len(records)) + records.tobytes() + b"\n"


def _header(points: int) -> bytes:
    names = RECORD.names or ()
    formats = [RECORD[name] for name in names]
    lines = (
        "# .PCD v0.7 - Point Cloud Data file format",
        "VERSION 0.7",
        "FIELDS " + " ".join(names),
        "SIZE " + " ".join(str(of.itemsize) for of in formats),
        "TYPE " + " ".join("F" if of.kind == "f" else "I" for of in formats),
        "COUNT " + " ".join("1" for _ in names),
        f"WIDTH {points}",
        "HEIGHT 1",
        "VIEWPOINT 0 0 0 1 0 0 0",
        f"POINTS {points}",
        "DATA binary",
    )
    return ("\n".join(lines) + "\n").encode()
