"""How the dates of a column are written."""

from __future__ import annotations

import datetime
import re
from collections.abc import Sequence
from dataclasses import dataclass

__all__ = ["DateFormat", "date_format_of"]

_FORMATS = (
    "%d.%m.%Y", "%d.%m.%Y %H:%M", "%d.%m.%Y %H:%M:%S", "%Y/%m/%d", "%Y/%m/%d %H:%M:%S", "%d/%m/%Y", "%m/%d/%Y",
    "%d/%m/%Y %H:%M", "%m/%d/%Y %H:%M", "%d-%m-%Y", "%m-%d-%Y", "%d %b %Y", "%d-%b-%Y", "%b %d, %Y", "%B %d, %Y",
    "%d %B %Y", "%Y-%m", "%Y%m%d",
)  # fmt: skip
_DATE_NAME = re.compile(r"date|day|datum|time|seen|born|birth|dob|日期|fecha")
_AMBIGUOUS = {"%d/%m/%Y": "%m/%d/%Y", "%d/%m/%Y %H:%M": "%m/%d/%Y %H:%M", "%d-%m-%Y": "%m-%d-%Y"}


@dataclass(frozen=True)
class DateFormat:
    """What was found."""

    date_format: str
    """As `datetime.strptime` has it; empty for ISO 8601."""
    reason: str
    """In words for the user."""


def date_format_of(name: str, texts: Sequence[str], most: float) -> DateFormat | None:
    """Return how dates are written; None where the texts are no dates.

    Args:
        name: of the column; eight digits are a date only where it says so.
        texts: filled cells.
        most: share of them that have to be dates.
    """
    if not texts or not any(letter.isdigit() for letter in texts[0]):
        return None
    if _share(texts, "") >= most:
        return DateFormat("", "dates in ISO 8601")
    for date_format in _FORMATS:
        if date_format == "%Y%m%d" and not _DATE_NAME.search(name.casefold()):
            continue
        if _share(texts, date_format) >= most:
            other = _AMBIGUOUS.get(date_format)
            if other and _share(texts, other) > _share(texts, date_format):
                date_format, other = other, None
            unsure = f"; {other} fits as well, so check it" if other and _share(texts, other) >= most else ""
            return DateFormat(date_format, f"dates such as {texts[0]}, read as {date_format}{unsure}")
    return None


def _share(texts: Sequence[str], date_format: str) -> float:
    return sum(_is_date(text, date_format) for text in texts) / len(texts)


def _is_date(text: str, date_format: str) -> bool:
    try:
        if date_format:
            datetime.datetime.strptime(text, date_format)
        else:
            # Python 3.11 reads eight digits alone as a date, which a number may be too.
            if len(text) < len("2024-05-31"):
                return False
            datetime.datetime.fromisoformat(text[:-1] + "+00:00" if text.endswith(("Z", "z")) else text)
    except ValueError:
        return False
    return True
