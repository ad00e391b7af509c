from __future__ import annotations

import shutil
from pathlib import Path

from mmkeras.data.columns import kind_of_column
from mmkeras.data.columns.leaks import leaks
from mmkeras.data.columns.roles import Role, roles_of
from tests.toys.tables import picture

SPLITS = ["train"] * 10 + ["val"] * 5 + ["test"] * 5


def _leaks(columns: dict[str, list[object]], folder: Path, **given: str) -> str:
    kinds = {name: kind_of_column(name, cells, folder) for name, cells in columns.items()}
    found = roles_of(kinds, columns, ["y"]) | {name: Role(role, "") for name, role in given.items()}
    return "\n".join(leaks(columns, kinds, found, folder))


def _pictures(folder: Path) -> list[object]:
    return [picture(folder / f"{row}.png", "red", row) for row in range(20)]


def test_a_picture_on_both_sides_of_a_split_is_found_by_its_content(tmp_path: Path) -> None:
    columns: dict[str, list[object]] = {"scan": _pictures(tmp_path), "split": [*SPLITS], "y": [*"ab" * 10]}
    assert _leaks(columns, tmp_path) == ""
    shutil.copy(tmp_path / "3.png", tmp_path / "17.png")
    said = _leaks(columns, tmp_path)
    assert (
        "column 'scan': 1 files are in several splits by content, the first in train (row 4) and test (row 18)" in said
    )
    assert "--role 'split'=unused" in said
    shutil.copy(tmp_path / "4.png", tmp_path / "5.png")  # on one side
    assert _leaks(columns, tmp_path) == said
    del columns["split"]  # without a split column they stay together
    assert _leaks(columns, tmp_path) == ""


def test_one_of_several_pictures_of_a_cell_is_found_on_the_other_side(tmp_path: Path) -> None:
    _pictures(tmp_path)
    views = [[f"{row}.png", f"{(row + 1) % 20}.png"] for row in range(0, 20, 2)]
    splits: list[object] = [*["train"] * 6, *["val"] * 2, *["test"] * 2]
    for cells in ([";".join(each) for each in views], views):
        columns: dict[str, list[object]] = {"views": [*cells], "split": splits, "y": [*"ab" * 5]}
        assert _leaks(columns, tmp_path) == ""
        columns["views"] = [*cells[:9], "18.png;2.png" if isinstance(cells[9], str) else ["18.png", "2.png"]]
        assert "'views': 1 files are in several splits by content, the first in train (row 2) and test (row 10)" in (
            _leaks(columns, tmp_path)
        )


def test_a_text_on_both_sides_is_found_where_there_are_no_pictures(tmp_path: Path) -> None:
    texts: list[object] = [f"the patient number {row} has a strong cough" for row in range(20)]
    columns: dict[str, list[object]] = {"note": texts, "split": [*SPLITS], "y": [*"ab" * 10]}
    assert _leaks(columns, tmp_path) == ""
    texts[12] = "The patient  number 2 has a strong cough"
    assert "column 'note': 1 texts are in several splits by content, the first in train (row 3)" in _leaks(
        columns, tmp_path
    )
    assert _leaks({**columns, "scan": _pictures(tmp_path)}, tmp_path) == ""
    del columns["split"]
    assert "column 'note': 2 rows have a text that other rows have, too" in _leaks(columns, tmp_path)
    assert _leaks(columns, tmp_path, note="group") == ""
