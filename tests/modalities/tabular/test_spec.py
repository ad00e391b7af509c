"""Rows on the host: what cells may hold, and what becomes of them."""

from __future__ import annotations

import csv
import dataclasses
import datetime
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from mmkeras.core.errors import ConfigError, DataError
from mmkeras.modalities import spec_from_json
from mmkeras.modalities.tabular import resolve
from mmkeras.modalities.tabular.cells import read_cells
from mmkeras.modalities.tabular.spec import FURTHEST, Config
from tests.modalities.tabular.patients import CONFIG, ROWS, spec


def test_numbers_are_standardised_by_the_training_rows_and_missing_ones_flagged() -> None:
    made = spec().preprocess(ROWS[1])
    ages = np.array([63.0, 40.0, 22.0])
    assert made["patient_numbers"][0] == pytest.approx((40 - ages.mean()) / ages.std(), rel=1e-6)
    np.testing.assert_array_equal(made["patient_missing"], [0, 1, 0])
    assert made["patient_numbers"][1] == 0
    assert spec().preprocess({"age": "n/a", "weight kg": "?", "seen": "NULL"})["patient_missing"].tolist() == [1, 1, 1]
    assert {name: value.shape for name, value in made.items()} == {t.name: t.shape for t in spec().tensors}
    assert {name: value.dtype.name for name, value in made.items()} == {t.name: t.dtype for t in spec().tensors}


def test_categories_keep_unknown_and_missing_apart_and_spellings_together() -> None:
    known = spec()
    assert known.known == (("F", "M"), ("3", "12", "Straße 5"))

    def indices(sex: object, ward: object) -> list[int]:
        return known.preprocess({"sex": sex, "ward": ward})["patient_categories"].tolist()

    # Two columns in one table: 0 to 3 for the first, 4 to 8 for the second.
    assert indices("F", 3) == indices("F\u00a0", "3") == indices("F", np.float32(3)) == [2, 6]
    assert indices("X", "x") == [1, 5]
    assert indices(None, " ") == indices(np.nan, np.float32("nan")) == [0, 4]


def test_dates_are_days_and_waves_of_the_year_and_the_week() -> None:
    config = Config(dates=("day",), means={"day": 0.0}, deviations={"day": 1000.0})
    made = config.spec("x").preprocess({"day": "1970-01-08"})["x_numbers"]
    year = 2 * np.pi * 7 / 365.2425
    np.testing.assert_allclose(made, [0.007, np.sin(year), np.cos(year), 0, 1], atol=1e-7)
    same = [
        datetime.date(1970, 1, 8),
        datetime.datetime(1970, 1, 8),
        np.datetime64("1970-01-08"),
        "1970-01-08T00:00:00Z",
    ]
    for cell in (*same, datetime.datetime(1970, 1, 8, 2, tzinfo=datetime.timezone(datetime.timedelta(hours=2)))):
        np.testing.assert_array_equal(config.spec("x").preprocess({"day": cell})["x_numbers"], made)
    german = dataclasses.replace(config, date_format="%d.%m.%Y").spec("x")
    np.testing.assert_array_equal(german.preprocess({"day": "08.01.1970"})["x_numbers"], made)
    assert german.preprocess({"day": np.datetime64("NaT")})["x_missing"] == [1]


def test_far_numbers_are_cut() -> None:
    made = spec().preprocess({"age": 1e300, "weight kg": -1e300})["patient_numbers"]
    assert made[:2].tolist() == [FURTHEST, -FURTHEST]


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ({"aeg": 3}, "no column 'aeg'.*age"),
        ({"age": "old"}, "column 'age': expected a finite number, got 'old'"),
        ({"age": "inf"}, "finite"),
        ({"age": [1, 2]}, "column 'age'"),
        ({"age": np.zeros(1)}, "column 'age'"),
        ({"seen": "31.05.2024"}, "column 'seen': expected a date such as.*date_format"),
        ({"seen": 3}, "column 'seen'"),
        ({"sex": ["F"]}, "column 'sex': expected a category"),
        ('{"age": 3', "expected a row such as"),
        ("[1]", "line of CSV with the cells age, weight kg"),
        (None, "NoneType"),
    ],
)
def test_a_cell_that_cannot_be_read_is_named(row: object, message: str) -> None:
    with pytest.raises(DataError, match=message):
        spec().preprocess(row)


def test_a_row_may_be_json_text_or_a_line_of_csv() -> None:
    for row in ROWS:
        cells = {name: None if cell != cell else cell for name, cell in row.items()}
        for text in (json.dumps(cells), read_cells(spec(), row).line, read_cells(spec(), row).line.encode()):
            for name, value in spec().preprocess(text).items():
                np.testing.assert_array_equal(value, spec().preprocess(row)[name])


