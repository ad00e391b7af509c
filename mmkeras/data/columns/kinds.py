"""The kind of a column, from its cells and its name, with the reason in words."""

from __future__ import annotations

import datetime
import re
import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from mmkeras.data.columns.dates import date_format_of
from mmkeras.data.columns.lists import as_number, listed
from mmkeras.data.sources._files import files_in, head_of
from mmkeras.media.cells import is_empty, name_of, stands_for_nothing, tidy
from mmkeras.media.clips.film import FILM_ENDINGS
from mmkeras.media.image.formats import ENDINGS, OTHER_ENDINGS, format_of
from mmkeras.media.table.files import BETWEEN, Folder

__all__ = ["KINDS", "SUFFIXES", "Kind", "kind_of_column", "name_or_text"]

KINDS = {
    "picture": "a file of a picture",
    "pictures": "several files of pictures",
    "dicom": "a DICOM file",
    "text": "words to be read",
    "number": "a number",
    "category": "one of several names",
    "yes_no": "one of two answers",
    "date": "a date or a time",
    "series": "a list of numbers, or a .npy file",
    "clip": "a video file, or a folder of pictures in the order of time",
    "identifier": "a name of the row",
    "constant": "the same in every row",
    "empty": "nothing",
}
"""Kinds of columns, and what a cell holds."""

SUFFIXES = {
    # Those that are not read too: as a text, the names of the files would be learned.
    "picture": (*ENDINGS, *OTHER_ENDINGS),
    "dicom": (".dcm", ".dicom"),
    "series": (".npy",),
    "clip": FILM_ENDINGS,
}
"""Endings of the names of files, by kind."""
_PAIRS = [{"yes", "no"}, {"y", "n"}, {"true", "false"}, {"t", "f"}, {"0", "1"}, {"ja", "nein"}, {"oui", "non"}]
_PAIRS += [{"si", "no"}, {"sí", "no"}, {"是", "否"}, {"positive", "negative"}, {"present", "absent"}]
_LOOKED_AT = 2000
_FILES_LOOKED_AT = 30
_HEAD = 16
"""Bytes that name the format of a picture."""
_MOST = 0.95
"""Share of the filled cells that have to be of a kind; the others are reported as what they are."""
_IDENTIFIER = re.compile(
    r"(^|[\s_.-])(id|uuid|guid|uid|key|accession|hash)$|^unnamed: 0$|"
    r"(patient|subject|user|study|series|instance|person)u?id$"
)
_COUNTER = re.compile(r"(^|[\s_.-])(index|row|nr|no|number|filename)$")
# "Pclass" is how the passengers' class is called in a table that everybody knows.
_CODE = re.compile(
    r"(^|p|[\s_.-])(code|type|class|grade|zip|zipcode|postcode|plz|stage|level|cluster|kind|icd|district|ward)\d*$"
)
_ADDRESS = re.compile(r"(https?://|www\.|10\.\d{4,}/)\S+$")
_HEX = re.compile(r"[0-9a-f]{8,}(-[0-9a-f]{4,}){0,4}", re.IGNORECASE)


@dataclass(frozen=True)
class Kind:
    """What a column holds."""

    name: str
    """One of `KINDS`."""
    reason: str
    """Why, in words for the user."""
    date_format: str = ""
    """How its dates are written; empty for ISO 8601."""
    lost: bool = False
    """Whether its cells name files, and none of those looked at exists."""


def kind_of_column(name: str, cells: Sequence[Any], folder: Path) -> Kind:
    """Return the kind of a column.

    Args:
        name: of the column; it decides only where the cells leave it open.
        cells: all of the column; 2,000 of them, spread over the table, are looked at.
        folder: relative paths start here.
    """
    filled = [cell for cell in _spread(cells, _LOOKED_AT) if not is_empty(cell)]
    if not filled:
        return Kind("empty", "no cell holds anything")
    if series := listed(filled, SUFFIXES["picture"], _MOST):
        return Kind(*series)
    if found := _files(filled, folder):
        return found
    texts = [_text(cell) for cell in filled if not stands_for_nothing(cell)]
    distinct = set(texts)
    if len(distinct) <= 1:
        same = f"every filled cell is {texts[0]!r:.40}" if texts else "every cell stands for nothing"
        return Kind("constant", same)
    if {text.casefold() for text in distinct} in _PAIRS:
        return Kind("yes_no", f"all cells are {' or '.join(sorted(distinct))}")
    if date := _dates(name, filled):
        return date
    numbers = [number for text in texts if (number := as_number(text)) is not None]
    if len(numbers) >= _MOST * len(texts):
        return _numbers(name, texts, numbers, len(cells))
    return _words(name, texts, len(cells))


def name_or_text(cell: Any) -> str:
    """Return what a filled cell says: its name, the same for 1, 1.0 and "1"; of another type its text."""
    return name_of(cell) or str(cell)


