"""A table of covid_cxr: is it COVID-19, from the X-ray, the notes and the patient's data, split by patient."""

from __future__ import annotations

import csv
import io
from pathlib import Path

from mmkeras.data.sources.covid_cxr import FOLDS, Source
from mmkeras.storage.files import write_text
from tests.real.archives import unpacked

__all__ = ["FOLDS", "TARGET", "make_table"]

TARGET = "finding"
_COLUMNS = ("patient", "image", "notes", "age", "sex", "days", "view", TARGET, "split")


def make_table(archive: Path, folder: Path, fold: int = 0) -> Path:
    """Write ``covid_cxr.csv`` with a line for every X-ray, with notes and splits of the source ``covid_cxr``.

    Args:
        archive: covid_cxr.tar.xz; not read if the folder holds its content.
        folder: where to unpack and to write.
        fold: which fifth of the patients is the test split, 0 to 4.

    Raises:
        DataError: there is no archive.
    """
    data = unpacked(archive, folder)
    stream = io.StringIO()
    table = csv.writer(stream, lineterminator="\n")
    table.writerow(_COLUMNS)
    for sample in Source(str(data), fold=fold).samples():
        cells = sample.values["row"] or {}
        about = [cells.get(name, "") for name in ("age", "sex", "days", "view")]
        image = Path(sample.values["image"]).relative_to(folder)
        table.writerow((sample.group, image, sample.values["text"] or "", *about, sample.target, sample.split))
    return write_text(folder / "covid_cxr.csv", stream.getvalue())
