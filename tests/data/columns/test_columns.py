"""Kinds, roles, targets and warnings of columns."""

from __future__ import annotations

from pathlib import Path

import pytest

from mmkeras.core.errors import DataError
from mmkeras.data.columns import kind_of_column
from mmkeras.data.columns.cautions import cautions
from mmkeras.data.columns.roles import Target, roles_of, target_of
from tests.data.columns.layouts import LAYOUTS, Layout, score
from tests.media.image.pictures import file, picture


@pytest.mark.parametrize("layout", LAYOUTS, ids=lambda layout: layout.name)
def test_columns_of_a_table_are_taken_for_what_they_are(layout: Layout) -> None:
    found = {name: (expected, got) for name, expected, got in score(layout)}
    assert {name: got for name, (_, got) in found.items()} == {name: expected for name, (expected, _) in found.items()}


def test_how_dates_are_written_is_found_and_doubt_is_said(tmp_path: Path) -> None:
    clear = kind_of_column("on", ["31/05/2024", "01/02/2023"], tmp_path)
    assert (clear.name, clear.date_format, "fits as well" in clear.reason) == ("date", "%d/%m/%Y", False)
    american = kind_of_column("on", ["05/31/2024", "01/02/2023"], tmp_path)
    assert american.date_format == "%m/%d/%Y"
    assert "%m/%d/%Y fits as well" in kind_of_column("on", ["01/02/2023", "03/04/2023"], tmp_path).reason
    assert kind_of_column("value", ["20240531", "20240601"], tmp_path).name == "number"


def test_what_real_tables_have_beside_their_features_is_left_out(tmp_path: Path) -> None:
    (tmp_path / "a.png").touch()
    columns: dict[str, list[object]] = {
        "url": [f"https://example.org/{row % 9}" for row in range(40)],
        "doi": [f"10.1016/j.x.{row % 9}" for row in range(40)],
        "count": ["2.85", *[""] * 39],
        "split": [*["train"] * 40],
        "lost": [f"{row}.png" for row in range(40)],
        "found": [*["a.png"] * 20, *["./a.png"] * 20],
        "y": [*["a", "b"] * 20],
    }
    kinds = {name: kind_of_column(name, cells, tmp_path) for name, cells in columns.items()}
    roles = roles_of(kinds, columns, ["y"])
    assert {name: role.name for name, role in roles.items()} == {
        **dict.fromkeys(("url", "doi", "count", "split", "lost"), "unused"),
        "found": "input",
        "y": "target",
    }
    assert "those of 'found' do" in roles["lost"].reason


def test_files_are_looked_for_as_the_conversion_does(tmp_path: Path) -> None:
    (tmp_path / "caf\u00e9.png").touch()
    found = kind_of_column("scan", ["cafe\u0301.png", "pics\\..\\caf\u00e9.png", "x" * 300 + ".png"], tmp_path)
    assert (found.name, found.reason) == ("picture", "cells end in .png; 1 of the 3 files looked at exist")


def test_an_empty_column_is_no_weight(tmp_path: Path) -> None:
    columns: dict[str, list[object]] = {"weight": ["", ""], "y": ["a", "b"]}
    kinds = {name: kind_of_column(name, cells, tmp_path) for name, cells in columns.items()}
    assert roles_of(kinds, columns, ["y"])["weight"].name == "unused"


@pytest.mark.parametrize(
    ("cells", "message"),
    [
        (["", None], "empty in every row"),
        (["a"] * 30, "'a' in every row: there is nothing to learn"),
        ([f"text {row}" for row in range(60)], "60 different texts"),
    ],
)
def test_a_target_that_cannot_be_learned_is_refused(cells: list[object], message: str) -> None:
    with pytest.raises(DataError, match=message):
        target_of("y", cells)


def test_a_target_that_the_table_does_not_have_is_named(tmp_path: Path) -> None:
    columns = {"answer": ["a", "b"]}
    kinds = {name: kind_of_column(name, cells, tmp_path) for name, cells in columns.items()}
    with pytest.raises(DataError, match=r"no column 'anwser'.*answer"):
        roles_of(kinds, columns, ["anwser"])


def _cautions(columns: dict[str, list[object]], target: str, tmp_path: Path) -> str:
    kinds = {name: kind_of_column(name, cells, tmp_path) for name, cells in columns.items()}
    targets: dict[str, Target] = {target: target_of(target, columns[target])}
    return "\n".join(cautions(columns, kinds, roles_of(kinds, columns, [target]), targets))


def test_a_column_that_gives_the_target_away_is_warned_of(tmp_path: Path) -> None:
    answers = ["cat" if row % 3 else "dog" for row in range(60)]
    codes = ["C1" if answer == "cat" else "D7" for answer in answers]
    sizes = [str(row % 7 + 0.5) for row in range(60)]
    said = _cautions({"code": [*codes], "size": [*sizes], "y": [*answers]}, "y", tmp_path)
    assert "column 'code': each of its 2 values has one value of the target 'y'" in said
    assert "'size'" not in said
    nets = [row * 37 % 60 + 0.25 for row in range(60)]
    said = _cautions({"net": [*nets], "price": [1.5 * net + 7 for net in nets]}, "price", tmp_path)
    assert "column 'net': it follows the target 'price' on a straight line" in said


def test_pictures_without_an_ending_are_known_by_their_first_bytes(tmp_path: Path) -> None:
    for row in range(40):
        (tmp_path / f"{row}").write_bytes(file(picture(8, 8, row), ("PNG", "WEBP", "TIFF", "PPM")[row % 4]))
        (tmp_path / f"t{row}").write_bytes(b"a text")
    found = kind_of_column("scan", [str(row) for row in range(40)], tmp_path)
    assert (found.name, found.reason) == ("picture", "20 of the 20 files looked at begin as pictures do")
    assert kind_of_column("scan", [f"t{row}" for row in range(40)], tmp_path).name != "picture"
    assert kind_of_column("scan", [str(row) for row in range(60)], tmp_path).name != "picture"


def test_few_rows_constants_and_other_pictures_are_warned_of(tmp_path: Path) -> None:
    answers = ["a"] * 50 + ["b"] * 47 + ["c"] * 3
    pictures = [f"{row}.{'heic' if row < 7 else 'webp'}" for row in range(100)]
    columns = {
        "scan": pictures,
        "always": ["x"] * 100,
        "holes": [""] * 60 + ["1.5", "2.5"] * 20,
        "y": answers,
    }
    said = _cautions({name: [*cells] for name, cells in columns.items()}, "y", tmp_path)
    assert "'c' (3) have fewer than 10 rows" in said
    assert "column 'always'" in said
    assert "column 'scan': 7 files have endings of formats that are not read (.heic); read are JPEG, PNG, WebP" in said
    assert "more than half of 100 cells are empty in 'holes' (60)" in said
