"""The sources of the medical pipeline: MedPix 2.0, and the X-rays of the COVID-19 collection."""

from __future__ import annotations

import csv
import hashlib
import json
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from mmkeras.core.errors import ConfigError, DataError
from mmkeras.data.sources import covid_cxr, medpix2
from mmkeras.data.sources._contract import Sample

PICTURE = {
    "case": "A",
    "image": "a.png",
    "type": "CT",
    "plane": "Axial",
    "location_category": "Head",
    "age": "47",
    "sex": "N/A",
    "split": "train",
    "caption": "CT of the head",
}


def _medpix(folder: Path, *pictures: Any, cases: Any = ({"U_id": "A", "Case": {"History": " Headache. "}},)) -> Path:
    (folder / "images").mkdir(exist_ok=True)
    (folder / "images" / "a.png").write_bytes(b"picture")
    for name, rows in (("images.jsonl", pictures), ("cases.jsonl", cases)):
        lines = [row if isinstance(row, str) else json.dumps(row) for row in rows]
        (folder / name).write_text("\n".join(lines) + "\n", encoding="utf-8")
    return folder


def _samples(folder: Path, **options: Any) -> list[Sample]:
    return list(medpix2.Source(folder=str(folder), **options).samples())


def test_a_picture_has_its_history_and_no_caption(tmp_path: Path):
    (found,) = _samples(_medpix(tmp_path, PICTURE))
    place = str(tmp_path / "images" / "a.png")
    assert found.values == {"image": place, "text": "Headache.", "row": {"age": "47", "sex": ""}}
    assert (found.target, found.group, found.split) == ("Head", "A", medpix2.split_of("A"))
    assert found.columns == {"device": "CT", "plane": "Axial", "age": "40 to 59", "sex": ""}
    assert _samples(tmp_path, target="device")[0].target == "CT"
    assert "head" not in str({**found.values, "image": ""})


def test_the_official_split_counts_where_there_is_one(tmp_path: Path):
    rows = [{**PICTURE, "split": each} for each in ("train", "dev", "test")]
    assert [each.split for each in _samples(_medpix(tmp_path, *rows))] == ["train", "validation", "test"]


def test_the_split_is_that_of_mmkeras_fit():
    # Of the table that tests/real/medpix2.py has measured: another rule would mix its test split into the training.
    splits = [medpix2.split_of(f"MPX{number}") for number in range(300)]
    assert Counter(splits) == {"train": 223, "test": 51, "validation": 26}
    assert hashlib.sha256(" ".join(splits).encode()).hexdigest().startswith("a1f2f5cc383afcc5")


def test_what_is_missing_is_absent(tmp_path: Path):
    row = {**PICTURE, "age": None, "sex": "N/A"}
    (found,) = _samples(_medpix(tmp_path, row, cases=[{"U_id": "A", "Case": {"History": None}}]))
    assert (found.values["text"], found.values["row"], found.columns["age"]) == (None, None, "")


@pytest.mark.parametrize(
    ("row", "reason"),
    [
        ({**PICTURE, "case": "B"}, "cases.jsonl has no case 'B'"),
        ({**PICTURE, "location_category": None}, "expected a JSON object with case, image, location_category"),
        ({**PICTURE, "image": "../a.png"}, "image: expected the name of a file in images/"),
        ("{", "expected a JSON object"),
    ],
)
def test_a_bad_picture_is_named_and_the_others_are_read(tmp_path: Path, row: Any, reason: str):
    first, second = _samples(_medpix(tmp_path, row, PICTURE))
    assert isinstance(first.target, DataError)
    assert reason in str(first.target)
    assert (first.origin, second.target) == ("images.jsonl:1", "Head")


def test_a_folder_without_the_set_is_named(tmp_path: Path):
    with pytest.raises(DataError, match=r"cases\.jsonl: no such file.*--data\.source\.options\.folder"):
        _samples(tmp_path)
    with pytest.raises(DataError, match=r"cases\.jsonl:1: expected a case with U_id"):
        _samples(_medpix(tmp_path, PICTURE, cases=[{"U_id": "A"}]))
    with pytest.raises(ConfigError, match="target: 'place'"):
        medpix2.Source(target="place")  # type: ignore[arg-type]


