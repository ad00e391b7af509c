"""``mmkeras predict BUNDLE --table FILE --out FILE``: an answer for every row of a table.

Answers are written to ``OUT.partial``, which becomes ``OUT`` at the end. When the same command runs again after it was
stopped, it goes on after the last whole line; ``OUT.partial.json`` says what the lines are answers of.
"""

from __future__ import annotations

import argparse
import csv
import hashlib
import io
import json
import os
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from mmkeras.core.errors import ConfigError, DataError, MmkerasError, nearest
from mmkeras.core.terminal import say, show_progress
from mmkeras.core.typed import read_json
from mmkeras.media.cells import is_empty
from mmkeras.media.table.rows import Row, Table, read_table
from mmkeras.runtime.predictor import Predictor
from mmkeras.runtime.rows import BATCH, Reader, mapped_columns
from mmkeras.storage.files import locked, write_json
from mmkeras.storage.privacy import Redaction

__all__ = ["add_options", "predict_table"]

_DELIMITERS = {".csv": ",", ".tsv": "\t"}
_FORMATS = (*_DELIMITERS, ".jsonl")


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add the options of this command to those of ``predict``."""
    group = parser.add_argument_group("a whole table", "Columns are those of the table that the model was trained on.")
    group.add_argument("--table", type=Path, metavar="FILE", help="predict for every row: .csv, .tsv, .jsonl, .parquet")
    group.add_argument("--out", type=Path, metavar="FILE", help="answers: .csv, .tsv or .jsonl; needed with --table")
    group.add_argument(
        "--map", nargs="+", default=[], metavar="MODALITY=COLUMN", help="read a modality from another column"
    )
    group.add_argument(
        "--missing", nargs="+", default=[], metavar="COLUMN", help="columns that the table lacks: their cells are empty"
    )
    group.add_argument("--root", type=Path, metavar="DIR", help="where paths start; the folder of the table by default")


def predict_table(predictor: Predictor, options: argparse.Namespace, redaction: Redaction) -> int:
    """Write an answer for every row; return 1 when some have none.

    Raises:
        ConfigError: options that contradict each other.
        DataError: the table cannot be read, lacks a column, or the answers cannot be written.
    """
    out: Path | None = options.out
    if out is None or out.suffix.lower() not in _FORMATS:
        hint = nearest(out.suffix, _FORMATS) if out else "for example --out answers.csv"
        raise ConfigError(f"--out {out or ''}: expected a file for the answers; {hint}")
    table = read_table(options.table)
    if out.exists() and out.samefile(options.table):
        raise ConfigError(f"--out {out} is the table itself. Name another file")
    reader = _reader(predictor, options, table)
    try:
        with locked(out.with_name(out.name + ".lock"), "which writes the same answers"):
            failed = _write(_Answers(out, table), predictor, reader, options, redaction)
    except OSError as error:
        raise DataError(f"--out {out}: cannot be written: {error.strerror or error}") from None
    rows = len(table.rows)
    say(f"{rows - failed} of {rows} rows answered: {out}" + (f"; {failed} have an error instead" if failed else ""))
    return 1 if failed else 0


def _reader(predictor: Predictor, options: argparse.Namespace, table: Table) -> Reader:
    root, mapped = options.root or options.table.parent, mapped_columns(options.map)
    reader = Reader(predictor.bundle.specs, predictor.bundle.manifest.columns, root=root, mapped=mapped)
    for name in options.missing:
        if name not in reader.names:
            raise ConfigError(f"--missing {name}: the model reads no such column; {nearest(name, reader.names)}")
    lacking = [name for name in reader.missing(table.columns) if name not in options.missing]
    if lacking:
        raise DataError(
            f"{options.table}: has no column {', '.join(map(repr, lacking))}; {nearest(lacking[0], table.columns)}. "
            "Rename it, map another (--map MODALITY=COLUMN), or predict without it (--missing COLUMN)"
        )
    return reader


class _Answers:
    """The file of answers while it is written."""

    def __init__(self, out: Path, table: Table) -> None:
        self.out, self.table = out, table
        self.partial = out.with_name(out.name + ".partial")
        self.about = out.with_name(out.name + ".partial.json")
        self._delimiter = _DELIMITERS.get(out.suffix.lower())

    def line(self, row: Row, answer: dict[str, Any], fields: Sequence[str]) -> bytes:
        """Return the line of a row: its number, its cells and the answer's fields."""
        if self._delimiter is None:
            return (json.dumps({"line": row.line, **answer}, ensure_ascii=False) + "\n").encode("utf-8", "replace")
        cells = [_text(row.cells.get(name)) for name in self.table.columns]
        return self._joined([str(row.line), *cells, *(_text(answer.get(field)) for field in fields)])

    def head(self, fields: Sequence[str]) -> bytes:
        """Return the first line; an answer's field of the same name as a column is called ``predicted_...``."""
        if self._delimiter is None:
            return b""
        taken = self.table.columns
        line = "line" if "line" not in taken else "line_of_table"
        return self._joined([line, *taken, *(f"predicted_{name}" if name in taken else name for name in fields)])

    def _joined(self, cells: Sequence[str]) -> bytes:
        text = io.StringIO()
        csv.writer(text, delimiter=str(self._delimiter), lineterminator="\n").writerow(cells)
        return text.getvalue().encode("utf-8", "replace")


