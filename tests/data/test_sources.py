from __future__ import annotations

import csv
import dataclasses
import json
import os
import shutil
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mmkeras.core.components import Choice, names
from mmkeras.core.config import DataConfig
from mmkeras.core.errors import ConfigError, DataError
from mmkeras.data.fingerprint import fingerprint, shaped_by
from mmkeras.data.sources import easy_vqa, table
from mmkeras.media.table.rows import read_table
from mmkeras.modalities import specs_of
from mmkeras.modalities.image.spec import Config as ImageConfig
from mmkeras.modalities.tabular.spec import Config as TabularConfig
from mmkeras.modalities.text.spec import Config as TextConfig
from mmkeras.tasks.classification.spec import Config as TaskConfig
from tests.data.tables import COLUMNS, write_csv

ROWS: list[dict[str, Any]] = [
    {"file": "a.png", "question": "one\ntwo", "label": "x", "split": "train", "colour": "red"},
    {"file": "/b.png", "question": "", "label": "y", "split": "", "colour": ""},
    {"file": "c.png", "question": "three", "label": "", "split": "test", "colour": "blue"},
    {"file": "d.png", "question": "four", "label": "y", "split": "trian", "colour": "blue"},
]


def source(path: Path, **options: Any) -> table.Source:
    return table.Source(path=str(path), columns=COLUMNS, files=("image",), **options)


def test_line_numbers_are_those_of_an_editor(tmp_path):
    path = tmp_path / "t.csv"
    path.write_text('file,question,label\na.png,"one\ntwo",x\n\nb.png,three,y\nc.png,four\nd.png,five,z\n')
    samples = list(source(path).samples())
    assert [s.origin for s in samples] == ["t.csv:2", "t.csv:5", "t.csv:6", "t.csv:7"]
    assert samples[0].values == {"image": str(tmp_path / "a.png"), "text": "one\ntwo"}
    assert "expected 3 cells, got 2" in str(samples[2].target)


def test_roles_and_bad_rows(tmp_path):
    path = write_csv(tmp_path / "t.csv", ROWS)
    first, empty, no_target, wrong_split = source(path, split="split").samples()
    assert (first.split, first.columns, first.target) == ("train", {"colour": "red"}, "x")
    assert "missing" in str(empty.target)
    assert "target is empty" in str(no_target.target)
    assert "did you mean 'train'" in str(wrong_split.target)
    absent = list(source(path, split="split", missing="absent").samples())[1]
    assert absent.values == {"image": "/b.png", "text": None}
    assert (absent.split, absent.columns) == (None, {"colour": ""})


@pytest.mark.parametrize("suffix", ["csv", "tsv", "jsonl", "parquet"])
def test_every_format_gives_the_same_samples(suffix, tmp_path):
    path = tmp_path / f"t.{suffix}"
    if suffix == "parquet":
        import pyarrow
        import pyarrow.parquet

        pyarrow.parquet.write_table(pyarrow.Table.from_pylist(ROWS), path)
    elif suffix == "jsonl":
        path.write_text("".join(json.dumps(row) + "\n" for row in ROWS), encoding="utf-8")
    else:
        with path.open("w", newline="") as stream:
            writer = csv.DictWriter(stream, list(ROWS[0]), delimiter="\t" if suffix == "tsv" else ",")
            writer.writeheader()
            writer.writerows(ROWS)
    samples = list(source(path, split="split").samples())
    assert [(s.values, s.columns) for s in samples if s.target == "x"] == [
        ({"image": str(tmp_path / "a.png"), "text": "one\ntwo"}, {"colour": "red"})
    ]
    assert len(samples) == 4


def test_numbers_labels_weights_and_keys(tmp_path):
    rows = [
        {"file": "a.png", "question": "q", "label": "x; y", "n": "1.5", "w": "2", "id": "k1"},
        {"file": "a.png", "question": "q", "label": ";", "n": "nan", "w": "", "id": "k2"},
        {"file": "a.png", "question": "q", "label": "x", "n": "1", "w": "much", "id": "k3"},
    ]
    path = write_csv(tmp_path / "t.csv", rows)
    first, second, third = source(path, separator=";", weight="w", key="id").samples()
    assert (first.target, first.weight, first.key) == (["x", "y"], 2.0, "k1")
    assert (second.target, second.weight) == ([], 1.0)
    assert "expected a number, got 'much'" in str(third.target)
    assert [s.target for s in source(path, target="n").samples()] == ["1.5", "nan", "1"]
    assert next(iter(source(path, target=("n", "w")).samples())).target == ["1.5", "2"]


