"""A folder of DICOM files, a folder for each class: ``<path>/<label>/.../<file>``; every frame is a sample.

A patient's files are in one split. The patient's ID is used only for that: it is not in keys, columns, records or
messages. DICOM files are recognised by their content, not by their name. A report may stand beside a file, as
``scan.txt`` or ``scan.dcm.txt`` beside ``scan.dcm``. Names, numbers and dates of birth of the file's header are removed
from it; a name that only the report has stays, so have reports anonymised.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Literal

from mmkeras.core.errors import ConfigError, DataError, nearest, require
from mmkeras.data.sources._contract import Sample, SourceBase
from mmkeras.data.sources._files import look_into
from mmkeras.media.dicom.header import read_header
from mmkeras.media.dicom.report import read_patient, read_report, report_of

__all__ = ["Source"]

FRAMES = ("every", "first", "middle")


@dataclass(frozen=True)
class Source(SourceBase):
    """DICOM files in a folder per class; the column ``device`` (CT, MR, US, ...) is for slices of the evaluation."""

    reads: ClassVar[tuple[str, ...]] = ("path",)

    path: str
    """The folder with a folder for each class."""
    modality: str = "image"
    """Name of the model's image modality."""
    frames: Literal["every", "first", "middle"] = "every"
    """Which frames of a file with several become samples."""
    report: str = ""
    """Name of the model's text modality, to read reports; a file without one has the text missing."""
    patient: str = ""
    """Name of the model's tabular modality, to read the columns age (years) and sex from the header."""

    def __post_init__(self) -> None:
        """Check the options, with a `ConfigError` for a wrong one."""
        if self.frames not in FRAMES:
            raise ConfigError(f"dicom_folder: frames: {self.frames!r}; {nearest(self.frames, FRAMES)}")

    def samples(self) -> Iterator[Sample]:
        """Yield every frame, sorted by path; the target of an unreadable file is a `DataError`. Needs pydicom."""
        require("pydicom", "dicom", "pydicom")
        for path in self._files():
            name = path.relative_to(self.path).as_posix()
            try:
                yield from self._of_file(path, name)
            except DataError as error:
                yield Sample(key=name, values={}, target=error, origin=name)

    def fingerprint_inputs(self) -> dict[str, str]:
        """Return hashes of the names, sizes and times of all files, and of the beginnings of some."""
        digest = hashlib.sha256()
        files = self._files()
        for path in (*files, *(self._reports(files) if self.report else ())):
            state = path.stat()
            line = f"{path.relative_to(self.path)}:{state.st_size}:{state.st_mtime_ns}\n"
            digest.update(line.encode(errors="surrogateescape"))
        return {"files": digest.hexdigest(), "contents": look_into(self._files())}

    def _files(self) -> list[Path]:
        root = Path(self.path)
        if not root.is_dir():
            raise DataError(f"{root}: no such folder. Check the option path of the dicom_folder source")
        found = [path for path in root.glob("*/**/*") if path.is_file() and not path.name.startswith(".")]
        # DICOMDIR is the index of a medium, not an image.
        found = sorted(path for path in found if path.name.upper() != "DICOMDIR")
        if self.report:
            reports = set(self._reports(found))
            found = [path for path in found if path not in reports]
        if not found:
            raise DataError(f"{root}: the folder has no files; expected {root}/<label>/<file>")
        return found

    @staticmethod
    def _reports(files: Iterable[Path]) -> list[Path]:
        return [report for path in files if (report := report_of(path)) is not None]

    def _further(self, path: Path, name: str) -> dict[str, Any]:
        """Return the values of the modalities beside the picture."""
        if not self.report and not self.patient:
            return {}
        patient = read_patient(path, name)
        values: dict[str, Any] = {self.report: read_report(path, patient, name)} if self.report else {}
        if self.patient:
            known = {"age": patient.age, "sex": patient.sex}
            values[self.patient] = known if any(known.values()) else None
        return values

    def _of_file(self, path: Path, name: str) -> Iterator[Sample]:
        header = read_header(path, name)
        further = self._further(path, name)
        count = header.frames
        numbers = {"every": range(1, count + 1), "first": (1,), "middle": ((count + 1) // 2,)}[self.frames]
        for number in numbers:
            ending = f"#{number}" if count > 1 else ""
            yield Sample(
                key=name + ending,
                values={self.modality: f"{path}{ending}", **further},
                target=Path(name).parts[0],
                group=header.group or name,
                columns={"device": header.device},
                origin=name + ending,
            )
