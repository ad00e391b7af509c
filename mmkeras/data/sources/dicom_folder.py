"""A folder of DICOM files, a folder for each class: ``<path>/<label>/.../<file>``; every frame is a sample.

A patient's files are in one split. The patient's ID is used only for that: it is not in keys, columns, records or
messages. DICOM files are recognised by their content, not by their name.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, Literal

from mmkeras.core.errors import ConfigError, DataError, nearest, require
from mmkeras.data.sources._contract import Sample, SourceBase
from mmkeras.data.sources._files import look_into
from mmkeras.media.dicom.header import read_header

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
        for path in self._files():
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
        if not found:
            raise DataError(f"{root}: the folder has no files; expected {root}/<label>/<file>")
        return found

    def _of_file(self, path: Path, name: str) -> Iterator[Sample]:
        header = read_header(path, name)
        count = header.frames
        numbers = {"every": range(1, count + 1), "first": (1,), "middle": ((count + 1) // 2,)}[self.frames]
        for number in numbers:
            ending = f"#{number}" if count > 1 else ""
            yield Sample(
                key=name + ending,
                values={self.modality: f"{path}{ending}"},
                target=Path(name).parts[0],
                group=header.group or name,
                columns={"device": header.device},
                origin=name + ending,
            )