def _spread(cells: Sequence[Any], most: int) -> list[Any]:
    return list(cells[:: max(1, -(-len(cells) // most))])


def _text(cell: Any) -> str:
    return tidy(cell) if isinstance(cell, str) else str(cell)


def _files(filled: list[Any], folder: Path) -> Kind | None:
    """Return the kind of cells that name files."""
    texts = [cell.strip() for cell in filled if isinstance(cell, str)]
    if len(texts) < _MOST * len(filled):
        return None
    for kind, suffixes in SUFFIXES.items():
        named = [text for text in texts if text.lower().split("#")[0].endswith(suffixes)]
        if len(named) < _MOST * len(texts):
            continue
        separator = next((mark for mark in BETWEEN if sum(mark in text for text in named) > 0.5 * len(named)), "")
        looked_at = _spread(named, _FILES_LOOKED_AT)
        parts = [part.strip() for text in looked_at for part in (text.split(separator) if separator else [text])]
        place = Folder(folder)
        found = sum(map(place.holds, parts))
        if separator and kind == "picture":
            said = f"cells name several pictures; {found} of {len(parts)} files exist"
            return Kind("pictures", said, lost=found == 0)
        reason = f"cells end in {_suffix(named)}; {found} of the {len(parts)} files looked at exist"
        return Kind(kind, reason, lost=found == 0)
    return _by_content(texts, Folder(folder))


def _by_content(texts: Sequence[str], place: Folder) -> Kind | None:
    """Return the kind of cells that name pictures without the ending of their format, or folders of pictures."""
    looked_at = _spread(texts, _FILES_LOOKED_AT)
    # Most columns are no files: their first cell ends the search.
    if not place.holds(looked_at[0]):
        return None
    files = [Path(place.find(text)[0]) for text in looked_at if place.holds(text)]
    clips = sum(any(each.suffix.lower() in ENDINGS for each in files_in(path)) for path in files if path.is_dir())
    if clips >= _MOST * len(looked_at):
        return Kind("clip", f"{clips} of the {len(looked_at)} folders looked at hold pictures")
    pictures = sum(bool(format_of(head_of(path, _HEAD))) for path in files)
    if pictures < _MOST * len(looked_at):
        return None
    return Kind("picture", f"{pictures} of the {len(looked_at)} files looked at begin as pictures do")


def _suffix(names: list[str]) -> str:
    suffixes = [Path(name.split("#")[0]).suffix.lower() for name in names]
    return max(sorted(set(suffixes)), key=suffixes.count)


def _dates(name: str, filled: list[Any]) -> Kind | None:
    there = [cell for cell in filled if not stands_for_nothing(cell)]
    if all(isinstance(cell, datetime.date | np.datetime64) for cell in there):
        return Kind("date", "cells are dates")
    texts = [tidy(cell) for cell in there if isinstance(cell, str)]
    if len(texts) < _MOST * len(there):
        return None
    found = date_format_of(name, texts, _MOST)
    return None if found is None else Kind("date", found.reason, found.date_format)


def _numbers(name: str, texts: list[str], numbers: list[float], rows: int) -> Kind:
    distinct, lower = len(set(numbers)), tidy(name).casefold()
    whole = all(number == int(number) for number in numbers)
    other = f"; {len(texts) - len(numbers)} others are not" if len(numbers) < len(texts) else ""
    alone = whole and distinct == len(numbers) > 5
    in_order = alone and sorted(numbers) in (numbers, numbers[::-1])
    if in_order or (alone and _COUNTER.search(lower)):
        return Kind("identifier", "whole numbers, another one in each row" + (", in order" if in_order else ""))
    if whole and _IDENTIFIER.search(lower):
        return Kind("identifier", f"{distinct} whole numbers that the name {name!r} calls identifiers")
    if whole and _CODE.search(lower) and distinct <= max(50, 0.05 * rows):
        return Kind("category", f"{distinct} whole numbers that the name {name!r} calls codes")
    return Kind("number", f"{'whole ' if whole else ''}numbers from {min(numbers):g} to {max(numbers):g}{other}")


def _words(name: str, texts: list[str], rows: int) -> Kind:
    distinct = len(set(texts))
    words = statistics.median(len(text.split()) for text in texts)
    alone = distinct >= 0.98 * len(texts) and len(texts) > 5
    if sum(bool(_ADDRESS.match(text)) for text in texts) >= _MOST * len(texts):
        return Kind("identifier", "web addresses or DOIs")
    lower = tidy(name).casefold()
    if alone and words <= 1 and (_COUNTER.search(lower) or _looks_made(texts)):
        return Kind("identifier", "one word, another one in each row")
    if words <= 1 and _IDENTIFIER.search(lower) and distinct > 20:
        return Kind("identifier", f"{distinct} words that the name {name!r} calls identifiers")
    if distinct <= 20 and distinct <= 0.5 * len(texts):
        return Kind("category", f"{distinct} different values")
    if words >= 4:
        return Kind("text", f"{words:.0f} words in the middle")
    if distinct <= min(1000, 0.3 * len(texts)):
        return Kind("category", f"{distinct} different values in {rows} rows")
    return Kind("text", f"{distinct} different values of about {words:.0f} words: too many for names")


def _looks_made(texts: list[str]) -> bool:
    """Return whether words look made by a program: hexadecimal, or letters and digits of one length."""
    hexadecimal = sum(bool(_HEX.fullmatch(text)) for text in texts)
    digits = sum(any(letter.isdigit() for letter in text) for text in texts)
    return hexadecimal >= _MOST * len(texts) or (digits >= _MOST * len(texts) and len({len(t) for t in texts}) <= 3)
