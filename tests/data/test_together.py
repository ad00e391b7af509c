from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest

from mmkeras.core.config import DataConfig
from mmkeras.core.console import Console
from mmkeras.core.errors import DataError
from mmkeras.data import convert
from mmkeras.data.plan import make_plan
from mmkeras.data.read import read_samples
from mmkeras.data.sources import Sample
from mmkeras.data.together import contents_of, grouped, on_both_sides
from mmkeras.tasks.classification.spec import Config as TaskConfig
from tests.data.tables import modality_configs, table_config, write_csv, write_images


def rows(*names: str, **fields: str) -> list[Sample]:
    return [Sample(f"k{n}", {"image": name, "text": "same"}, "a", **fields) for n, name in enumerate(names)]  # type: ignore[arg-type]


@pytest.fixture
def files(tmp_path):
    """Three of equal content, two that differ in one byte between the compared pieces, one of another size."""
    long = bytes(40_000)
    contents = {"a": long, "b": long, "c": long, "d": long[:5000] + b"1" + long[5001:], "e": b"12", "f": b""}
    for name, content in contents.items():
        (tmp_path / name).write_bytes(content)
    return tmp_path


def test_equal_contents_have_one_name(files):
    samples = rows(*(str(files / name) for name in "abcdef"), str(files / "gone"), f"{files / 'a'}#3")
    names = contents_of(samples, ["image"])
    assert names[0] == names[1] == names[2] == names[7] != ()
    assert len({names[0], names[3], names[4]}) == 3
    assert names[5] == names[6] == ()
    assert len(set(contents_of(samples, ["image"], "path"))) == 6
    parts = [Sample("k", {"image": content}, "a") for content in (b"1", b"1", b"2", b"", None)]
    first, second, third, *nothing = contents_of(parts, ["image"])
    assert first == second != third
    assert nothing == [(), ()]


def test_a_group_is_the_first_row_of_those_that_share_a_file(files):
    samples = rows(*(str(files / name) for name in "abedb"))
    together, notes = grouped(samples, contents_of(samples, ["image"]))
    assert [s.group for s in together] == ["k0", "k0", None, None, "k0"]
    assert "3 of 5 rows share a file with other rows: they form 1 groups, the largest of 3 rows" in notes[0]
    # Later rows change nothing, also where they hold two files and join groups that are alone.
    more = [*samples, *rows(str(files / "a"))]
    assert [s.group for s in grouped(more, contents_of(more, ["image"]))[0][:5]] == [s.group for s in together]
    assert [s.group for s in grouped(rows("x", "y", "z"), [("1",), ("2",), ("1", "2")])[0]] == ["k0"] * 3
    named = rows("x", "y", group="own")
    assert grouped(named, [("1",), ("1",)]) == (named, [])


def test_what_stands_on_both_sides_is_counted():
    samples = [Sample(f"k{n}", {}, "a", origin=f"t.csv:{n}") for n in range(5)]
    (note,) = on_both_sides(samples, [("1",), ("1",), ("2",), ("2",), ()], ["train", "test", "test", "test", "train"])
    assert "1 files (2 rows) are in several splits by path or content: 1 in test and train" in note
    assert "train (t.csv:0), test (t.csv:1)" in note
    assert on_both_sides(samples, [("1",)] * 5, ["train"] * 5) == []


def table(folder: Path, **column: list[str]) -> Path:
    """Write 120 rows on 24 pictures, of which each second one is a copy of the one before under another name."""
    names = write_images(folder, 24)
    for n in range(1, 24, 2):
        (folder / names[n]).write_bytes((folder / names[n - 1]).read_bytes())
    values = [{"file": names[n % 24], "question": f"word{n % 5}", "label": "ab"[n % 2]} for n in range(120)]
    for name, cells in column.items():
        values = [value | {name: cells[n % len(cells)]} for n, value in enumerate(values)]
    return write_csv(folder / "t.csv", values)


def pictures_on_both_sides(index: object) -> int:
    sides: dict[object, set[str]] = {}
    for split in index.splits:  # type: ignore[attr-defined]
        for record in read_samples(index, split):  # type: ignore[arg-type]
            sides.setdefault(bytes(record.values["image"]), set()).add(split)  # type: ignore[arg-type]
    assert len(sides) == 12
    return sum(len(side) > 1 for side in sides.values())


def test_a_table_without_a_group_has_no_picture_on_both_sides(tmp_path):
    path, modalities = table(tmp_path), modality_configs(tmp_path)
    console = Console(record=True, width=400)
    index = convert(table_config(path, tmp_path / "out"), modalities, TaskConfig(), console)
    assert pictures_on_both_sides(index) == 0
    assert {name: split.samples > 0 for name, split in index.splits.items()} == dict.fromkeys(index.splits, True)
    assert "120 of 120 rows share a file with other rows: they form 12 groups" in console.export_text()
    apart = convert(table_config(path, tmp_path / "out", keep_together="none"), modalities, TaskConfig())
    torn = pictures_on_both_sides(apart)
    assert torn > 6
    assert f"{torn} files ({10 * torn} rows) are in several splits" in apart.notes[0]
    by_path = convert(table_config(path, tmp_path / "out", keep_together="path"), modalities, TaskConfig())
    assert 0 < pictures_on_both_sides(by_path) < torn
    console = Console(record=True, width=400)
    assert convert(table_config(path, tmp_path / "out"), modalities, TaskConfig(), console) == index
    assert "they form 12 groups" in console.export_text()


def test_splits_of_the_dataset_stay_and_what_they_tear_apart_is_counted(tmp_path):
    path = table(tmp_path, side=["train", "test", "validation"])
    index = convert(table_config(path, tmp_path / "out", {"split": "side"}), modality_configs(tmp_path), TaskConfig())
    assert {name: split.samples for name, split in index.splits.items()} == dict.fromkeys(index.splits, 40)
    assert any("12 files (120 rows) are in several splits" in note for note in index.notes)


def test_required_groups_are_those_of_the_dataset(files):
    samples = rows(str(files / "a"), str(files / "b"))
    with pytest.raises(DataError, match="split_by_group"):
        make_plan(samples, DataConfig(split_by_group=True), ["image"])
    sides = Counter(split for _, split, shard in make_plan(samples, DataConfig(), ["image"]).shards for _ in shard)
    assert len(sides) == 1
