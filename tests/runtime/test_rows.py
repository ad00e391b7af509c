"""Rows of a table as raw values, and predictions for them."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from mmkeras import Predictor
from mmkeras.bundle import Bundle
from mmkeras.core.errors import ConfigError, DataError
from mmkeras.modalities import ModalitySpec
from mmkeras.modalities.tabular.spec import Spec as TabularSpec
from mmkeras.runtime import predict_table
from mmkeras.runtime.cli import main
from mmkeras.runtime.rows import Reader
from tests.runtime.conftest import IMAGE, QUESTIONS, TEXT

HEADER = ["photo", "question", "place"]
SPECS: dict[str, ModalitySpec] = {"image": IMAGE, "text": TEXT}
COLUMNS = {"image": "photo", "text": "question"}


def test_a_modality_of_several_columns_gets_their_cells_and_empty_cells_are_missing():
    row = TabularSpec("row", ("age", "size"), (), (), (0.0, 0.0), (1.0, 1.0), ())
    reader = Reader({**SPECS, "row": row}, COLUMNS)
    assert reader.names == ("photo", "question", "age", "size")
    values = reader.row({"question": "is it red?", " age ": np.float32(4.0), "size": None, "other": 1})
    assert values == {"image": None, "text": "is it red?", "row": {"age": 4.0, "size": None}}
    assert reader.row({"question": "", "photo": "a.png", "age": float("nan")})["row"] is None


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ({"photo": "a.png", "qestion": "what?"}, "no column 'question', but 'qestion'"),
        ({"place": "here"}, "none of the columns 'photo', 'question'; got 'place'"),
        ("a.png", "expected cells by column"),
    ],
)
def test_a_row_that_is_probably_a_mistake_is_refused(row: Any, message: str):
    with pytest.raises(DataError, match=message):
        Reader(SPECS, COLUMNS).row(row)


def test_every_form_of_the_same_rows_has_the_same_answers(bundle: Bundle, images: list[Path]):
    rows = [{"photo": str(path), "question": text} for path, text in zip(images, QUESTIONS, strict=True)]
    forms = [images[0].read_bytes(), Image.open(images[0]), np.asarray(Image.open(images[0]))]
    with Predictor(bundle) as predictor:
        expected = [predictor.predict(image=row["photo"], text=row["question"] or None) for row in rows]
        assert predictor.predict(rows) == expected
        assert predictor.predict(rows[0]) == expected[0]
        assert predictor.predict([{"photo": each, "question": QUESTIONS[0]} for each in forms]) == [expected[0]] * 3
        table = pd.DataFrame(rows, index=[7, 5, 3, 1]).replace("", pd.NA)
        answers = predictor.predict(table)
        assert list(answers.index) == [7, 5, 3, 1]
        assert answers.to_dict("records") == expected
        assert predictor.predict(table.iloc[0]) == expected[0]
        assert predictor.predict([]) == []
        with pytest.raises(DataError, match=r"Row 1: .*none\.png: no such file"):
            predictor.predict([rows[0], {"photo": "none.png"}])
        with pytest.raises(ConfigError, match=r"expected a row such as .* got str"):
            predictor.predict("a.png")
        with pytest.raises(ConfigError, match="got rows and text"):
            predictor.predict(rows[0], text="is it red?")


@pytest.fixture
def table(tmp_path: Path, images: list[Path], monkeypatch: pytest.MonkeyPatch) -> Path:
    """150 rows: three batches."""
    monkeypatch.chdir(tmp_path)
    rows = [[str(images[row % 4]), QUESTIONS[row % 4], f"place {row}"] for row in range(150)]
    rows[70] = ["gone.png", "what shape is it?", "here"]
    return _written(tmp_path / "new.csv", rows)


def _written(path: Path, rows: list[list[str]], header: list[str] = HEADER) -> Path:
    with path.open("w", newline="", encoding="utf-8") as stream:
        csv.writer(stream).writerows([header, *rows])
    return path


def _read(path: Path) -> list[dict[str, str]]:
    with path.open(newline="", encoding="utf-8") as stream:
        return list(csv.DictReader(stream))


def test_every_row_of_a_table_gets_its_answer_or_its_error(
    table: Path, bundle: Bundle, capsys: pytest.CaptureFixture[str]
):
    place = str(bundle.folder)
    assert main(["predict", place, "--table", "new.csv", "--out", "answers.csv"]) == 1
    said = capsys.readouterr()
    assert "149 of 150 rows answered: answers.csv; 1 have an error instead" in said.out
    assert "new.csv:72: gone.png: no such file" in said.err
    rows = _read(Path("answers.csv"))
    assert [int(row["line"]) for row in rows] == list(range(2, 152))
    assert [row["place"] for row in rows[:2]] == ["place 0", "place 1"]
    with Predictor(bundle) as predictor:
        answer = predictor.predict(image=rows[3]["photo"])  # its question is empty
    assert (rows[3]["label"], float(rows[3]["confidence"])) == (answer["label"], answer["confidence"])
    assert (rows[70]["label"], rows[70]["error"]) == ("", "gone.png: no such file")
    assert main(["predict", place, "--table", "new.csv", "--out", "answers.jsonl"]) == 1
    lines = [json.loads(line) for line in Path("answers.jsonl").read_text("utf-8").splitlines()]
    assert (lines[3], lines[70]) == ({"line": 5, **answer}, {"line": 72, "error": "gone.png: no such file"})
    assert {path.name for path in table.parent.iterdir()} == {"new.csv", "answers.csv", "answers.jsonl"}


def test_a_stopped_command_goes_on_and_gives_the_same_file(
    table: Path, bundle: Bundle, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    arguments = ["predict", str(bundle.folder), "--table", "new.csv", "--out"]
    main([*arguments, "whole.csv"])
    answers, calls = Predictor.answers, 0

    def stopped(predictor: Predictor, inputs: Any) -> Any:
        nonlocal calls
        calls += 1
        if calls == 4:  # the first call finds the fields of an answer
            raise KeyboardInterrupt
        return answers(predictor, inputs)

    with monkeypatch.context() as patch:
        patch.setattr(Predictor, "answers", stopped)
        assert main([*arguments, "answers.csv"]) == 1
    partial = Path("answers.csv.partial")
    with partial.open("ab") as stream:  # a line that was being written when the machine stopped
        stream.write(b"130,half a li")
    capsys.readouterr()
    assert main([*arguments, "answers.csv"]) == 1
    assert "goes on after 128 of 150 rows" in capsys.readouterr().err
    assert Path("answers.csv").read_bytes() == Path("whole.csv").read_bytes()
    assert not partial.exists()


def test_answers_of_another_table_are_not_continued(
    table: Path, bundle: Bundle, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    arguments = ["predict", str(bundle.folder), "--table", "new.csv", "--out", "answers.csv"]
    with monkeypatch.context() as patch:
        patch.setattr(predict_table, "show_progress", _interrupt)
        assert main(arguments) == 1
    assert Path("answers.csv.partial").is_file()
    _written(table, [["", "is it red?", "there"]])
    capsys.readouterr()
    assert main(arguments) == 0
    assert "goes on after" not in capsys.readouterr().err
    assert [row["place"] for row in _read(Path("answers.csv"))] == ["there"]


def _interrupt(what: str) -> None:
    raise KeyboardInterrupt(what)


@pytest.mark.parametrize(
    ("arguments", "status", "message"),
    [
        (["--table", "new.csv"], 2, "for example --out answers.csv"),
        (["--table", "new.csv", "--out", "a.xlsx"], 2, "Valid: '.csv', '.jsonl', '.tsv'"),
        (["--table", "new.csv", "--out", "new.csv"], 2, "is the table itself"),
        (["--table", "none.csv", "--out", "a.csv"], 1, "none.csv: no such file"),
        (["--table", "new.csv", "--out", "none/a.csv"], 1, "none/a.csv: cannot be written"),
        (["--table", "new.csv", "--out", "a.csv", "--map", "imag=photo"], 2, "did you mean 'image'"),
        (["--table", "new.csv", "--out", "a.csv", "--map", "image"], 2, "expected MODALITY=COLUMN"),
        (["--table", "new.csv", "--out", "a.csv", "--map", "image=phto"], 1, "no column 'phto'; did you mean 'photo'"),
        (["--table", "new.csv", "--out", "a.csv", "--missing", "phto"], 2, "did you mean 'photo'"),
        (["--table", "new.csv", "--text", "x", "--out", "a.csv"], 2, "give one of these"),
        (["--out", "a.csv", "--text", "x"], 2, "--out belongs to --table"),
    ],
)
def test_what_cannot_be_is_refused(
    arguments: list[str], status: int, message: str, table: Path, bundle: Bundle, capsys: pytest.CaptureFixture[str]
):
    assert main(["predict", str(bundle.folder), *arguments]) == status
    assert message in capsys.readouterr().err
    assert [path.name for path in table.parent.iterdir()] == ["new.csv"]


def test_a_table_that_is_missing_is_named_whether_answers_are_there_or_not(
    table: Path, bundle: Bundle, capsys: pytest.CaptureFixture[str]
):
    Path("answers.csv").write_text("of before", "utf-8")
    assert main(["predict", str(bundle.folder), "--table", "none.csv", "--out", "answers.csv"]) == 1
    assert "none.csv: no such file" in capsys.readouterr().err
    assert Path("answers.csv").read_text("utf-8") == "of before"


def test_columns_may_be_mapped_or_missing(table: Path, bundle: Bundle):
    _written(table, [["x", "is it red?"]], ["a", "b"])
    place = ["predict", str(bundle.folder), "--table", "new.csv", "--out", "answers.csv"]
    assert main(place) == 1
    assert main([*place, "--map", "text=b", "--missing", "photo"]) == 0
    assert _read(Path("answers.csv"))[0]["b"] == "is it red?"
