"""Normalises labels: spellings that look the same become one class, and a note reports them.

Blanks around a label are cut, blanks within it become one, invisible marks are removed, and letters are composed
(`tidy`). A whole number is the same as text, as an integer and as a float; ``1.0`` is ``1`` where both occur. A date is
written as in ISO 8601. Labels that differ only in case are reported, not merged.
"""

from __future__ import annotations

import datetime
import decimal
import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from mmkeras.data.sources import Sample
from mmkeras.media.cells import LARGEST_WHOLE, name_of, tidy

__all__ = ["labels_of", "only_held_out", "tidy_labels"]

MISSING = ("nan", "null", "n/a", "#n/a", "<na>", "nat")
EXAMPLES = 6
_POINT_ZERO = re.compile(r"([+-]?\d+)\.0+")


def tidy_labels(samples: Sequence[Sample], listed: Iterable[str] = ()) -> tuple[list[Sample], list[str]]:
    """Return the samples with normalised labels, and notes on merged or suspicious ones.

    A target that is not a label stays unchanged. A label that equals one of ``listed``, the labels of the task, is
    written as that one.
    """
    counts = Counter(value for sample in samples for value in _values(sample.target))
    names = _names(counts, listed)
    # Texts, whole numbers and booleans are compared by their text.
    changed = {
        value for value, name in names.items() if str(value[1]) != name or not isinstance(value[1], str | bool | int)
    }
    result = [
        replace(sample, target=_renamed(sample.target, names))
        if changed and not changed.isdisjoint(_values(sample.target))
        else sample
        for sample in samples
    ]
    return result, _notes(counts, names)


def labels_of(samples: Iterable[Sample]) -> tuple[str, ...]:
    """Return the labels of samples, sorted; other targets are left to the quarantine."""
    values = (value for sample in samples for _, value in _values(sample.target))
    return tuple(sorted({str(value) for value in values if isinstance(value, str | bool | int) and value != ""}))


def only_held_out(classes: Mapping[str, Mapping[str, int]]) -> list[str]:
    """Return a warning about classes, by split, that occur in validation or test but not in training."""
    train = classes.get("train", {})
    found = {
        label: ", ".join(f"{count} in {split}" for split in classes if (count := classes[split].get(label, 0)))
        for label in sorted({label for counts in classes.values() for label, count in counts.items() if count})
        if not train.get(label)
    }
    if not train or not found:
        return []
    return [
        f"{len(found)} classes have no training sample, so the model cannot learn them: "
        f"{_listing(f'{label!r} ({where})' for label, where in found.items())}. Add rows to the training split, choose "
        "another data.split_seed, or leave these rows out"
    ]


def _values(target: Any) -> list[tuple[type, Any]]:
    """Return the possible labels in a target, with their types: 1, 1.0 and True are equal in Python."""
    several = target if isinstance(target, list | tuple) else (target,)
    kinds = (str, bool, int, float, decimal.Decimal, datetime.date)
    return [(type(value), value) for value in several if isinstance(value, kinds)]


def _names(counts: Mapping[tuple[type, Any], int], listed: Iterable[str]) -> dict[tuple[type, Any], str]:
    """Return the label of each value; values that cannot be labels are left out."""
    own = {tidy(label): label for label in listed}
    own |= {label: label for label in own.values()}
    names = {}
    for kind, value in counts:
        fraction = isinstance(value, float | decimal.Decimal) and not (
            value == value // 1 and abs(float(value)) < LARGEST_WHOLE
        )
        name = None if fraction else name_of(value)
        if name is not None:
            names[kind, value] = own.get(value, name) if isinstance(value, str) else name
    known = {*own, *names.values()}
    for value, name in names.items():
        found = _POINT_ZERO.fullmatch(name)
        short = found[1] if found and name not in own and found[1] in known else name
        names[value] = own.get(short, short)
    return names


def _renamed(target: Any, names: Mapping[tuple[type, Any], str]) -> Any:
    def name(value: Any) -> Any:
        return names.get((type(value), value), value) if _values(value) else value

    return [name(value) for value in target] if isinstance(target, list | tuple) else name(target)


def _notes(counts: Mapping[tuple[type, Any], int], names: Mapping[tuple[type, Any], str]) -> list[str]:
    notes = []
    spellings: dict[str, list[str]] = defaultdict(list)
    rows: Counter[str] = Counter()
    for value, name in names.items():
        rows[name] += counts[value]
        if str(value[1]) != name and value[0] is not float:
            spellings[name].append(f"{value[1]!a} ({counts[value]})")
    if spellings:
        merged = sum(map(len, spellings.values()))
        listing = _listing(f"{name!r} from {', '.join(each[:EXAMPLES])}" for name, each in sorted(spellings.items()))
        notes.append(
            f"{merged} spellings of labels are read as {len(spellings)} (blanks, invisible marks, forms of Unicode, "
            f"1.0 for 1): {listing}"
        )
    folded: dict[str, list[str]] = defaultdict(list)
    for name in sorted(rows):
        folded[name.casefold()].append(name)
    alike = [each for each in folded.values() if len(each) > 1]
    if alike:
        listing = _listing(" and ".join(f"{name!r} ({rows[name]})" for name in each) for each in alike)
        notes.append(
            f"labels that differ in case only are classes of their own: {listing}. Correct them if they are one"
        )
    missing = [name for name in sorted(rows) if name.casefold() in MISSING]
    if missing:
        listing = _listing(f"{name!r} ({rows[name]})" for name in missing)
        notes.append(f"labels that look like missing values are classes: {listing}. Leave such cells empty")
    return notes


def _listing(parts: Iterable[str]) -> str:
    every = list(parts)
    more = f"; and {len(every) - EXAMPLES} more" if len(every) > EXAMPLES else ""
    return "; ".join(every[:EXAMPLES]) + more
