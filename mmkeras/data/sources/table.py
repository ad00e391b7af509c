"""A table of the user's data: one CSV, JSONL or Parquet file with a row per sample.

Names of columns, splits, groups, keys and columns to slice by are normalised by `tidy`. Texts of a modality stay
unchanged.
"""

from __future__ import annotations

import hashlib
import math
import stat
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, ClassVar, Literal

from mmkeras.core.errors import ConfigError, DataError, nearest
from mmkeras.data.sources._contract import SPLITS, Sample, SourceBase, split_called
from mmkeras.data.sources._files import files_in, look_into
from mmkeras.media.cells import is_empty, name_of, tidy
from mmkeras.media.dicom.paths import split_frame
from mmkeras.media.table.files import Folder
from mmkeras.media.table.inputs import called, cell_of, names_of, raw_value
from mmkeras.media.table.rows import Row, Table, read_table
from mmkeras.modalities import ModalitySpec

__all__ = ["Source"]


@dataclass(frozen=True)
class Source(SourceBase):
    """A table with a row per sample; columns without a role become columns to slice the evaluation by."""

    reads: ClassVar[tuple[str, ...]] = ("path", "root")

    path: str
    """The table: .csv, .tsv, .jsonl (one object a line) or .parquet."""
    columns: dict[str, str | tuple[str, ...]] = field(default_factory=dict)
    """Column of each modality, for example {image = "file", text = "question"}; a modality that reads several cells has
    a list of columns, by default those of its own configuration."""
    target: str | tuple[str, ...] = "label"
    """Column of the label, labels or number; several columns give a list of numbers."""
    separator: str = ""
    """Splits a target cell into several labels, for example ";"."""
    files: tuple[str, ...] | None = None
    """Modalities whose cells are paths of files; when not given, those of the model that read files, such as pictures.
    A cell such as "scan.dcm#3" is the third frame of a DICOM file.

    A path that does not exist is tried with / for each backslash, and in other forms of its Unicode letters.
    """
    root: str = ""
    """Folder that relative paths start from; the table's own folder when empty."""
    split: str | None = None
    """Column with train, validation (also val, valid, dev) or test; rows with an empty cell are split by the shares."""
    whole: str | None = None
    """Split of every row, in place of a column: "test" to evaluate a model on new data."""
    group: str | None = None
    """Column of the group, for example a patient: rows with the same value are in one split."""
    weight: str | None = None
    """Column with the sample's weight in loss and metrics; an empty cell means 1."""
    key: str | None = None
    """Column with a unique name of the row; when not given, the name is its line."""
    missing: Literal["quarantine", "absent"] = "quarantine"
    """Whether an empty cell of a modality makes a bad row, or the modality is missing on purpose."""

    def __post_init__(self) -> None:
        """Check the options, with a `ConfigError` for a wrong one."""
        if self.missing not in ("quarantine", "absent"):
            raise ConfigError(f"table: missing: {self.missing!r}; {nearest(self.missing, ('quarantine', 'absent'))}")
        if self.whole not in (None, *SPLITS):
            raise ConfigError(f"table: whole: {self.whole!r}; {nearest(str(self.whole), SPLITS)}")
        if self.whole and self.split:
            raise ConfigError(
                f"table: whole {self.whole!r} and the column {self.split!r} both give the split. Leave out one"
            )

    def derived(self, modalities: Mapping[str, ModalitySpec]) -> Source:
        """Return the source with the columns of modalities that read several, and with ``files``, those of files."""
        columns = {name: spec.columns for name, spec in modalities.items() if spec.columns} | self.columns
        files = tuple(name for name in columns if name in modalities and modalities[name].reads_files)
        return replace(self, columns=columns, files=files if self.files is None else self.files)

    def samples(self) -> Iterator[Sample]:
        """Yield every row in the order of the file; the target of a bad row is a `DataError`."""
        table = self._read()
        further = [name for name in table.columns if name not in map(tidy, self._roles.values())]
        folder = Folder(self._folder)
        for row in table.rows:
            origin = f"{Path(self.path).name}:{row.line}"
            try:
                yield self._sample(row, further, folder, origin)
            except DataError as error:
                yield Sample(key=origin, values={}, target=error, origin=origin)

    def fingerprint_inputs(self) -> dict[str, str]:
        """Return the hash of the table, and hashes of size and time of all its files and of some contents.

        Reading all contents would take as long as converting them.
        """
        table = self._read()
        path = Path(self.path)
        result = {path.name: hashlib.sha256(path.read_bytes()).hexdigest()}
        folder = Folder(self._folder)
        for modality in (m for m in self.files or () if m in self.columns):
            cells = (row.cells.get(tidy(str(self.columns[modality]))) for row in table.rows)
            digest = hashlib.sha256()
            names = sorted({name for cell in cells for name in _names(folder, cell)})
            named_files = [(name, Path(split_frame(_place(folder, name))[0])) for name in names]
            # A clip may be a folder of pictures.
            named_files = [(name, file) for name, path in named_files for file in files_in(path)]
            paths = [file for _, file in named_files]
            for name, file in named_files:
                digest.update(f"{name}:{file.name}:{_state(file)}\n".encode(errors="replace"))
            result[f"{modality} files"] = digest.hexdigest()
            result[f"{modality} contents"] = look_into(paths)
        return result

    @property
    def _folder(self) -> Path:
        return Path(self.root) if self.root else Path(self.path).parent

    @property
    def _targets(self) -> tuple[str, ...]:
        return names_of(self.target)

    @property
    def _roles(self) -> dict[str, str]:
        """Column by the option that names it."""
        single = {name: getattr(self, name) for name in ("split", "group", "weight", "key")}
        return {
            **{key: column for name, given in self.columns.items() for key, column in _named(f"columns.{name}", given)},
            **{f"target ({column})": column for column in self._targets},
            **{name: column for name, column in single.items() if column is not None},
        }

    def _read(self) -> Table:
        if not self.columns:
            raise ConfigError('table: columns is empty; expected for example {image = "file", text = "question"}')
        table = read_table(Path(self.path))
        problems = [
            f"{self.path}: {option} names the column {column!r}, which the table does not have; "
            f"{nearest(column, table.columns)}"
            for option, column in self._roles.items()
            if tidy(column) not in table.columns
        ]
        if problems:
            raise DataError("\n".join(problems))
        return table

    def _sample(self, row: Row, further: list[str], folder: Folder, origin: str) -> Sample:
        if row.problem:
            raise DataError(row.problem)
        given = _name(row, self.split)
        split = self.whole if given is None else split_called(given)
        if given is not None and split is None:
            raise DataError(f"column {self.split!r}: {given!r} is not a split; {nearest(given, SPLITS)}")
        values, remarks = {}, [row.remark] if row.remark else []
        for modality, column in self.columns.items():
            value, remark = raw_value(row.cells, column, folder if modality in (self.files or ()) else None)
            if value is None and self.missing != "absent":
                raise DataError(f'{called(column)} empty; the option missing = "absent" accepts that')
            remarks += [remark] if remark else []
            values[modality] = value
        return Sample(
            key=_name(row, self.key) or origin,
            values=values,
            target=self._target(row),
            split=split,
            group=_name(row, self.group),
            weight=_weight(row, self.weight),
            columns={name: _shown(row.cells.get(name)) for name in further},
            origin=origin,
            remarks=tuple(remarks),
        )

    def _target(self, row: Row) -> Any:
        for column in self._targets:
            if is_empty(cell_of(row.cells, column)):
                raise DataError(f"column {column!r}: the target is empty")
        if not isinstance(self.target, str):
            return [cell_of(row.cells, column) for column in self._targets]
        cell = cell_of(row.cells, self.target)
        if self.separator and isinstance(cell, str):
            return [label for part in cell.split(self.separator) if (label := part.strip())]
        return cell


