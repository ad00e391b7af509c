"""Reports beside DICOM files, and what their headers say of persons."""

from __future__ import annotations

from pathlib import Path

import pytest

pytest.importorskip("pydicom", reason="needs the extra dicom: pip install 'mmkeras[dicom]'")

from mmkeras.core.errors import DataError
from mmkeras.media.dicom.report import REMOVED, Patient, read_patient, read_report, report_of, without
from tests.media.dicom.dicoms import DEFLATED, dicom_file, ramp


@pytest.fixture
def scan(tmp_path: Path) -> Path:
    path = tmp_path / "scan.dcm"
    more = {"ReferringPhysicianName": "Doe^Jane", "PatientAge": "045Y", "PatientSex": "F", "AccessionNumber": "A-17"}
    path.write_bytes(dicom_file(ramp(), **more))
    return path


def test_names_numbers_and_dates_of_the_header_leave_the_report(scan: Path):
    text = "SECRET, born 01.01.1945 (1945-01-01), ID-4711, A-17, seen by jane DOE. A secretion, named."
    scan.with_suffix(".txt").write_text(text, encoding="utf-8")
    patient = read_patient(scan, "scan.dcm")
    assert (patient.age, patient.sex) == ("45", "F")
    found = read_report(scan, patient, "scan.dcm")
    r = REMOVED
    assert found == f"{r}, born {r} ({r}), {r}, {r}, seen by {r} {r}. A secretion, named."


@pytest.mark.parametrize(
    ("elements", "age", "sex"),
    [
        ({"PatientAge": "018M"}, "1.5", ""),
        ({"PatientAge": "old", "PatientSex": "x"}, "", ""),
        ({"PatientSex": "o"}, "", "O"),
    ],
)
def test_age_and_sex(tmp_path: Path, elements: dict[str, str], age: str, sex: str):
    path = tmp_path / "scan.dcm"
    path.write_bytes(dicom_file(ramp(), **elements))
    assert read_patient(path, "scan.dcm").age == age
    assert read_patient(path, "scan.dcm").sex == sex


def test_the_report_of_a_file_has_its_whole_name(tmp_path: Path):
    for name in ("1.2.840.5", "1.2.840.5.txt", "1.2.840.txt", "scan.dcm", "scan.txt"):
        (tmp_path / name).touch()
    assert report_of(tmp_path / "1.2.840.5") == tmp_path / "1.2.840.5.txt"
    assert report_of(tmp_path / "1.2.840.6") is None
    assert report_of(tmp_path / "scan.dcm") == tmp_path / "scan.txt"


def test_a_file_without_a_report_has_none(scan: Path):
    assert read_report(scan, Patient((), "", ""), "scan.dcm") is None


@pytest.mark.parametrize(
    ("content", "message"), [(b"\xff\xfe\x80", "not UTF-8"), (b"x" * (1 << 21), "more than 1024 KiB")]
)
def test_a_bad_report_is_named_and_not_quoted(scan: Path, content: bytes, message: str):
    scan.with_suffix(".txt").write_bytes(content)
    with pytest.raises(DataError, match=f"ill/scan.dcm: the report beside it.*{message}"):
        read_report(scan, Patient((), "", ""), "ill/scan.dcm")


def test_a_damaged_header_is_named_and_not_quoted(tmp_path: Path):
    path = tmp_path / "scan.dcm"
    path.write_bytes(dicom_file(ramp(), DEFLATED)[:-40])
    with pytest.raises(DataError, match=r"ill/scan\.dcm: .*header cannot be read") as caught:
        read_patient(path, "ill/scan.dcm")
    assert "Secret" not in str(caught.value)


def test_whole_words_only_and_the_longest_first():
    assert without("Li saw Lily Li-Wong.", ("Li-Wong", "Li")) == f"{REMOVED} saw Lily {REMOVED}."
    assert without("nothing", ()) == "nothing"
