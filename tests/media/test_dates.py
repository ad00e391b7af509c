"""Dates in cells: the same on every version of Python."""

from __future__ import annotations

import datetime

import numpy as np
import pytest

from mmkeras.media.dates import moment_of, parse_date


@pytest.mark.parametrize("text", ["1970-01-08", "1970-01-08T00", "1970-01-08 00:00Z", "1970-01-08T02:00:00.000+02:00"])
def test_dates_in_the_forms_of_iso_8601_that_every_python_reads(text: str) -> None:
    assert parse_date(text, "") in (
        datetime.datetime(1970, 1, 8),
        datetime.datetime(1970, 1, 8, tzinfo=datetime.timezone.utc),
    )


@pytest.mark.parametrize(
    "text", ["19700108", "1970-W02-4", "1970-01-08T00:00:00.5", "1970-01-08T00:00:00+0200", "1970-1-8"]
)
def test_other_forms_are_refused_in_training_as_on_a_device_with_an_older_python(text: str) -> None:
    assert parse_date(text, "") is None


def test_a_moment_is_in_utc_and_anything_else_is_none() -> None:
    moment = datetime.datetime(1970, 1, 8)
    east = datetime.timezone(datetime.timedelta(hours=2))
    for cell in (
        moment,
        moment.date(),
        np.datetime64("1970-01-08", "ns"),
        " 1970-01-08",
        moment.replace(hour=2, tzinfo=east),
    ):
        assert moment_of(cell) == moment
    assert moment_of("08.01.1970", "%d.%m.%Y") == moment
    for other in (np.datetime64("NaT"), "soon", 3, None):
        assert moment_of(other) is None
