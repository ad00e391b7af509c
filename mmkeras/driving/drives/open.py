"""Opens a recorded drive in any of the known formats."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from mmkeras.core.errors import DataError
from mmkeras.driving.drives import astyx, comma2k19
from mmkeras.driving.drives.nuscenes import NuScenes
from mmkeras.driving.drives.snapshot import Snapshot

__all__ = ["drive_format", "open_drive"]

DEPTH = 2
"""Levels of folders that are searched for a drive."""


def drive_format(folder: str | Path) -> str:
    """Return ``nuscenes``, ``astyx``, ``comma2k19`` or ``""`` for any other directory."""
    folder = Path(folder)
    if any(folder.glob("v*/sample.json")):
        return "nuscenes"
    if astyx.is_astyx(folder):
        return "astyx"
    return "comma2k19" if comma2k19.is_comma2k19(folder) else ""


def open_drive(folder: str | Path) -> Iterator[Snapshot]:
    """Yield the pictures of a drive with their radar points and boxes, in the order of the dataset.

    Args:
        folder: a nuScenes directory, an Astyx HiRes 2019 directory or a segment of comma2k19, or a folder that contains
            one of them at most two levels down. Of nuScenes, CAM_FRONT is read.

    Raises:
        DataError: none of these formats, several drives to choose from, or unusable files.
    """
    found = _find(Path(folder))
    kind = drive_format(found)
    if kind == "astyx":
        return astyx.snapshots(found)
    if kind == "comma2k19":
        return comma2k19.snapshots(found)
    return _nuscenes(NuScenes(found))


def _find(folder: Path) -> Path:
    found: list[Path] = []
    level = [folder]
    for _ in range(DEPTH + 1):
        found += [path for path in level if drive_format(path)]
        level = [child for path in level if path.is_dir() and path not in found for child in path.iterdir()]
    if len(found) > 1:
        raise DataError(f"{folder}: several drives, name one of them: {', '.join(map(str, sorted(found)[:8]))}")
    if found:
        return found[0]
    if not folder.is_dir():
        raise DataError(f"{folder}: no such directory")
    raise DataError(
        f"{folder}: no drive found. Expected a nuScenes directory (v1.0-*/sample.json), Astyx HiRes 2019 (calibration, "
        "groundtruth_obj3d) or a segment of comma2k19 (preview.png, radar/value)"
    )


def _nuscenes(drive: NuScenes) -> Iterator[Snapshot]:
    for scene in drive.scenes:
        for token in drive.samples(scene):
            frame = drive.frame(token)
            yield Snapshot(
                name=token,
                path=frame.path,
                intrinsic=frame.intrinsic,
                camera=frame.camera,
                points=drive.recipe(frame, allow_empty=True).points(),
                boxes=tuple(drive.boxes(token)),
            )