def _named(option: str, given: str | tuple[str, ...]) -> list[tuple[str, str]]:
    """Return the columns of an option, each with a name for messages."""
    names = names_of(given)
    return [(option if isinstance(given, str) else f"{option}[{place}]", name) for place, name in enumerate(names)]


def _name(row: Row, column: str | None) -> str | None:
    """Return the name in a cell; ``None`` if it is empty or no column is given."""
    if column is None or is_empty(cell := cell_of(row.cells, column)):
        return None
    name = name_of(cell)
    if name is None and not isinstance(cell, str):
        raise DataError(f"column {column!r}: expected a name or a number, got {cell!r:.80} ({type(cell).__name__})")
    return name


def _shown(cell: Any) -> str:
    """Return the value of a column to slice by."""
    if is_empty(cell):
        return ""
    name = name_of(cell)
    return str(cell) if name is None and not isinstance(cell, str) else name or ""


def _weight(row: Row, column: str | None) -> float:
    """Return the weight in a cell; 1 if it is empty or no column is given."""
    if column is None or is_empty(cell := cell_of(row.cells, column)):
        return 1.0
    try:
        value = float(cell)
    except (TypeError, ValueError, OverflowError):
        value = math.nan
    if not math.isfinite(value) or isinstance(cell, bool):
        raise DataError(f"column {column!r}: expected a number, got {cell!r:.80}")
    return value


def _state(path: Path) -> str:
    """Return size and time of a file; those of a folder change with every file written into it."""
    try:
        state = path.stat()
    except (OSError, ValueError):
        return "missing"
    return f"{state.st_size}:{state.st_mtime_ns}" if stat.S_ISREG(state.st_mode) else "no file"


def _names(folder: Folder, cell: Any) -> Iterable[str]:
    """Return the files that a cell names; none where it is empty, which would name the folder itself."""
    if is_empty(cell):
        return ()
    if isinstance(cell, str):
        return folder.several(cell) or [cell]
    return [name for name in cell if isinstance(name, str)] if isinstance(cell, list | tuple) else ()


def _place(folder: Folder, name: str) -> str:
    """Return the path of a file; a missing one as in the table."""
    try:
        return folder.find(name)[0]
    except DataError:
        return name
