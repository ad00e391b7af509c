"""The header of PCD files: read, checked and written (https://pointclouds.org, PCD file format 0.7). numpy only."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from mmkeras.core.errors import DataError, nearest

__all__ = ["ENCODINGS", "NO_VIEWPOINT", "Header", "header_text", "read_header"]

KEYS = ("VERSION", "FIELDS", "SIZE", "TYPE", "COUNT", "WIDTH", "HEIGHT", "VIEWPOINT", "POINTS", "DATA")
ENCODINGS = ("ascii", "binary", "binary_compressed")
DTYPES = {f"{kind}{size}": f"<{kind.lower()}{size}" for kind, size in (("F", 2), ("F", 4), ("F", 8))} | {
    f"{kind}{size}": f"<{kind.lower()}{size}" for kind in "IU" for size in (1, 2, 4, 8)
}
NO_VIEWPOINT = (0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0)


@dataclass(frozen=True)
class Header:
    """The header before the points."""

    dtype: np.dtype
    """The packed record of a point."""
    width: int
    height: int
    viewpoint: tuple[float, ...]
    """Translation and quaternion of the sensor."""
    encoding: str
    lines: int
    """Lines up to the data."""
    size: int
    """Bytes up to the data."""


def header_text(count: int, fields: Sequence[str]) -> bytes:
    """Return the header of a binary file of float32 fields; its length does not depend on the number of points."""
    if not fields or len(set(fields)) != len(fields) or not all(re.fullmatch(r"[A-Za-z]\w*", f) for f in fields):
        raise DataError(f"expected distinct names of fields made of letters, digits and _, got {list(fields)}")
    each = len(fields)
    return (
        f"# .PCD v0.7 - Point Cloud Data file format\nVERSION 0.7\nFIELDS {' '.join(fields)}\nSIZE{' 4' * each}\n"
        f"TYPE{' F' * each}\nCOUNT{' 1' * each}\nWIDTH {count:010d}\nHEIGHT 1\nVIEWPOINT 0 0 0 1 0 0 0\n"
        f"POINTS {count:010d}\nDATA binary\n"
    ).encode()


def read_header(data: bytes, name: str) -> Header:
    """Read and check a header."""
    values: dict[str, tuple[int, list[str]]] = {}
    position = line = 0
    while "DATA" not in values:
        line += 1
        end = data.find(b"\n", position)
        # A header line is short; without this limit, a picture file would be searched to its end and quoted.
        if end < 0 or end - position > 65536:
            raise DataError(f"{name}:{line}: the header ends without a DATA line; expected a PCD file")
        words = data[position:end].decode("ascii", "replace").split()
        position = end + 1
        if not words or words[0].startswith("#"):
            continue
        key = {"COLUMNS": "FIELDS"}.get(words[0], words[0])
        if key not in KEYS:
            raise DataError(f"{name}:{line}: {key[:40]!r} is not a key of a PCD header; {nearest(key[:40], KEYS)}")
        if key in values:
            raise DataError(f"{name}:{line}: {key} is already on line {values[key][0]}")
        values[key] = (line, words[1:])
    missing = [key for key in ("FIELDS", "SIZE", "TYPE", "WIDTH", "HEIGHT") if key not in values]
    if missing:
        raise DataError(f"{name}: the header has no {' and no '.join(missing)}")
    dtype = _dtype(values, name)
    width, height = _number(values, "WIDTH", name), _number(values, "HEIGHT", name)
    if "POINTS" in values and _number(values, "POINTS", name) != width * height:
        points, at = _number(values, "POINTS", name), values["POINTS"][0]
        raise DataError(f"{name}:{at}: POINTS {points} is not WIDTH {width} times HEIGHT {height}")
    encoding = " ".join(values["DATA"][1])
    if encoding not in ENCODINGS:
        raise DataError(f"{name}:{line}: DATA {encoding[:40]!r}; {nearest(encoding[:40], ENCODINGS)}")
    return Header(dtype, width, height, _viewpoint(values, name), encoding, line, position)


def _dtype(values: dict[str, tuple[int, list[str]]], name: str) -> np.dtype:
    """Return the packed record; padding fields get names that start with ``_`` and their number."""
    fields = values["FIELDS"][1]
    if not fields:
        raise DataError(f"{name}:{values['FIELDS'][0]}: FIELDS names no fields")
    counts = values.get("COUNT", (0, ["1"] * len(fields)))
    for key, words in (("SIZE", values["SIZE"]), ("TYPE", values["TYPE"]), ("COUNT", counts)):
        if len(words[1]) != len(fields):
            raise DataError(f"{name}:{words[0]}: expected {len(fields)} words after {key}, got {len(words[1])}")
    record: list[tuple[str, str, tuple[int, ...]]] = []
    for number, field in enumerate(fields):
        kind, size, count = (words[number] for words in (values["TYPE"][1], values["SIZE"][1], counts[1]))
        if kind + size not in DTYPES:
            at = values["TYPE"][0]
            raise DataError(f"{name}:{at}: field {field!r} has TYPE {kind} and SIZE {size}; known: {', '.join(DTYPES)}")
        if not re.fullmatch("[0-9]{1,5}", count) or not 0 < int(count) <= 65536:
            raise DataError(f"{name}:{counts[0]}: field {field!r}: expected a COUNT from 1 to 65536, got {count!r:.40}")
        unique = f"_{number}" if field == "_" else field
        if unique in (other for other, _, _ in record):
            raise DataError(f"{name}:{values['FIELDS'][0]}: the field {field!r} occurs twice")
        record.append((unique, DTYPES[kind + size], () if count == "1" else (int(count),)))
    return np.dtype(record)


def _number(values: dict[str, tuple[int, list[str]]], key: str, name: str) -> int:
    line, words = values[key]
    if len(words) != 1 or not re.fullmatch(r"[0-9]{1,10}", words[0]):
        raise DataError(f"{name}:{line}: expected a whole number after {key}, got {' '.join(words)[:40]!r}")
    return int(words[0])


def _viewpoint(values: dict[str, tuple[int, list[str]]], name: str) -> tuple[float, ...]:
    if "VIEWPOINT" not in values:
        return NO_VIEWPOINT
    line, words = values["VIEWPOINT"]
    try:
        numbers = tuple(float(word) for word in words)
    except ValueError:
        numbers = ()
    if len(numbers) != 7:
        raise DataError(f"{name}:{line}: expected seven numbers after VIEWPOINT, got {' '.join(words)[:80]!r}")
    return numbers
