"""The index of a converted dataset: its shards, the rows that were left out, and its inputs."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from mmkeras.core.errors import DataError, nearest
from mmkeras.core.typed import Checked, read_json
from mmkeras.data.quarantine import BadRow
from mmkeras.storage.files import write_json

__all__ = ["INDEX_FILE", "Index", "QUARANTINE_FILE", "SCHEMA_VERSION", "Shard", "Split", "check_lengths", "lengths_fit"]

SCHEMA_VERSION = 3
"""Increased when the format of shards or index changes; older data is then converted again."""
INDEX_FILE = "index.json"
QUARANTINE_FILE = "quarantine.csv"
"""The bad rows, each with its line and the reason."""


@dataclass(frozen=True)
class Shard:
    """One TFRecord file."""

    file: str
    samples: int
    size: int
    """Bytes."""


@dataclass(frozen=True)
class Split:
    """One split of the data. ``rows == samples + quarantined + left_out``."""

    rows: int
    """Rows of the source."""
    samples: int
    quarantined: int
    left_out: int
    """Rows beyond ``data.limit``."""
    shards: tuple[Shard, ...]
    """In order."""
    classes: dict[str, int]
    """Samples by label; a sample with several labels counts for each; empty for a regression."""


@dataclass(frozen=True)
class Index:
    """A converted dataset."""

    folder: Path
    fingerprint: str
    """Hash of the inputs and of the configuration that shaped the shards."""
    inputs: dict[str, str]
    """Identification of the inputs by the source."""
    shaped_by: dict[str, Any]
    """The configuration that shaped the shards."""
    modalities: dict[str, str]
    """Component by modality name, for example ``{"image": "image", "text": "text"}``."""
    task: dict[str, Any]
    """The task's spec at conversion, as JSON."""
    targets: dict[str, str]
    """Dtype, shape and encoding of each target in the records, for example ``{"mask": "uint8 [360, 480] png"}``."""
    labels: tuple[str, ...]
    """The classes in order: the task's own, or those found in the data, sorted; empty for a regression."""
    columns: tuple[str, ...]
    """Columns to slice by."""
    splits: dict[str, Split]
    """Those of ``train``, ``validation`` and ``test`` that have rows."""
    unassigned: int = 0
    """Bad rows without a known split."""
    notes: tuple[str, ...] = ()
    """Rows that were merged or kept together, and unusual rows that are used."""
    reasons: dict[str, int] = field(default_factory=dict)
    """Quarantined rows by reason."""
    written_by: dict[str, str] = field(default_factory=dict)
    damaged: tuple[BadRow, ...] = ()
    """Unreadable records, found by `mmkeras.data.salvage.usable` and never saved."""

    @property
    def rows(self) -> int:
        """All rows of the source: converted, quarantined or left out."""
        return sum(split.rows for split in self.splits.values()) + self.unassigned

    @property
    def quarantined(self) -> int:
        """All rows in quarantine."""
        return sum(split.quarantined for split in self.splits.values()) + self.unassigned

    def split(self, name: str) -> Split:
        """Return one split."""
        split = self.splits.get(name)
        if split is None or not split.samples:
            valid = [key for key, value in self.splits.items() if value.samples]
            raise DataError(f"{self.folder}: no samples in the split {name!r}; {nearest(name, valid)}")
        return split

    def samples(self, split: str) -> int:
        """Return the number of samples in a split; 0 where there is none."""
        return self.splits[split].samples if split in self.splits else 0

    def files(self, split: str) -> list[str]:
        """Return the paths of a split's shards in order."""
        return [str(self.folder / shard.file) for shard in self.split(split).shards]

    def save(self, folder: Path) -> None:
        """Write the index into a folder, in one move."""
        value = {"schema_version": SCHEMA_VERSION, **dataclasses.asdict(self)}
        del value["folder"], value["damaged"]
        write_json(folder / INDEX_FILE, value)

    @classmethod
    def load(cls, folder: Path) -> Index:
        """Read the index of a folder and check that its shards exist with the right size.

        Raises:
            DataError: no index, one of another version, or shards that are missing or truncated.
        """
        path, hint = Path(folder) / INDEX_FILE, "Delete the folder and convert again"
        try:
            value = read_json(path, DataError, hint)
        except FileNotFoundError:
            raise DataError(f"{path}: no such file. Expected the folder of a converted dataset") from None
        version = value.pop("schema_version", None)
        if version != SCHEMA_VERSION:
            raise DataError(
                f"{path}: converted by another version of mmkeras (format {version!r:.20}, this version reads "
                f"{SCHEMA_VERSION}). {hint}"
            )
        index = Checked(str(path), DataError, hint).build(cls, value, folder=Path(folder), damaged=())
        for shard in (shard for split in index.splits.values() for shard in split.shards):
            if Path(shard.file).name != shard.file or "\0" in shard.file or len(shard.file) > 200:
                raise DataError(f"{path}: the shard {shard.file!r:.80} is outside the folder and is not read. {hint}")
            file = index.folder / shard.file
            size = file.stat().st_size if file.is_file() else None
            if size != shard.size:
                raise DataError(f"{file}: expected {shard.size} bytes, got {size}. {hint}")
        return index


_HEADER, _AROUND = 8, 16
"""Bytes of the length before a record; of the length and both checksums."""


def lengths_fit(path: Path) -> bool:
    """Return whether the lengths of the records add up to the size of the file."""
    total, offset = path.stat().st_size, 0
    with path.open("rb") as file:
        while offset < total:
            file.seek(offset)
            offset += _AROUND + int.from_bytes(file.read(_HEADER), "little")
    return offset == total


def check_lengths(index: Index, split: str) -> None:
    """Check the shards of a split."""
    for name in index.files(split):
        try:
            fits = lengths_fit(Path(name))
        except OSError as error:
            raise DataError(f"{name}: cannot be read: {error.strerror}. Delete the folder and convert again") from None
        if not fits:
            raise DataError(
                f"{name}: a shard is damaged: its records are longer or shorter than the file. Delete the folder and "
                "convert again"
            )
