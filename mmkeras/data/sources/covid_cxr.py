"""Chest X-rays of COVID-19 and other pneumonias with notes (https://github.com/ieee8023/covid-chestxray-dataset).

Cohen et al. 2020, COVID-19 Image Data Collection (arXiv:2006.11988). Each row has a licence, mostly CC
BY-NC-SA.
"""

from __future__ import annotations

import csv
import hashlib
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, Literal

from mmkeras.core.errors import ConfigError, DataError, nearest
from mmkeras.data.sources._contract import Sample, SourceBase
from mmkeras.data.sources._files import identity_of

__all__ = ["FINDINGS", "FOLDS", "Source", "labels_of", "without_findings"]

FOLDS = 5
"""Parts of the patients, each of which may be the test split."""
_BACTERIAL, _FUNGAL, _VIRAL = "bacterial pneumonia", "fungal pneumonia", "other viral pneumonia"
FINDINGS = {
    "COVID-19": "COVID-19",
    "ARDS": "ARDS",
    **dict.fromkeys(("Streptococcus", "Klebsiella", "E.Coli", "Legionella", "Bacterial"), _BACTERIAL),
    "Pneumocystis": _FUNGAL,
    **dict.fromkeys(("Varicella", "Influenza"), _VIRAL),
    "Pneumonia": "pneumonia, cause unknown",
    "Lipoid": "lipoid pneumonia",
}
"""Label by finding: the causes are too rare for labels of their own."""
_TARGETS = ("covid", "findings")
_NAMED = re.compile(
    r"\b(covid|sars|corona|ncov|ards|acute respiratory distress|strepto|pneumococ|klebsiel|e\.? ?coli|escherich"
    r"|legionel|bacteri|pneumocyst|pcp\b|pjp\b|varicel|chickenpox|influenz|h1n1|lipoid|paraffin|fung)[\w-]*",
    re.IGNORECASE,
)
"""Words of the notes that name a finding."""
_COLUMNS = ("patientid", "sex", "age", "offset", "finding", "view", "clinical_notes", "other_notes", "derived")


@dataclass(frozen=True)
class Source(SourceBase):
    """A sample for each X-ray: ``image``, ``text`` (the notes, without words that name a finding) and ``row``.

    ``row`` has ``age``, ``sex``, ``days`` since the first symptom or the admission, and ``view``. All X-rays of a
    patient are in one split: one fifth of the patients is the test split, an eighth of the others validation, by a hash
    of the patient. Columns: ``view`` and ``sex``.
    """

    reads: ClassVar[tuple[str, ...]] = ("folder",)

    folder: str = ""
    """The folder with metadata.csv and the pictures that its column derived names."""
    target: Literal["covid", "findings"] = "covid"
    """covid: "COVID-19" or "other". findings: a list of labels (`FINDINGS`), empty without a finding."""
    fold: int = 0
    """Which fifth of the patients is the test split, 0 to 4."""

    def __post_init__(self) -> None:
        """Check the options, with a `ConfigError` for a wrong one."""
        if self.target not in _TARGETS:
            raise ConfigError(f"covid_cxr: target: {self.target!r}; {nearest(self.target, _TARGETS)}")
        if not 0 <= self.fold < FOLDS:
            raise ConfigError(f"covid_cxr: fold: expected 0 to {FOLDS - 1}, got {self.fold}")

    def samples(self) -> Iterator[Sample]:
        """Yield the X-rays in the order of the table; the target of a bad row is a `DataError`."""
        with self._table.open(encoding="utf-8", errors="replace", newline="") as stream:
            rows = csv.DictReader(stream)
            missing = [name for name in _COLUMNS if name not in (rows.fieldnames or ())]
            if missing:
                raise DataError(f"{self._table}: expected the columns {', '.join(_COLUMNS)}; missing: {missing}")
            for row in rows:
                origin = f"{self._table.name}:{rows.line_num}"
                try:
                    yield self._sample({name: (row[name] or "").strip() for name in _COLUMNS}, origin)
                except DataError as error:
                    yield Sample(key=origin, values={}, target=error, origin=origin)

    def fingerprint_inputs(self) -> dict[str, str]:
        """Return the hash of the table, and hashes of names and sizes of the pictures and of some beginnings."""
        pictures = sorted(path for path in Path(self.folder).glob("*/*") if path.is_file())
        table = {self._table.name: hashlib.sha256(self._table.read_bytes()).hexdigest()}
        return table | identity_of("images", pictures, Path(self.folder))

    @property
    def _table(self) -> Path:
        path = Path(self.folder) / "metadata.csv"
        if not path.is_file():
            raise DataError(f"{path}: no such file. Name the folder of the set: --data.source.options.folder FOLDER")
        return path

    def _sample(self, row: Mapping[str, str], origin: str) -> Sample:
        if not row["patientid"] or not row["derived"]:
            raise DataError("expected a patientid and a picture in the column derived")
        labels = labels_of(row["finding"])
        place = int(hashlib.sha256(row["patientid"].encode()).hexdigest(), 16)
        split = "test" if place % FOLDS == self.fold else "validation" if place // FOLDS % 8 == 0 else "train"
        cells = {"age": row["age"], "sex": row["sex"], "days": row["offset"], "view": row["view"]}
        notes = without_findings(f"{row['clinical_notes']} {row['other_notes']}".strip())
        return Sample(
            key=Path(row["derived"]).name,
            values={
                "image": str(Path(self.folder) / row["derived"]),
                "text": notes or None,
                "row": cells if any(cells.values()) else None,
            },
            target=labels if self.target == "findings" else "COVID-19" if "COVID-19" in labels else "other",
            split=split,
            group=row["patientid"],
            columns={"view": row["view"], "sex": row["sex"]},
            origin=origin,
        )


def labels_of(finding: str) -> list[str]:
    """Return the labels of a cell such as "COVID-19, ARDS".

    Raises:
        DataError: an unknown finding.
    """
    if finding == "No Finding":
        return []
    parts = [part.strip() for part in finding.split(",")]
    for part in parts:
        if part not in FINDINGS:
            raise DataError(f"finding: {part!r}; {nearest(part, FINDINGS)}")
    return list(dict.fromkeys(FINDINGS[part] for part in parts))


def without_findings(notes: str) -> str:
    """Return notes in which the words that name a finding are replaced by "it": they would give the answer away."""
    return _NAMED.sub("it", notes)
