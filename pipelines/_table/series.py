"""The options of a column of series: length, features and patches that fit its cells."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from typing import Any

from mmkeras.core.errors import DataError
from mmkeras.media.cells import is_empty
from mmkeras.media.table.files import Folder
from mmkeras.modalities.series.numbers import read_array

__all__ = ["series_options"]

_LOOKED_AT = 200
_LONGEST = 1024
_TOKENS = 24
"""Patches of a window, about."""


def series_options(cells: Sequence[Any], folder: Folder, layers: int) -> dict[str, Any]:
    """Return the options of the modality for a column whose cells are lists, texts of numbers or .npy files.

    Args:
        cells: all of the column; 200 of them, spread over the table, are looked at.
        folder: where the paths of files start.
        layers: of the transformer.
    """
    filled = [cell for cell in cells if not is_empty(cell)]
    files = any(isinstance(cell, str) and cell.strip().lower().endswith(".npy") for cell in filled)
    shapes = []
    for cell in filled[:: max(1, len(filled) // _LOOKED_AT)]:
        try:
            shapes.append(read_array(folder.find(cell)[0] if files else cell).shape)
        except DataError:  # the conversion names it and puts it into quarantine
            continue
    lengths = sorted(shape[0] for shape in shapes) or [1]
    # Of series of different length the longest ones lose their oldest steps.
    length = min(_LONGEST, lengths[round(0.95 * (len(lengths) - 1))])
    features = statistics.mode([shape[1] if len(shape) > 1 else 1 for shape in shapes] or [1])
    options: dict[str, Any] = {"kind": "series", "length": length, "patch": max(1, min(length, -(-length // _TOKENS)))}
    options |= {"features": features} if features > 1 else {}
    options |= {"files": True} if files else {}
    return {**options, "layers": layers, "mask_rate": 0.05}
