"""The scenes of nuScenes' official splits, as nuscenes-devkit 1.2.0 lists them (``utils/splits.py``)."""

from __future__ import annotations

import functools

__all__ = ["official_split"]

VAL = (
    "3 12-18 35-36 38-39 92-110 221 268-278 329-332 344-346 519-524 552-565 625-627 629-630 632-638 770-771 775 "
    "777-778 780-784 794-800 802 904-917 919-931 962-963 966-969 971-972 1059-1073"
)
MINI_VAL = "103 916"


def official_split(version: str, scene: str) -> str | None:
    """Return ``train``, ``val`` or ``test``, or ``None`` where the version or the scene is not nuScenes'.

    >>> official_split("v1.0-trainval", "scene-0003"), official_split("v1.0-mini", "scene-0061")
    ('val', 'train')
    """
    if version not in ("v1.0-mini", "v1.0-trainval", "v1.0-test") or not scene.startswith("scene-"):
        return None
    if version == "v1.0-test":
        return "test"
    return "val" if scene in _scenes(MINI_VAL if version == "v1.0-mini" else VAL) else "train"


@functools.cache
def _scenes(ranges: str) -> frozenset[str]:
    numbers: set[int] = set()
    for part in ranges.split():
        first, _, last = part.partition("-")
        numbers.update(range(int(first), int(last or first) + 1))
    return frozenset(f"scene-{number:04d}" for number in numbers)
