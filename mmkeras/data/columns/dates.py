"""How the dates of a column are written."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from mmkeras.media.dates import parse_date

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
        share = _share(texts, date_format)
        if share < most:
            continue
        other = _AMBIGUOUS.get(date_format, "")
        share_of_other = _share(texts, other) if other else 0.0
        if share_of_other > share:
            return DateFormat(other, f"dates such as {texts[0]}, read as {other}")
        unsure = f"; {other} fits as well, so check it" if share_of_other >= most else ""
        return DateFormat(date_format, f"dates such as {texts[0]}, read as {date_format}{unsure}")
    return None


def _share(texts: Sequence[str], date_format: str) -> float:
    return sum(parse_date(text, date_format) is not None for text in texts) / len(texts)