def _text(value: Any) -> str:
    if isinstance(value, (dict, list, tuple)):
        return json.dumps(value, ensure_ascii=False, default=str)
    return "" if is_empty(value) else str(value)


def _write(
    answers: _Answers, predictor: Predictor, reader: Reader, options: argparse.Namespace, redaction: Redaction
) -> int:
    """Write the answers of all rows that are not yet there; return how many rows have none."""
    table = answers.table
    # One answer shows the fields, which all answers of a task share.
    specs = predictor.bundle.specs.values()
    example = {name: value[None] for spec in specs for name, value in spec.inputs(None).items()}
    fields = [*predictor.answers([example])[0], "error"]
    identity = {
        "file": [predictor.file.path, predictor.file.sha256],
        "table": hashlib.sha256(options.table.read_bytes()).hexdigest(),
        "columns": reader.columns,
        "root": str(options.root or ""),
        "fields": fields,
    }
    identity = json.loads(json.dumps(identity))
    done, failed, size = _done(answers, identity)
    if done:
        say(f"{answers.partial}: goes on after {done} of {len(table.rows)} rows", to=sys.stderr)
    with answers.partial.open("r+b" if done else "wb") as stream:
        stream.truncate(size)
        stream.seek(size)
        if not done:
            answers.about.unlink(missing_ok=True)
            _add(stream, answers.head(fields))
        for start in range(done, len(table.rows), BATCH):
            rows = table.rows[start : start + BATCH]
            found = list(_answered(rows, predictor, reader, redaction))
            failed += sum("error" in answer for answer in found)
            lines = b"".join(answers.line(row, answer, fields) for row, answer in zip(rows, found, strict=True))
            size = _add(stream, lines)
            write_json(answers.about, {**identity, "rows": start + len(rows), "failed": failed, "bytes": size})
            show_progress(f"{start + len(rows)} of {len(table.rows)} rows")
            for row, answer in zip(rows, found, strict=True):
                if "error" in answer:
                    say(f"mmkeras: {options.table}:{row.line}: {answer['error']}", to=sys.stderr)
    os.replace(answers.partial, answers.out)
    answers.about.unlink()
    return failed


def _add(stream: BinaryIO, content: bytes) -> int:
    stream.write(content)
    stream.flush()
    os.fsync(stream.fileno())
    return stream.tell()


def _done(answers: _Answers, identity: dict[str, Any]) -> tuple[int, int, int]:
    """Return rows, failed rows and bytes of an unfinished file with the same answers; zeros without one."""
    try:
        about = read_json(answers.about, DataError, "Remove it.")
        if {name: about[name] for name in identity} == identity and answers.partial.stat().st_size >= about["bytes"]:
            return int(about["rows"]), int(about["failed"]), int(about["bytes"])
    except (OSError, DataError, LookupError):
        pass
    return 0, 0, 0


def _answered(
    rows: Sequence[Row], predictor: Predictor, reader: Reader, redaction: Redaction
) -> Iterator[dict[str, Any]]:
    """Yield the answer to each row, or its error."""
    inputs: dict[int, dict[str, np.ndarray]] = {}
    answers: dict[int, dict[str, Any]] = {}

    def failed(place: int, error: Exception) -> None:
        answers[place] = {"error": redaction.about(str(error), rows[place].cells.values())}

    for place, row in enumerate(rows):
        try:
            if row.problem:
                raise DataError(row.problem)
            inputs[place] = predictor.preprocess(reader.values(row.cells))
        except (ValueError, MmkerasError) as error:
            failed(place, error)
    try:
        answers |= dict(zip(inputs, predictor.answers(list(inputs.values())), strict=True))
    except MmkerasError:  # the engine refuses values of a row: each row by itself
        for place, each in inputs.items():
            try:
                answers[place] = predictor.answers([each])[0]
            except MmkerasError as error:
                failed(place, error)
    yield from (answers[place] for place in range(len(rows)))
