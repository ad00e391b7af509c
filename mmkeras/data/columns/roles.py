"""The part that each column plays in a training: target, split, group, weight, key, input, or none."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from mmkeras.core.errors import DataError, nearest
from mmkeras.data.columns.kinds import Kind, name_or_text
from mmkeras.data.columns.lists import as_number
from mmkeras.data.sources._contract import split_called
from mmkeras.media.cells import is_empty, tidy

__all__ = ["Role", "Target", "roles_of", "target_of"]

_WEIGHT_NAME = re.compile(r"^(sample[_ ]?)?weights?$")
_GROUP_NAME = re.compile(
    r"^(patient|subject|participant|person|user|customer|client|scene|video|source|source_video|recording|session|case|track|"
    r"speaker|author|family|household|group|study|document|store|site)([_ ]?(id|no|nr|number|name))?$"
)
_MOST_CLASSES = 1000
_NAMES = ("identifier", "category", "number", "text")
_INPUTS = ("picture", "dicom", "text", "number", "category", "yes_no", "date", "series", "clip", "pictures")


@dataclass(frozen=True)
class Role:
    """What a column is used for."""

    name: str
    """``target``, ``split``, ``group``, ``weight``, ``key``, ``input`` or ``unused``."""
    reason: str
    """Why, in words for the user."""


@dataclass(frozen=True)
class Target:
    """What is to be predicted."""

    task: str
    """``classification``, ``multilabel`` or ``regression``."""
    reason: str
    """Why, in words for the user."""
    separator: str = ""
    """What stands between several labels in a cell."""
    counts: tuple[tuple[str, int], ...] = ()
    """Rows of each class or label, the most frequent first."""


def target_of(name: str, cells: Sequence[Any]) -> Target:
    """Return what a target column asks for.

    Raises:
        DataError: no cell is filled, one class alone, or texts that are all different.
    """
    filled = [cell for cell in cells if not is_empty(cell)]
    if not filled:
        raise DataError(f"the target {name!r} is empty in every row")
    if all(isinstance(cell, list | tuple) for cell in filled):
        counts = Counter(str(label) for cell in filled for label in cell)
        return Target("multilabel", f"lists of {len(counts)} labels", "", _ranked(counts))
    texts = [name_or_text(cell) for cell in filled]
    counts = Counter(texts)
    numbers = [as_number(text) for text in texts]
    if all(number is not None for number in numbers):
        whole = all(number == int(number) for number in numbers if number is not None)
        if not whole or (len(counts) > 20 and len(counts) > 0.02 * len(texts)):
            return Target("regression", f"{len(counts)} different numbers")
    elif separator := _separator(texts):
        labels = Counter(label for text in texts for part in text.split(separator) if (label := tidy(part)))
        return Target("multilabel", f"{len(labels)} labels with {separator!r} between them", separator, _ranked(labels))
    if len(counts) == 1:
        raise DataError(f"the target {name!r} is {texts[0]!r} in every row: there is nothing to learn")
    if len(counts) > _MOST_CLASSES or (len(counts) > 20 and len(counts) > 0.5 * len(texts)):
        raise DataError(
            f"the target {name!r} has {len(counts)} different texts in {len(texts)} rows; expected classes that "
            "repeat, several labels with ; between them, or numbers"
        )
    return Target("classification", f"{len(counts)} classes", "", _ranked(counts))


def roles_of(kinds: Mapping[str, Kind], columns: Mapping[str, Sequence[Any]], target: Sequence[str]) -> dict[str, Role]:
    """Return the part of every column.

    Args:
        kinds: of every column.
        columns: cells by column.
        target: columns to predict.

    Raises:
        DataError: the table has no such target.
    """
    for name in target:
        if name not in columns:
            raise DataError(f"the table has no column {name!r} to predict; {nearest(name, columns)}")
    found: dict[str, Role] = {name: Role("target", "you named it") for name in target}
    if group := _group({name: cells for name, cells in columns.items() if name not in found}, kinds):
        found[group[0]] = Role("group", group[1])
    there = [name for name, kind in kinds.items() if kind.name == "picture" and not kind.lost]
    for name, cells in columns.items():
        if name not in found and kinds[name].lost and there:
            found[name] = Role("unused", f"{kinds[name].reason}; those of {there[0]!r} do")
        elif name not in found:
            found[name] = _role(name, kinds[name], cells, {role.name for role in found.values()})
    return {name: found[name] for name in columns}


def _group(columns: Mapping[str, Sequence[Any]], kinds: Mapping[str, Kind]) -> tuple[str, str] | None:
    """Return the column that groups rows, of several the one with the fewest groups, and the reason."""
    found = []
    for name, cells in columns.items():
        texts = [name_or_text(cell) for cell in cells if not is_empty(cell)]
        groups = len(set(texts))
        several = groups > 10 or (groups > 1 and kinds[name].name == "identifier")
        if several and groups < len(texts) and kinds[name].name in _NAMES and _GROUP_NAME.search(tidy(name).casefold()):
            found.append((groups, name, f"{groups} in {len(texts)} rows: the rows of one stay in one split"))
    return min(found)[1:] if found else None


def _role(name: str, kind: Kind, cells: Sequence[Any], taken: set[str]) -> Role:
    lower = tidy(name).casefold()
    texts = [name_or_text(cell) for cell in cells if not is_empty(cell)]
    distinct = set(texts)
    splits = {split_called(text) for text in distinct}
    if "split" not in taken and len(splits) > 1 and None not in splits:
        return Role("split", f"its cells are {', '.join(sorted(distinct))}")
    if "weight" not in taken and _WEIGHT_NAME.search(lower) and texts and all(map(_is_weight, texts)):
        return Role("weight", "its name, and numbers that are not negative")
    if kind.name == "identifier":
        if "key" not in taken and len(distinct) == len(cells):
            return Role("key", f"{kind.reason}: it names the row, and says nothing about others")
        return Role("unused", f"{kind.reason}: an identifier says nothing about other rows")
    if kind.name in _INPUTS:
        return Role("input", kind.reason)
    return Role("unused", kind.reason)


def _is_weight(text: str) -> bool:
    number = as_number(text)
    return number is not None and number >= 0


def _separator(texts: list[str]) -> str:
    """Return what stands between labels that repeat; empty where cells are single labels."""
    for mark in ";|,":
        parts = [[tidy(part) for part in text.split(mark)] for text in texts]
        several = sum(len(each) > 1 for each in parts)
        labels = {label for each in parts for label in each}
        short = all(len(label.split()) <= 4 for label in labels)
        if several >= 0.1 * len(texts) and short and len(labels) <= 0.5 * sum(map(len, parts)):
            return mark
    return ""


def _ranked(counts: Counter[str]) -> tuple[tuple[str, int], ...]:
    return tuple(sorted(counts.items(), key=lambda item: (-item[1], item[0])))
