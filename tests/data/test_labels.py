from __future__ import annotations

import datetime
import decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mmkeras.data import convert
from mmkeras.data.labels import only_held_out, tidy_labels
from mmkeras.data.sources import Sample
from mmkeras.media.cells import tidy
from mmkeras.tasks.classification.spec import Config as TaskConfig
from tests.data.tables import modality_configs, table_config, write_csv, write_images


def labels(*targets: Any, listed: tuple[str, ...] = ()) -> tuple[list[Any], list[str]]:
    samples, notes = tidy_labels([Sample(str(n), {}, target) for n, target in enumerate(targets)], listed)
    return [sample.target for sample in samples], notes


def test_two_answers_are_two_classes_however_they_are_typed():
    forms = ("{}", " {}", "{}\u00a0", "\u200b{}", "{}\t", "\ufeff{} ")
    words = ("caf\u00e9 noir", "cafe\u0301  noir", "caf\u00e9\u00a0noir", "no")
    targets = [form.format(word) for form in forms for word in words]
    result, (note,) = labels(*targets)
    assert set(result) == {"caf\u00e9 noir", "no"}
    assert "spellings of labels are read as 2" in note
    assert r"'no' from ' no' (1), 'no\xa0' (1), '\u200bno' (1)" in note
    assert labels("a", "b c", "\u0645\u06cc\u200c\u062e") == (["a", "b c", "\u0645\u06cc\u200c\u062e"], [])


def test_case_makes_a_difference_and_is_reported():
    result, (note,) = labels("Yes", "yes", "yes", "no")
    assert result == ["Yes", "yes", "yes", "no"]
    assert "differ in case only are classes of their own: 'Yes' (1) and 'yes' (2)" in note


def test_numbers_are_the_same_label_in_every_type():
    assert labels(1, 1.0, "1", decimal.Decimal("1.00"))[0] == [1, "1", "1", "1"]
    assert labels("1.0", "2.0") == (["1.0", "2.0"], [])
    result, (note,) = labels("1.0", "1", "2.0", "1.50")
    assert result == ["1", "1", "2.0", "1.50"]
    assert "1.0 for 1" in note
    assert labels(1.5, float("inf"), None)[0] == [1.5, float("inf"), None]
    assert labels(True, "True", datetime.date(2024, 2, 1))[0] == [True, "True", "2024-02-01"]
    # A task that lists its labels is answered with them.
    assert labels(1.0, "caf\u00e9 ", "No", listed=("1.0", "cafe\u0301", "no"))[0] == ["1", "cafe\u0301", "No"]
    assert labels(["a ", "b"], ("a",), {"boxes": []})[0] == [["a", "b"], ("a",), {"boxes": []}]


def test_labels_that_look_like_missing_values_are_named():
    _, (note,) = labels("NaN", "a", "none")
    assert "look like missing values are classes: 'NaN' (1). Leave such cells empty" in note


@given(st.text())
def test_what_is_tidy_stays_so(text):
    once = tidy(text)
    assert tidy(once) == once
    assert once == once.strip()


def test_a_class_without_training_samples_is_a_warning():
    (note,) = only_held_out({"train": {"a": 3, "b": 0}, "validation": {"a": 1, "b": 2}, "test": {"b": 1, "c": 1}})
    assert note.startswith("2 classes have no training sample, so the model cannot learn them: ")
    assert "'b' (2 in validation, 1 in test); 'c' (1 in test)" in note
    assert only_held_out({"train": {"a": 1}, "test": {"a": 2, "b": 0}}) == []
    assert only_held_out({"test": {"a": 2}}) == []


@pytest.mark.parametrize("suffix", ["csv", "parquet"])
def test_labels_of_a_table(tmp_path, suffix):
    names = write_images(tmp_path, 12)
    values: list[Any] = ["1", "1 ", "2", "3"] if suffix == "csv" else [1.0, 1.0, 2.0, None]
    sides = ["train", "train", "train", "test"]
    rows = [
        {"file": names[n], "question": "word1", "label": values[n % 4], "side": sides[n % 4]} for n in range(len(names))
    ]
    path = tmp_path / f"t.{suffix}"
    if suffix == "csv":
        write_csv(path, rows)
    else:
        import pyarrow
        import pyarrow.parquet

        pyarrow.parquet.write_table(pyarrow.Table.from_pylist(rows), path)
    config = table_config(path, tmp_path / "out", {"split": "side"}, max_bad_share=0.5)
    index = convert(config, modality_configs(tmp_path), TaskConfig())
    assert index.rows == 12
    if suffix == "csv":
        assert index.labels == ("1", "2", "3")
        assert [note.split(",")[0] for note in index.notes] == [
            "1 spellings of labels are read as 1 (blanks",
            "1 classes have no training sample",
        ]
    else:
        assert (index.labels, index.quarantined) == (("1", "2"), 3)
