"""Key fields of receipts as strings: how they are normalised, and where their words are on the page."""

from __future__ import annotations

import difflib
import re
from collections.abc import Mapping, Sequence

__all__ = ["FIELDS", "amount_of", "date_of", "normalised", "tags_of_fields"]

FIELDS = ("company", "date", "address", "total")
_NUMBER = re.compile(r"\d{1,3}(?:,\d{3})+(?:\.\d{1,2})?|\d+(?:[.,]\d{1,2})?")
_DATE = re.compile(
    r"\d{4}[-/. ]\d{1,2}[-/. ]\d{1,2}|\d{1,2}[-/. ]{0,2}(?:\d{1,2}|[A-Za-z]{3,9})[-/. ,]{0,2}\d{2,4}|\d{8}"
)
_NEAR = 0.82
"""Smallest similarity of words and field (`difflib`): OCR and key differ in single characters."""
_LINES = 6
"""Most lines that a field spans."""


def normalised(field: str, text: str) -> str:
    """Return the form in which two values of a field are compared; empty for a text without one.

    Company and address: letters and digits alone, in capitals. Date: the first date, its letters and digits in
    capitals. Total: the last number, with two decimals.
    """
    if field == "total":
        return amount_of(text)
    return re.sub(r"[^A-Z0-9]", "", (date_of(text) if field == "date" else text).upper())


def date_of(text: str) -> str:
    """Return the first date in a text as it is written; empty without one."""
    found = _DATE.search(text)
    return found[0] if found else ""


def amount_of(text: str) -> str:
    """Return the last number of a text with two decimals, such as ``1234.50``; empty without one."""
    found = _NUMBER.findall(text)
    if not found:
        return ""
    number = found[-1]
    number = number.replace(",", "") if re.search(r",\d{3}(?!\d)", number) else number.replace(",", ".")
    return f"{float(number):.2f}"


def tags_of_fields(words: Sequence[str], lines: Sequence[int], fields: Mapping[str, str]) -> list[str]:
    """Return BIO tags of words in which the values of fields were found; other fields have no tags.

    Company and address are the words of up to six lines that are most similar to the value. Dates are all words that
    hold it. Totals are the equal amounts on lines that name a total, or else all equal amounts.

    Args:
        words: of a receipt in reading order.
        lines: the line of each word, ascending.
        fields: values by field.
    """
    tags = ["O"] * len(words)
    for field in ("address", "company"):
        if span := _most_similar(words, lines, normalised(field, fields.get(field, "")), field):
            _mark(tags, *span, field)
    if date := normalised("date", fields.get("date", "")):
        for start, stop in _spans_with(words, lines, date):
            _mark(tags, start, stop, "date")
    total = normalised("total", fields.get("total", ""))
    equal = [place for place, word in enumerate(words) if total and _is_amount(word) and amount_of(word) == total]
    named = [place for place in equal if _names_total(words, lines, place)]
    for place in named or equal:
        _mark(tags, place, place + 1, "total")
    return tags


def _mark(tags: list[str], start: int, stop: int, field: str) -> None:
    if all(tag == "O" for tag in tags[start:stop]):
        tags[start:stop] = [f"B-{field}", *[f"I-{field}"] * (stop - start - 1)]


def _is_amount(word: str) -> bool:
    return bool(re.fullmatch(r"[^\d]{0,4}(?:\d{1,3}(?:,\d{3})+|\d+)(?:[.,]\d{1,2})[^\d]{0,2}", word))


def _names_total(words: Sequence[str], lines: Sequence[int], place: int) -> bool:
    """Return whether the line of a word, or one of the two before it, names a total."""
    near = " ".join(word for word, line in zip(words, lines, strict=True) if 0 <= lines[place] - line <= 2).upper()
    return "TOTAL" in near and "SUBTOTAL" not in near.replace(" ", "").replace("-", "")


def _most_similar(words: Sequence[str], lines: Sequence[int], value: str, field: str) -> tuple[int, int] | None:
    """Return first and last word (exclusive) of the words that are most similar to a value.

    They begin with a line and may end within one: a registration number often follows a company's name.
    """
    if not value:
        return None
    best, found = _NEAR, None
    for start in range(len(words)):
        if start and lines[start] == lines[start - 1]:
            continue
        last = lines[start] + (2 if field == "company" else _LINES)
        text = ""
        for stop in range(start + 1, len(words) + 1):
            if lines[stop - 1] >= last or len(text) > 1.5 * len(value):
                break
            text += normalised(field, words[stop - 1])
            if len(text) < 0.6 * len(value):
                continue
            similar = 1.0 if text == value else difflib.SequenceMatcher(None, text, value, autojunk=False).ratio()
            if similar > best:
                best, found = similar, (start, stop)
    return found


def _spans_with(words: Sequence[str], lines: Sequence[int], date: str) -> list[tuple[int, int]]:
    """Return the spans of up to four words of a line that hold a date."""
    found: list[tuple[int, int]] = []
    place = 0
    while place < len(words):
        for stop in range(place + 1, min(place + 4, len(words)) + 1):
            if lines[stop - 1] != lines[place]:
                break
            text = re.sub(r"[^A-Z0-9]", "", "".join(words[place:stop]).upper())
            first = re.sub(r"[^A-Z0-9]", "", words[place].upper())
            if first and date in text and (date.startswith(first[:2]) or date in first):
                found.append((place, stop))
                place = stop - 1
                break
        place += 1
    return found
