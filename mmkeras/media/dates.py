"""Dates and times in cells, read alike by training and by a device with an older Python."""

from __future__ import annotations

import datetime
import re
from typing import Any

import numpy as np

from mmkeras.media.cells import tidy

__all__ = ["EPOCH", "moment_of", "parse_date"]

EPOCH = datetime.datetime(1970, 1, 1)
"""The moment from which days are counted, in UTC."""
# What Python 3.10 reads, and Z. Later versions read more; a device with 3.10 would refuse what training has read.
_ISO = re.compile(r"\d{4}-\d\d-\d\d([T ]\d\d(:\d\d(:\d\d(\.\d{3}(\d{3})?)?)?)?([+-]\d\d:\d\d|[Zz])?)?", re.ASCII)


def moment_of(cell: Any, date_format: str = "") -> datetime.datetime | None:
    """Return the moment of a date, a time or a text, in UTC where it has a zone; None for anything else.

    Args:
        cell: a date or time of Python or numpy, or a text.
        date_format: how texts are written, as `datetime.strptime` has it; empty for ISO 8601.
    """
    moment: datetime.datetime | None = None
    # NaT of numpy and pandas differs from itself, as NaN does.
    if isinstance(cell, np.datetime64 | datetime.datetime) and cell != cell:
        return None
    if isinstance(cell, np.datetime64):
        moment = cell.astype("datetime64[us]").item()
    elif isinstance(cell, datetime.datetime):
        moment = cell
    elif isinstance(cell, datetime.date):
        moment = datetime.datetime(cell.year, cell.month, cell.day)
    elif isinstance(cell, str):
        moment = parse_date(tidy(cell), date_format)
    if moment is not None and moment.tzinfo is not None:
        moment = moment.astimezone(datetime.timezone.utc).replace(tzinfo=None)
    return moment


def parse_date(text: str, date_format: str) -> datetime.datetime | None:
    """Return the moment that a text says; None where it says none.

    Args:
        text: without blanks around it.
        date_format: as `datetime.strptime` has it; empty for ISO 8601.
    """
    try:
        if date_format:
            return datetime.datetime.strptime(text, date_format)
        if not _ISO.fullmatch(text):
            return None
        return datetime.datetime.fromisoformat(text[:-1] + "+00:00" if text.endswith(("Z", "z")) else text)
    except (ValueError, OverflowError):
        return None