def test_every_wrong_column_is_named_with_the_nearest(tmp_path):
    path = write_csv(tmp_path / "t.csv", ROWS)
    wrong = table.Source(path=str(path), columns={"text": "qestion"}, target="lable", split="splt")
    with pytest.raises(DataError) as caught:
        list(wrong.samples())
    for hint in ("did you mean 'question'", "did you mean 'label'", "did you mean 'split'"):
        assert hint in str(caught.value)


@pytest.mark.parametrize(
    ("name", "content", "word"),
    [
        ("none.csv", None, "no such file"),
        ("t.xlsx", b"", "did you mean|Valid"),
        ("t.csv", b"", "first line is empty"),
        ("t.csv", b"file,question,label\n", "no rows"),
        ("t.csv", b"file,file,question,label\n1,2,3,4\n", "more than once"),
        ("t.csv", b"file,question,l\xffbel\na,b,c\n", "UTF-8"),
        ("t.parquet", b"no parquet", "Parquet"),
    ],
)
def test_tables_that_cannot_be_read(name, content, word, tmp_path):
    if content is not None:
        (tmp_path / name).write_bytes(content)
    with pytest.raises(DataError, match=word):
        list(source(tmp_path / name).samples())


def test_bad_json_lines_are_bad_rows(tmp_path):
    path = tmp_path / "t.jsonl"
    good = json.dumps(ROWS[0] | {"label": "a\u2028b"}, ensure_ascii=False)
    path.write_text(f"{good}\n\n{{broken\n[1]\n", encoding="utf-8")
    first, broken, listed = source(path).samples()
    assert first.target == "a\u2028b"
    assert broken.origin == "t.jsonl:3"
    assert "not valid JSON" in str(broken.target)
    assert "expected a JSON object, got list" in str(listed.target)


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.lists(
        st.tuples(st.text(st.characters(codec="utf-8", exclude_characters="\0"), min_size=1), st.integers()), min_size=1
    )
)
def test_any_text_comes_back_from_csv(tmp_path, cells):
    rows = [{"question": text, "label": str(label)} for text, label in cells]
    path = write_csv(tmp_path / "any.csv", rows)
    read = read_table(path)
    assert [row.cells for row in read.rows] == rows
    lines = path.read_bytes().decode()
    for row in read.rows[1:]:
        before = "\n".join(lines.replace("\r\n", "\n").replace("\r", "\n").split("\n")[: row.line - 1])
        assert before.count('"') % 2 == 0, "the row begins inside a quoted cell"


def test_the_fingerprint_follows_table_and_files(tmp_path):
    path = write_csv(tmp_path / "t.csv", ROWS[:1])
    prints = [source(path).fingerprint_inputs()]
    (tmp_path / "a.png").write_bytes(b"1")
    prints.append(source(path).fingerprint_inputs())
    (tmp_path / "a.png").write_bytes(b"12")
    prints.append(source(path).fingerprint_inputs())
    write_csv(path, ROWS[:2])
    prints.append(source(path).fingerprint_inputs())
    assert len({json.dumps(value) for value in prints}) == 4
    assert source(path).fingerprint_inputs() == prints[-1]


def test_a_dataset_is_the_same_wherever_it_lies(tmp_path):
    first, second = tmp_path / "first", tmp_path / "second"
    first.mkdir()
    path = write_csv(first / "t.csv", ROWS[:1])
    (first / "a.png").write_bytes(b"1")
    shutil.copytree(first, second)

    def identity(path: Path) -> str:
        options = {"path": str(path), "columns": COLUMNS}
        shaped = shaped_by(DataConfig(source=Choice("table", options)), {}, TaskConfig())
        return fingerprint(source(path).fingerprint_inputs(), shaped)

    assert identity(second / "t.csv") == identity(path)
    state = (first / "a.png").stat()
    (second / "a.png").write_bytes(b"2")
    os.utime(second / "a.png", ns=(state.st_atime_ns, state.st_mtime_ns))
    assert identity(second / "t.csv") != identity(path)


def test_names_are_read_as_people_see_them(tmp_path):
    path = tmp_path / "t.jsonl"
    changes: list[dict[str, Any]] = [
        {"question": " q ", "patient": 7, "d\u00e9j\u00e0": "caf\u00e9"},
        {"patient": 7.0, "split": "\u200btrain ", "de\u0301ja\u0300 ": "cafe\u0301 "},
        {"patient": "7\u00a0", "d\u00e9j\u00e0": ""},
        {"patient": [7]},
    ]
    rows = [{"file": "a.png", "question": "q", "label": "x", "split": "train", **change} for change in changes]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    *same, other = source(path, split="split", group=" patient").samples()
    assert [(s.group, s.split) for s in same] == [("7", "train")] * 3
    assert [list(s.columns.values()) for s in same] == [["caf\u00e9"], ["caf\u00e9"], [""]]
    assert same[0].values["text"] == " q "
    assert "expected a name or a number, got [7]" in str(other.target)


