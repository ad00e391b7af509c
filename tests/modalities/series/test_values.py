"""What a series may look like, and what of it is read."""

from __future__ import annotations

import dataclasses
import datetime
import json
from pathlib import Path

import numpy as np
import pytest

from mmkeras.core.errors import DataError
from mmkeras.modalities.series.spec import Config
from mmkeras.modalities.series.values import read_series, write_npy
from tests.modalities.series.waves import CONFIG, PAIR

DAILY = dataclasses.replace(CONFIG, length=5, interval=1.0)


def _steps(value: object, config: Config = CONFIG) -> list[float]:
    return read_series(config, value).steps[:, 0].tolist()


@pytest.mark.parametrize(
    "value",
    [
        [1, 2.5, None],
        (1, 2.5, "NA"),
        np.array([1, 2.5, np.nan], np.float32),
        np.array([[1], [2.5], [np.nan]]),
        "[1, 2.5, null]",
        "[1. 2.5 nan]",
        "1, 2.5;NaN",
        b"1 2.5 ?",
        '{"values": [1, 2.5, null]}',
        {"values": [1, 2.5, None]},
        write_npy(np.array([[1], [2.5], [np.nan]])),
    ],
    ids=str,
)
def test_every_form_of_a_list_is_read(value: object) -> None:
    np.testing.assert_array_equal(_steps(value), [np.nan] * 9 + [1, 2.5, np.nan])


def test_a_file_is_read_from_its_path_and_names_itself_in_errors(tmp_path: Path) -> None:
    path = tmp_path / "wave.npy"
    np.save(path, np.arange(12, dtype=np.int16))
    assert _steps(path) == _steps(str(path)) == list(range(12))
    path.write_bytes(path.read_bytes()[:-3])
    with pytest.raises(DataError, match=r"wave\.npy: expected a \.npy file with numbers: .*24 bytes"):
        _steps(path)
    np.save(path, np.array(["up", "down"], dtype=object), allow_pickle=True)
    with pytest.raises(DataError, match="pickled"):
        _steps(path)
    with pytest.raises(DataError, match=r"other\.npy: no such file.*files = true"):
        _steps(str(tmp_path / "other.npy"))


def test_a_long_series_keeps_its_newest_steps_and_a_short_one_ends_at_the_last() -> None:
    long = read_series(CONFIG, list(range(20)))
    assert (long.steps[:, 0].tolist(), long.cut) == (list(range(8, 20)), 8)
    short = read_series(CONFIG, [5, 6])
    assert (np.isnan(short.steps[:-2]).all(), short.steps[-2:, 0].tolist(), short.cut) == (True, [5, 6], 0)


@pytest.mark.parametrize(
    ("value", "message"),
    [
        (["up", "down"], "step 1: expected a number, got 'up'"),
        ("rise fall rise", "step 1: expected a number, got 'rise'"),
        ([1, 2, [3]], "step|count"),
        ([1, float("inf")], "step 2: expected a finite number"),
        ([], "no step"),
        ("", "no step"),
        ([None, None], "at least one number, got 2 missing steps"),
        ([1] + [None] * 12, "no number in the last 12 steps"),
        (7, "expected a list of numbers, got int"),
        (None, "NoneType"),
        ([[1, 2], [3, 4]], r"expected numbers, got the shape \(2, 2\).*features"),
        ("[1, 2", "expected a list of numbers such as"),
        ('{"values": 1', "expected a JSON object"),
        ({"value": [1]}, "no column 'value'.*'values'"),
        (np.array(["2024-01-01"], "datetime64[D]"), "array of datetime64"),
    ],
    ids=str,
)
def test_anything_else_is_named(value: object, message: str) -> None:
    with pytest.raises(DataError, match=message):
        read_series(CONFIG, value)


def test_columns_are_features_or_steps() -> None:
    features = Config(length=3, parts=("low", "high"))
    assert features.features == 2
    cells = {"low": [1, 2, 3], "high": "4 5 6"}
    for value in (cells, json.dumps(cells)):
        np.testing.assert_array_equal(read_series(features, value).steps, [[1, 4], [2, 5], [3, 6]])
    empty = read_series(features, {"low": [1, 2, 3], "high": ""}).steps
    np.testing.assert_array_equal(np.isnan(empty), [[False, True]] * 3)
    with pytest.raises(DataError, match="one length in all columns, got 'low' 2, 'high' 3"):
        read_series(features, {"low": [1, 2], "high": [4, 5, 6]})
    with pytest.raises(DataError, match="column 'high': step 1: expected a number, got 'x'"):
        read_series(features, {"low": [1, 2], "high": ["x", 5]})
    steps = Config(parts=("t0", "t1", "t2"), parts_are="steps")
    assert steps.length == 3
    np.testing.assert_array_equal(_steps({"t0": "1", "t1": None, "t2": 3.0}, steps), [1, np.nan, 3])


def test_times_put_steps_on_a_grid_whose_gaps_are_missing() -> None:
    days = ["2024-03-01", "2024-03-02", "2024-03-05"]
    expected = [1, 2, np.nan, np.nan, 3]
    dated = [datetime.date.fromisoformat(day) for day in days]
    for times in (days, dated, np.array(days, "datetime64[ns]"), [10.0, 11.2, 14.1], ["10", "11", "14"]):
        np.testing.assert_array_equal(_steps({"values": [1, 2, 3], "times": times}, DAILY), expected)
    old = read_series(DAILY, {"values": [9, 1, 2], "times": [0, 10, 10.1]})
    assert (old.steps[-1, 0], old.cut, old.merged) == (2.0, 1, 1)
    columns = dataclasses.replace(DAILY, parts=("price",), times="day")
    assert columns.columns == ("price", "day")
    np.testing.assert_array_equal(_steps({"price": [1, 2, 3], "day": days}, columns), expected)


@pytest.mark.parametrize(
    ("times", "message"),
    [
        (
            ["2024-03-02", "2024-03-01", "2024-03-05"],
            "step 2: its time 2024-03-01 is before that of the step before it",
        ),
        ([1, 2], "a time for each of the 3 steps, got 2"),
        ([1, 2, None], "step 3: expected a time"),
        ([1, 2, "later"], "step 3: expected a time.*'later'"),
        (5, "expected a list of times, got int"),
    ],
    ids=str,
)
def test_times_that_cannot_be_are_named(times: object, message: str) -> None:
    with pytest.raises(DataError, match=message):
        read_series(DAILY, {"values": [1, 2, 3], "times": times})
    with pytest.raises(DataError, match="no interval"):
        read_series(CONFIG, {"values": [1, 2, 3], "times": [1, 2, 3]})


def test_steps_of_several_features() -> None:
    text = "[[1, null], [2, 3]]"
    np.testing.assert_array_equal(read_series(PAIR, text).steps[-2:], [[1, np.nan], [2, 3]])
    with pytest.raises(DataError, match="steps of 2 numbers each"):
        read_series(PAIR, [1, 2])
