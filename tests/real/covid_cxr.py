"""A table of covid_cxr: is it COVID-19, from the X-ray, the notes and the patient's data, split by patient."""

from __future__ import annotations

import csv
import hashlib
import io
import re
import tarfile
from pathlib import Path

from mmkeras.core.errors import DataError
from mmkeras.storage.files import write_text

__all__ = ["FOLDS", "TARGET", "make_table"]

FOLDS = 5
"""Parts of the patients, each of which is once the test split."""
TARGET = "finding"
_COLUMNS = ("patient", "image", "notes", "age", "sex", "days", "view", TARGET, "split")
_NAMED = re.compile(r"\b(covid|sars|corona|ncov)[\w-]*", re.IGNORECASE)
"""Words of the notes that name the finding."""


def make_table(archive: Path, folder: Path, fold: int = 0) -> Path:
    """Unpack the archive into a folder, and write ``covid_cxr.csv`` there: a line for every X-ray.

    The test split is a fifth of the patients, validation an eighth of the others, both by a hash of the patient. Words
    of the notes that name the disease are replaced.

    Args:
        archive: covid_cxr.tar.xz; not read if the folder holds its content.
        folder: where to write.
        fold: which fifth is the test split, 0 to 4.

    Raises:
        DataError: there is no archive.
    """
    if not (folder / "covid_cxr").is_dir():
        if not archive.is_file():
            raise DataError(f"{archive}: no such file. Name the folder of the archives: --archives DIR")
        folder.mkdir(parents=True, exist_ok=True)
        with tarfile.open(archive) as packed:
            packed.extractall(folder, filter="data")
    stream = io.StringIO()
    table = csv.writer(stream, lineterminator="\n")
    table.writerow(_COLUMNS)
    with (folder / "covid_cxr" / "metadata.csv").open(encoding="utf-8", newline="") as rows:
        for row in csv.DictReader(rows):
            place = int(hashlib.sha256(row["patientid"].encode()).hexdigest(), 16)
            split = "test" if place % FOLDS == fold else "validation" if place // FOLDS % 8 == 0 else "train"
            notes = _NAMED.sub("it", f"{row['clinical_notes']} {row['other_notes']}".strip())
            answer = "COVID-19" if "COVID" in row["finding"] else "other"
            data = (row["age"], row["sex"], row["offset"], row["view"])
            table.writerow((row["patientid"], f"covid_cxr/{row['derived']}", notes, *data, answer, split))
    return write_text(folder / "covid_cxr.csv", stream.getvalue())
