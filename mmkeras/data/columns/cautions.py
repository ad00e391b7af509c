"""What to beware of in a table before it is trained on."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import PurePath
from typing import Any

import numpy as np

from mmkeras.data.columns.kinds import Kind, name_or_text
from mmkeras.data.columns.lists import as_number
from mmkeras.data.columns.roles import Role, Target
from mmkeras.media.cells import is_empty
from mmkeras.media.image.formats import EXPECTED, OTHER_ENDINGS

__all__ = ["cautions"]

FEWEST = 10
"""Rows of a class that three splits need: below, one of them may have none."""
_ENOUGH_ROWS = 20


def cautions(
    columns: Mapping[str, Sequence[Any]],
    kinds: Mapping[str, Kind],
    roles: Mapping[str, Role],
    targets: Mapping[str, Target],
) -> list[str]:
    """Return warnings, each with what to do.

    Args:
        columns: cells by column.
        kinds: of every column.
        roles: of every column.
        targets: what each target column asks for.
    """
    found = []
    for name, target in targets.items():
        few = [f"{label!r} ({count})" for label, count in target.counts if count < FEWEST]
        if few:
            shown = ", ".join(few[:5]) + (f" and {len(few) - 5} more" if len(few) > 5 else "")
            found.append(
                f"target {name!r}: {shown} have fewer than {FEWEST} rows: a split may have none of them. Add rows, "
                "merge classes, or leave these rows out"
            )
        empty = sum(map(is_empty, columns[name]))
        if empty:
            found.append(f"target {name!r}: {empty} rows are empty and cannot be used; the conversion lists them")
    for name, role in roles.items():
        if role.name == "input" and (copied := _copied(columns[name], columns, targets)):
            found.append(
                f"column {name!r}: {copied}. If it is not known before the answer is, the model will fail in use: "
                f"leave it out with --ignore {name!r}"
            )
        if role.name == "input" and kinds[name].name == "picture" and (other := _not_read(columns[name])):
            found.append(
                f"column {name!r}: {sum(other.values())} files have endings of formats that are not read "
                f"({', '.join(sorted(other))}); read are {EXPECTED}. Convert them, for example with: "
                "mogrify -format png FILES"
            )
        if kinds[name].name == "constant":
            found.append(f"column {name!r}: {kinds[name].reason}; it is left out")
    holes = {name: sum(map(is_empty, columns[name])) for name, role in roles.items() if role.name == "input"}
    many = [f"{name!r} ({count})" for name, count in holes.items() if count > 0.5 * len(columns[name])]
    if many:
        rows = len(next(iter(columns.values())))
        found.append(f"more than half of {rows} cells are empty in {', '.join(many)}: the model can rarely use them")
    return found


def _not_read(cells: Sequence[Any]) -> Counter[str]:
    """Return how many files of pictures have each ending of a format that is not read."""
    endings = [PurePath(str(cell).strip()).suffix.lower() for cell in cells if not is_empty(cell)]
    return Counter(ending for ending in endings if ending in OTHER_ENDINGS)


def _copied(cells: Sequence[Any], columns: Mapping[str, Sequence[Any]], targets: Mapping[str, Target]) -> str:
    """Return how a column gives a target away; empty where it does not."""
    for name, target in targets.items():
        pairs = [
            (name_or_text(cell), name_or_text(wanted))
            for cell, wanted in zip(cells, columns[name], strict=True)
            if not is_empty(cell) and not is_empty(wanted)
        ]
        if len(pairs) < _ENOUGH_ROWS:
            continue
        if target.task == "regression":
            if _follows(pairs):
                return f"it follows the target {name!r} on a straight line"
            continue
        answers: dict[str, set[str]] = {}
        for cell, wanted in pairs:
            answers.setdefault(cell, set()).add(wanted)
        wanted_ones = {wanted for _, wanted in pairs}
        if all(len(each) == 1 for each in answers.values()) and len(answers) <= len(wanted_ones) + 2:
            return f"each of its {len(answers)} values has one value of the target {name!r}"
    return ""


def _follows(pairs: list[tuple[str, str]]) -> bool:
    numbers = [(as_number(a), as_number(b)) for a, b in pairs]
    whole = np.array([pair for pair in numbers if None not in pair], np.float64)
    if len(whole) < max(_ENOUGH_ROWS, 0.9 * len(pairs)) or not whole.std(axis=0).all():
        return False
    return abs(float(np.corrcoef(whole[:, 0], whole[:, 1]).item(1))) > 0.99999
