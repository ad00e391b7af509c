"""Radar clouds: PCD files of any writer, of nuScenes, and of a user in the camera's frame."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from mmkeras.media.points.pcd import read_pcd, write_pcd
from mmkeras.media.points.radar_cloud import POINT_FIELDS, read_nuscenes_radar
from mmkeras.modalities.radar.spec import Spec
from tests.fuzz.reader import Reader
from tests.fuzz.readers.drives import simulated

__all__ = ["READERS"]

_SPEC = Spec("radar", max_points=16)
_HEAD = "# .PCD v0.7 - Point Cloud Data file format\nVERSION 0.7\nFIELDS x y z _ id\nSIZE 4 4 8 1 2\nTYPE F F F U I\n"


def _write_clouds(folder: Path) -> None:
    points = np.random.default_rng(0).normal(10, 3, (12, 8)).astype(np.float32)
    (folder / "binary.pcd").write_bytes(write_pcd(points, POINT_FIELDS))
    head = f"{_HEAD}COUNT 1 1 1 3 1\nWIDTH 3\nHEIGHT 2\nVIEWPOINT 0 0 0 1 0 0 0\nPOINTS 6\n"
    rows = "".join(f"{row}.5 -2 nan 1 2 3 {-row}\n" for row in range(6))
    (folder / "ascii.pcd").write_text(f"{head}DATA ascii\n{rows}")
    # Uncompressed runs alone, and one repetition: 6 points of 21 bytes.
    data = bytes([31, *range(32), 31, *range(32), 0, 7, 0xE0, 45, 0, 0, 5])
    unpacked = 32 + 32 + 1 + 7 + 45 + 2 + 1
    data += bytes([126 - unpacked - 1, *range(126 - unpacked)])
    sizes = len(data).to_bytes(4, "little") + (126).to_bytes(4, "little")
    (folder / "compressed.pcd").write_bytes(f"{head}DATA binary_compressed\n".encode() + sizes + data)


def _write_points(folder: Path) -> None:
    points = np.random.default_rng(1).normal(10, 3, (12, 8)).astype(np.float32)
    (folder / "points.pcd").write_bytes(write_pcd(points, POINT_FIELDS))


def _write_nuscenes(folder: Path) -> None:
    for path in sorted((simulated() / "samples" / "RADAR_FRONT").glob("*.pcd")):
        (folder / path.name).write_bytes(path.read_bytes())


READERS = (
    Reader("pcd", _write_clouds, read_pcd, share=4),
    Reader("radar_points", _write_points, lambda path: _SPEC.preprocess(str(path)), share=2),
    Reader("radar_nuscenes", _write_nuscenes, read_nuscenes_radar, share=2),
)
