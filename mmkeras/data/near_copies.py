"""Finds pictures that show the same photo at another size or in another format.

Equal files are found by `mmkeras.data.together`; a photo that was saved twice differs in every byte. Two pictures are
near copies if small versions of them correlate, which neither brightness nor contrast changes. The limit is that of
GTSRB: most photos that two of its archives hold at different sizes correlate by more, and hardly any two photos of
different tracks.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterator, Sequence
from pathlib import Path

import numpy as np

from mmkeras.core.errors import DataError

__all__ = ["near_copies"]

SIDE = 32
"""Height and width of the small versions."""
ALIKE = 0.98
"""Correlation above which two pictures are near copies."""
_FLAT = 1.0
"""Standard deviation in levels below which a picture shows too little to be compared."""
_ROWS = 2048


def near_copies(files: Sequence[Path], classes: Sequence[Hashable], groups: Sequence[str]) -> list[tuple[int, int]]:
    """Return the pairs of pictures of different groups that are near copies, in order.

    Args:
        files: the pictures; unreadable ones are left out, the conversion reports them.
        classes: only pictures of the same class are compared, as the time grows with their number squared.
        groups: pictures of one group are not compared.
    """
    numbers = {group: number for number, group in enumerate(dict.fromkeys(groups))}
    places: dict[Hashable, list[int]] = {}
    for place, name in enumerate(classes):
        places.setdefault(name, []).append(place)
    pairs = []
    for members in places.values():
        of_group = np.array([numbers[groups[place]] for place in members])
        small = np.stack([_small(files[place]) for place in members])
        for first, second in _pairs(small, of_group):
            pairs.append((members[first], members[second]))
    return sorted(pairs)


def _pairs(small: np.ndarray, of_group: np.ndarray) -> Iterator[tuple[int, int]]:
    for start in range(0, len(small), _ROWS):
        alike = small[start : start + _ROWS] @ small[start:].T > ALIKE
        alike &= of_group[start : start + _ROWS, None] != of_group[start:]
        for row, column in np.argwhere(np.triu(alike)):
            yield int(start + row), int(start + column)


def _small(file: Path) -> np.ndarray:
    """Return a small version of mean 0 and norm 1, float32 (side * side * 3); zeros of a flat or unreadable picture."""
    from mmkeras.media.image.pixels import read_rgb

    try:
        image = read_rgb(file)
    except DataError:
        return np.zeros(SIDE * SIDE * 3, np.float32)
    values = np.asarray(image.resize((SIDE, SIDE), 2), np.float32).ravel()  # 2 is Pillow's bilinear, antialiased
    values = values - values.mean()
    spread = float(values.std())
    return values / np.linalg.norm(values) if spread > _FLAT else np.zeros_like(values)