def test_files_are_found_under_the_names_of_other_systems(tmp_path):
    (tmp_path / "caf\u00e9").mkdir()
    for name in ("caf\u00e9/a.png", "caf\u00e9/u\u0308.png", "B.PNG"):
        (tmp_path / name).write_bytes(b"1")
    names = ["cafe\u0301/a.png", "caf\u00e9\\\u00fc.png", "caf\u00e9/a.png", "b.png", "C:\\data\\a.png", "gone.png"]
    path = write_csv(tmp_path / "t.csv", [{"file": name, "question": "q", "label": "x"} for name in names])
    first, second, third, case, drive, gone = source(path).samples()
    assert first.values["image"] == third.values["image"] == str(tmp_path / "caf\u00e9/a.png")
    assert second.values["image"] == str(tmp_path / "caf\u00e9/u\u0308.png")
    assert [len(s.remarks) for s in (first, second, third)] == [1, 1, 0]
    assert "there is 'B.PNG', which differs in case" in str(case.target)
    assert "a path of Windows" in str(drive.target)
    assert gone.values["image"] == str(tmp_path / "gone.png")
    before = source(path).fingerprint_inputs()
    (tmp_path / "caf\u00e9/u\u0308.png").write_bytes(b"12")
    assert source(path).fingerprint_inputs() != before


def test_options_are_checked():
    with pytest.raises(ConfigError, match="columns is empty"):
        next(table.Source(path="t.csv", columns={}).samples())


def test_a_modality_may_read_several_cells(tmp_path: Path):
    path = tmp_path / "t.csv"
    path.write_text("age,sex,label,part\n63,F,a,val\n,,b,Dev\n40,,a,TRAIN\n", encoding="utf-8")
    specs = {"patient": TabularConfig(numbers=("age",), categories=("sex",)).spec("patient")}
    source = table.Source(path=str(path), split="part")
    samples = list(source.derived(specs).samples())
    assert [s.values.get("patient") for s in samples] == [{"age": "63", "sex": "F"}, None, {"age": "40", "sex": ""}]
    assert "the columns 'age', 'sex' are all empty" in str(samples[1].target)
    assert samples[0].columns == {}
    absent = list(dataclasses.replace(source, missing="absent").derived(specs).samples())
    assert [s.values["patient"] is None for s in absent] == [False, True, False]
    assert [s.split for s in absent] == ["validation", "validation", "train"]
    with pytest.raises(DataError, match=r"columns.patient\[0\] names the column 'aeg'.*age"):
        next(table.Source(path=str(path), columns={"patient": ("aeg",)}).samples())


def test_easy_vqa_is_complete():
    samples = list(easy_vqa.Source().samples())
    assert [sum(s.split == name for s in samples) for name in ("train", "test")] == [38575, 9673]
    assert len({s.key for s in samples}) == len(samples)
    assert len({s.group for s in samples}) == 5000
    assert {s.columns["question_type"] for s in samples} == {
        "what colour",
        "what shape",
        "is there a colour",
        "is there a shape",
        "is there a colour, negated",
        "is there a shape, negated",
    }
    assert all(Path(s.values["image"]).is_file() for s in samples[::500])


@pytest.mark.parametrize(
    ("text", "columns"),
    [
        ("what is the color of the triangle?", ("what colour", "", "triangle")),
        ("what is the blue shape?", ("what shape", "blue", "")),
        ("what color is the shape?", ("what colour", "", "")),
        ("is no circle present?", ("is there a shape, negated", "", "circle")),
        ("does the image contain a red shape?", ("is there a colour", "red", "")),
    ],
)
def test_easy_vqa_question_types(text, columns):
    assert tuple(easy_vqa.describe_question(text).values()) == columns


def test_private_modules_are_not_sources():
    assert {"easy_vqa", "table"} <= set(names("data.sources"))
    assert not [name for name in names("data.sources") if name.startswith("_")]


def test_cells_of_every_modality_that_reads_files_are_paths():
    specs = specs_of({"left": ImageConfig(), "right": ImageConfig(), "words": TextConfig()}, before_data=True)
    source = table.Source(path="t.csv", columns={"left": "a", "right": "b", "words": "c"})
    assert source.derived(specs).files == ("left", "right")
    assert dataclasses.replace(source, files=("left",)).derived(specs).files == ("left",)
