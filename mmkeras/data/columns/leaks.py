"""Finds what stands on both sides of a split before a table is trained on: the same picture, the same text."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from mmkeras.data.columns.kinds import Kind
from mmkeras.data.columns.roles import Role
from mmkeras.data.sources._contract import Sample, split_called
from mmkeras.data.together import contents_of
from mmkeras.media.cells import is_empty, tidy
from mmkeras.media.table.files import Folder

__all__ = ["leaks"]

_FILES = ("picture", "pictures", "dicom", "clip")


def leaks(
    columns: Mapping[str, Sequence[Any]], kinds: Mapping[str, Kind], roles: Mapping[str, Role], folder: Path
) -> list[str]:
    """Return a warning for each column whose values are in several splits, with what to do.

    Pictures are compared by content. Texts are compared in tables without pictures: where there are pictures, questions
    and captions repeat, and that is no leak.

    Args:
        columns: cells by column.
        kinds: of every column.
        roles: of every column.
        folder: where relative paths start.
    """
    own = {role.name: name for name, role in roles.items()}
    splits = [split_called(str(cell)) for cell in columns[own["split"]]] if "split" in own else None
    files = [name for name, role in roles.items() if role.name == "input" and kinds[name].name in _FILES]
    texts = [name for name, role in roles.items() if role.name == "input" and kinds[name].name == "text"]
    found = []
    for name in files:
        if splits and (said := _torn(_contents(columns[name], folder), splits, "files")):
            found.append(
                f"column {name!r}: {said}: the scores will be too good. Correct the column {own['split']!r}, or leave "
                f"it out with --role {own['split']!r}=unused: rows with the same picture then stay together"
            )
    for name in () if files else texts:
        same = [() if is_empty(cell) else (tidy(str(cell)).casefold(),) for cell in columns[name]]
        if splits and (said := _torn(same, splits, "texts")):
            found.append(
                f"column {name!r}: {said}: the scores will be too good. Correct the column "
                f"{own['split']!r}, or name a column whose equal values stay in one split: --role COLUMN=group"
            )
        elif not splits and "group" not in own and (count := _repeated(same)):
            found.append(
                f"column {name!r}: {count} rows have a text that other rows have, too; a split by chance puts some of "
                "them on both sides. Name a column whose equal values stay in one split: --role COLUMN=group"
            )
    return found


def _contents(cells: Sequence[Any], folder: Path) -> list[tuple[str, ...]]:
    """Return names for the contents of the files of each cell; none where there is no file."""
    place = Folder(folder)
    files = [[place.find(name)[0] for name in _named(cell, place) if place.holds(name)] for cell in cells]
    return contents_of([Sample(str(row), {"file": each}, None) for row, each in enumerate(files)], ["file"])


def _named(cell: Any, place: Folder) -> list[str]:
    if isinstance(cell, str):
        return place.several(cell) or [cell]
    return [each for each in cell if isinstance(each, str)] if isinstance(cell, list | tuple | np.ndarray) else []


def _torn(values: Sequence[tuple[str, ...]], splits: Sequence[str | None], what: str) -> str:
    """Return how many values are in several splits, and where the first of them is; empty without one."""
    places: dict[str, dict[str, int]] = defaultdict(dict)
    for row, (names, split) in enumerate(zip(values, splits, strict=True)):
        if split is not None:
            for name in names:
                places[name].setdefault(split, row + 1)
    torn = [each for each in places.values() if len(each) > 1]
    if not torn:
        return ""
    first = " and ".join(f"{split} (row {row})" for split, row in torn[0].items())
    return f"{len(torn)} {what} are in several splits by content, the first in {first}"


def _repeated(values: Sequence[tuple[str, ...]]) -> int:
    counts = Counter(name for names in values for name in names)
    return sum(count for count in counts.values() if count > 1)