def test_a_changed_picture_or_table_changes_the_fingerprint(tmp_path: Path):
    source = medpix2.Source(folder=str(_medpix(tmp_path, PICTURE)))
    before = source.fingerprint_inputs()
    (tmp_path / "images" / "a.png").write_bytes(b"PICTURE")
    assert source.fingerprint_inputs() != before


XRAY = {
    "patientid": "7",
    "sex": "F",
    "age": "61",
    "offset": "3",
    "finding": "COVID-19, ARDS",
    "view": "AP",
    "clinical_notes": "Covid-19 positive (SARS-CoV-2). ARDS on day 5, no bacterial infection.",
    "other_notes": "",
    "derived": "small/a.jpg",
}


def _xrays(folder: Path, *rows: dict[str, str]) -> Path:
    with (folder / "metadata.csv").open("w", newline="", encoding="utf-8") as stream:
        writer = csv.DictWriter(stream, XRAY)
        writer.writeheader()
        writer.writerows(rows)
    return folder


def _read(folder: Path, **options: Any) -> list[Sample]:
    return list(covid_cxr.Source(folder=str(folder), **options).samples())


def test_notes_do_not_name_the_finding(tmp_path: Path):
    (found,) = _read(_xrays(tmp_path, XRAY), target="findings")
    assert found.target == ["COVID-19", "ARDS"]
    assert found.values["text"] == "it positive (it). it on day 5, no it infection."
    assert found.values["row"] == {"age": "61", "sex": "F", "days": "3", "view": "AP"}
    assert found.group == "7"


@pytest.mark.parametrize(
    ("finding", "labels", "answer"),
    [
        ("No Finding", [], "other"),
        ("E.Coli", ["bacterial pneumonia"], "other"),
        ("COVID-19", ["COVID-19"], "COVID-19"),
        ("Klebsiella, Legionella", ["bacterial pneumonia"], "other"),
    ],
)
def test_findings_become_labels(tmp_path: Path, finding: str, labels: list[str], answer: str):
    folder = _xrays(tmp_path, {**XRAY, "finding": finding})
    assert _read(folder, target="findings")[0].target == labels
    assert _read(folder)[0].target == answer


def test_bad_rows_are_named_and_a_wrong_table_is_refused(tmp_path: Path):
    rows = _read(_xrays(tmp_path, {**XRAY, "finding": "Covid"}, {**XRAY, "derived": ""}, XRAY))
    assert [row.origin for row in rows] == ["metadata.csv:2", "metadata.csv:3", "metadata.csv:4"]
    assert "finding: 'Covid'" in str(rows[0].target)
    assert "expected a patientid and a picture" in str(rows[1].target)
    (tmp_path / "metadata.csv").write_text("patientid\n7\n")
    with pytest.raises(DataError, match=r"missing: .*'finding'"):
        _read(tmp_path)
    with pytest.raises(ConfigError, match="fold: expected 0 to 4, got 5"):
        covid_cxr.Source(fold=5)


def test_every_patient_is_in_one_split_and_once_in_a_test_split(shared_data: Callable[[str], Path]):
    folder = shared_data("covid_cxr") / "covid_cxr"
    tested: dict[str, int] = {}
    for fold in range(covid_cxr.FOLDS):
        samples = _read(folder, fold=fold, target="findings")
        assert not [each.target for each in samples if isinstance(each.target, DataError)]
        splits: dict[Any, set[Any]] = {}
        for each in samples:
            splits.setdefault(each.group, set()).add(each.split)
            assert covid_cxr.without_findings(str(each.values["text"])) == str(each.values["text"])
        assert all(len(each) == 1 for each in splits.values())
        for patient in (name for name, each in splits.items() if each == {"test"}):
            tested[patient] = tested.get(patient, 0) + 1
    assert set(tested.values()) == {1}
    assert len(tested) == 112


def test_the_real_medpix_is_read_whole(shared_data: Callable[[str], Path]):
    samples = _samples(shared_data("medpix2") / "medpix2")
    assert len(samples) == 1653
    assert not [each.target for each in samples if isinstance(each.target, DataError)]
    assert all(Path(each.values["image"]).is_file() for each in samples)
    splits = {(each.group, each.split) for each in samples}
    assert len(splits) == len({each.group for each in samples}) == 535