def test_statistics_are_those_of_the_training_rows_unless_given() -> None:
    rows = [{"a": 1e9 + i, "b": 7, "c": "x" if i else "y"} for i in range(5)]
    config = Config(numbers=("a", "b"), categories=("c",), means={"b": 1.0})
    learned = resolve(config, rows, Path())
    assert learned.means == {"a": 1e9 + 2, "b": 1.0}
    assert learned.deviations == {"a": pytest.approx(np.sqrt(2), rel=1e-9), "b": 1.0}
    assert learned.known == {"c": ("x",)}  # y stands in one row: too rare to be learned
    assert resolve(dataclasses.replace(config, most_categories=1, rarest=1), rows, Path()).known == {"c": ("x",)}
    assert resolve(config, [], Path()).deviations == {"a": 1.0, "b": 1.0}


def test_scenarios_empty_each_column_in_turn_and_change_categories() -> None:
    rows = [{**ROWS[0], "age": age} for age in range(60)]
    one, unknown = (spec().scenarios()[name] for name in ("one_column_missing", "unknown_categories"))
    lines = [next(csv.reader([one(row)])) for row in rows]
    emptied = [name for cells in lines for name, cell in zip(spec().columns, cells, strict=True) if not cell]
    assert len(emptied) == len(rows)
    assert set(emptied) == set(spec().columns)
    assert spec().preprocess(unknown(ROWS[0]))["patient_categories"].tolist() == [1, 5]
    assert spec().preprocess(unknown(ROWS[3]))["patient_categories"].tolist() == [0, 5]
    assert not Config(numbers=("a",)).spec("x").scenarios()


def test_coverage_counts_unknown_categories_and_cut_numbers() -> None:
    rows = [{"age": 1e6, "sex": "X", "ward": 3}, {"age": 50, "sex": "F"}, None]
    assert spec().coverage(rows) == {"unknown": 1 / 10, "cut": 1 / 10}


def test_a_bundle_keeps_the_spec_and_refuses_one_that_cannot_be(tmp_path: Path) -> None:
    known = spec()
    value = json.loads(json.dumps(known.to_json()))
    assert spec_from_json(value, tmp_path) == known
    mistakes: tuple[dict[str, Any], ...] = (
        {"means": [1.0]},
        {"deviations": [1.0, 0.0, 1.0]},
        {"deviations": [1.0, float("nan"), 1.0]},
        {"known": [["F"]]},
        {"known": "FM"},
        {"known": [[1], ["3"]]},
        {"numbers": ["age", "age"]},
        {"numbers": [], "dates": [], "categories": []},
    )
    for wrong in mistakes:
        with pytest.raises(ConfigError, match="tabular: patient"):
            spec_from_json({**value, **wrong}, tmp_path)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({}, "Name the columns"),
        ({"numbers": ("a",), "dates": ("a",)}, "'a' is given twice"),
        ({"numbers": ("a",), "means": {"b": 1.0}}, "means names 'b'"),
        ({"numbers": ("a",), "mask_rate": 1.0}, "mask_rate"),
        ({"numbers": ("a",), "rarest": 0}, "rarest"),
    ],
)
def test_options_that_cannot_be_are_refused(options: dict[str, object], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        Config(**options).spec("patient")  # type: ignore[arg-type]


def test_probes_can_be_read_and_reach_every_category() -> None:
    seen = {index for row in spec().probes() for index in spec().preprocess(row)["patient_categories"].tolist()}
    assert seen == set(range(9))
    assert dataclasses.replace(CONFIG, dates=("seen",), date_format="%Y").spec("x").probes()


@pytest.mark.parametrize("date_format", ["", "%d.%m.%Y"])
def test_a_row_by_name_gives_the_same_tensors_and_shows_columns_that_were_exchanged(date_format: str) -> None:
    written = "31.05.2024" if date_format else "2024-05-31T06:00:00"
    known = Config(numbers=("age", "weight"), dates=("seen",), categories=("ward",), date_format=date_format).spec("x")
    line = read_cells(known, {"age": 0.1, "weight": None, "seen": written, "ward": "B"}).line
    named = known.by_name(line)
    assert json.loads(named) == {"age": 0.1, "weight": None, "seen": written, "ward": "B"}
    own = known.preprocess(line)
    assert all(np.array_equal(own[name], value) for name, value in known.preprocess(named).items())
    exchanged = dataclasses.replace(known, numbers=("weight", "age"))
    assert all(np.array_equal(own[name], value) for name, value in exchanged.preprocess(line).items())
    assert not np.array_equal(exchanged.preprocess(named)["x_missing"], own["x_missing"])


def test_a_row_that_the_date_format_cannot_write_stays_a_line() -> None:
    known = Config(dates=("seen",), date_format="%d.%m.%Y").spec("x")
    assert known.by_name("2024-05-31T06:00:00") == "2024-05-31T06:00:00"
