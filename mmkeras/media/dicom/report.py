"""The report beside a DICOM file, without what the file's header says of persons, and the patient's age and sex."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mmkeras.core.errors import DataError
from mmkeras.media.dicom.header import DEFLATED, check_inflation, quiet

__all__ = ["REMOVED", "Patient", "read_patient", "read_report", "report_of", "without"]

REMOVED = "[removed]"
"""Takes the place of a name, a number or a date of a person."""
MOST_REPORT = 1 << 20
"""Most bytes of a report."""
_ENDINGS = (".dcm", ".dicom", ".ima")
_NUMBERS = ("PatientID", "OtherPatientIDs", "AccessionNumber", "StudyID", "PatientTelephoneNumbers", "PatientAddress")
_DATES = ("PatientBirthDate",)
_YEARS = {"D": 1 / 365.25, "W": 7 / 365.25, "M": 1 / 12, "Y": 1.0}
_PARTS = re.compile(r"[\s^=,;\\]+")


@dataclass(frozen=True)
class Patient:
    """What a header says of persons."""

    names: tuple[str, ...]
    """Parts of names, numbers and dates that must not stay in a text, the longest first."""
    age: str
    """Years; empty if unknown."""
    sex: str
    """F, M or O; empty if unknown."""


def read_patient(path: Path, name: str) -> Patient:
    """Read what a DICOM header says of persons; ``name`` names the file in messages.

    Raises:
        DataError: the header cannot be read; nothing of its content is quoted.
    """
    import pydicom

    try:
        with path.open("rb") as stream, quiet():
            stream.seek(132)
            if pydicom.filereader._read_file_meta_info(stream).get("TransferSyntaxUID") == DEFLATED:
                check_inflation(stream.read(), name)
            stream.seek(0)
            header = pydicom.dcmread(stream, stop_before_pixels=True)
            found = tuple(sorted(set(_named(header)), key=lambda each: (-len(each), each)))
            return Patient(found, _age(str(header.get("PatientAge", "") or "")), _sex(header.get("PatientSex")))
    except DataError:
        raise
    except Exception as error:  # pydicom raises nearly anything on a damaged header
        raise DataError(f"{name}: the DICOM header cannot be read ({type(error).__name__})") from None


def report_of(path: Path) -> Path | None:
    """Return the text beside a DICOM file, ``scan.dcm.txt`` or ``scan.txt``; None without one.

    Names of DICOM files often have no ending, but dots: only an ending of DICOM files is left out.
    """
    places = [path.with_name(f"{path.name}.txt")]
    if path.suffix.lower() in _ENDINGS:
        places.append(path.with_suffix(".txt"))
    return next((place for place in places if place.is_file()), None)


def read_report(path: Path, patient: Patient, name: str) -> str | None:
    """Return the text of `report_of` without the names of a patient's header; None without a text.

    Raises:
        DataError: the text is too large or not UTF-8; nothing of it is quoted.
    """
    beside = report_of(path)
    if beside is None:
        return None
    if beside.stat().st_size > MOST_REPORT:
        raise DataError(f"{name}: the report beside it has more than {MOST_REPORT >> 10} KiB")
    try:
        text = beside.read_bytes().decode("utf-8-sig")
    except UnicodeDecodeError:
        raise DataError(f"{name}: the report beside it is not UTF-8; save it as UTF-8") from None
    return without(text, patient.names).strip() or None


def without(text: str, names: tuple[str, ...]) -> str:
    """Return a text in which every name, in any case and as a whole word, is replaced."""
    if not names:
        return text
    either = "|".join(map(re.escape, names))
    return re.sub(rf"(?<!\w)(?:{either})(?!\w)", REMOVED, text, flags=re.IGNORECASE)


def _named(header: Any) -> Iterator[str]:
    """Yield parts of the names of all persons, numbers of the patient, and dates of birth in usual forms."""
    for element in header.iterall():
        if element.VR == "PN":
            yield from (part for part in _PARTS.split(str(element.value)) if len(part) > 1)
    for keyword in _NUMBERS:
        value = str(header.get(keyword, "") or "").strip()
        if len(value) > 1:
            yield value
    for keyword in _DATES:
        if re.fullmatch(r"\d{8}", date := str(header.get(keyword, "") or "")):
            year, month, day = date[:4], date[4:6], date[6:]
            yield from (date, f"{year}-{month}-{day}", f"{day}.{month}.{year}", f"{int(day)}.{int(month)}.{year}")
            yield from (f"{day}/{month}/{year}", f"{month}/{day}/{year}", f"{int(month)}/{int(day)}/{year}")


def _age(text: str) -> str:
    """Return the years of an age such as 045Y or 006M."""
    found = re.fullmatch(r"\s*(\d{1,3})([DWMY])\s*", text)
    return f"{int(found[1]) * _YEARS[found[2]]:.4g}" if found else ""


def _sex(value: Any) -> str:
    text = str(value or "").strip().upper()
    return text if text in ("F", "M", "O") else ""
