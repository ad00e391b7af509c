"""Point clouds in PCD files: ascii, binary and binary_compressed (https://pointclouds.org, PCD file format 0.7).

numpy only. Every error names the file and, in the header and in ascii data, the line.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from mmkeras.core.errors import DataError, named, nearest
from mmkeras.media.points.pcd_header import NO_VIEWPOINT, Header, header_text, read_header

__all__ = ["Cloud", "decompress", "read_pcd", "write_pcd"]


@dataclass(frozen=True)
class Cloud:
    """The points of one file, a column per field."""

    fields: tuple[str, ...]
    """Names in the order of the file, without padding (``_``)."""
    columns: dict[str, np.ndarray]
    """Values by field in the dtype of the file: (N,), or (N, COUNT) where COUNT is not 1."""
    width: int
    """Points in a row of an organised cloud; otherwise all points."""
    height: int
    """Rows of an organised cloud; otherwise 1."""
    viewpoint: tuple[float, ...] = NO_VIEWPOINT
    """Pose of the sensor: translation x, y, z and quaternion w, x, y, z."""

    def __len__(self) -> int:
        """Number of points: width times height, points of an organised cloud row by row."""
        return self.width * self.height

    def table(self, fields: Sequence[str]) -> np.ndarray:
        """Return float32 (N, F) of the named fields."""
        for name in fields:
            if name not in self.columns:
                raise DataError(f"the point cloud has no field {name!r}; {nearest(name, self.fields)}")
            if self.columns[name].ndim != 1:
                raise DataError(f"field {name!r}: expected one number a point, got {self.columns[name].shape[1]}")
        result = np.empty((len(self), len(fields)), np.float32)
        for number, name in enumerate(fields):
            result[:, number] = self.columns[name]
        return result


def read_pcd(source: str | os.PathLike[str] | bytes) -> Cloud:
    """Read a point cloud from a path or from bytes.

    Bytes after the last point are ignored: writers pad files to whole pages, and nuScenes adds one byte.

    Raises:
        DataError: no such file, an invalid header, or fewer points than declared.
    """
    if isinstance(source, bytes):
        name, data = f"point cloud of {len(source)} bytes", source
    else:
        name = named(source)
        try:
            path = Path(source)
            # Reading a device or a pipe might never end.
            if path.exists() and not path.is_file():
                raise DataError(f"{name}: cannot be read: expected a file, got a folder or a device")
            data = path.read_bytes()
        except FileNotFoundError:
            raise DataError(f"{name}: no such file") from None
        except (OSError, ValueError) as error:
            raise DataError(f"{name}: cannot be read: {getattr(error, 'strerror', None) or error}") from None
    if not data:
        raise DataError(f"{name}: the file is empty; expected a PCD header")
    header = read_header(data, name)
    body = data[header.size :]
    if header.encoding == "ascii":
        columns = _read_ascii(body, header, name)
    elif header.encoding == "binary":
        columns = _read_binary(body, header, name)
    else:
        columns = _read_compressed(body, header, name)
    columns = {field: values for field, values in columns.items() if not field.startswith("_")}
    return Cloud(tuple(columns), columns, header.width, header.height, header.viewpoint)


def write_pcd(points: np.ndarray, fields: Sequence[str]) -> bytes:
    """Return a binary file of float32 points (N, F); for given fields its header always has the same length."""
    points = np.asarray(points, np.float32)
    if points.ndim != 2 or points.shape[1] != len(fields):
        raise DataError(f"expected points (N, {len(fields)}) for {', '.join(fields)}, got {points.shape}")
    return header_text(len(points), fields) + points.astype("<f4").tobytes()


def _read_binary(body: bytes, header: Header, name: str) -> dict[str, np.ndarray]:
    count = header.width * header.height
    if len(body) < count * header.dtype.itemsize:
        raise DataError(
            f"{name}: truncated: the header declares {count} points of {header.dtype.itemsize} bytes, which is "
            f"{count * header.dtype.itemsize}, but {len(body)} bytes follow it"
        )
    records = np.frombuffer(body, header.dtype, count)
    return {field: np.ascontiguousarray(records[field]) for field in header.dtype.names or ()}


def _read_compressed(body: bytes, header: Header, name: str) -> dict[str, np.ndarray]:
    """Unpack the data, in which each column is stored as a whole."""
    count = header.width * header.height
    packed, unpacked = (int.from_bytes(body[at : at + 4], "little") for at in (0, 4))
    if len(body) < 8 or len(body) - 8 < packed:
        raise DataError(f"{name}: truncated: {packed} compressed bytes are declared, {max(len(body) - 8, 0)} follow")
    if unpacked != count * header.dtype.itemsize:
        raise DataError(
            f"{name}: the header declares {count} points of {header.dtype.itemsize} bytes, the data {unpacked} bytes"
        )
    try:
        data = decompress(body[8 : 8 + packed], unpacked)
    except DataError as error:
        raise DataError(f"{name}: {error}") from None
    columns, position = {}, 0
    for field in header.dtype.names or ():
        one = header.dtype[field]
        numbers = np.frombuffer(data, one.base, count * int(np.prod(one.shape, dtype=int)), position)
        columns[field] = numbers.reshape(count, *one.shape)
        position += count * one.itemsize
    return columns


def _read_ascii(body: bytes, header: Header, name: str) -> dict[str, np.ndarray]:
    names, count = header.dtype.names or (), header.width * header.height
    sizes = [int(np.prod(header.dtype[field].shape, dtype=int)) for field in names]
    rows: list[list[str]] = []
    lines: list[int] = []
    for line, text in enumerate(body.decode("ascii", "replace").split("\n"), start=header.lines + 1):
        words = text.split()
        if len(rows) == count or not words:
            continue
        if len(words) != sum(sizes):
            raise DataError(f"{name}:{line}: expected {sum(sizes)} numbers, got {len(words)}")
        rows.append(words)
        lines.append(line)
    if len(rows) < count:
        raise DataError(f"{name}: truncated: the header declares {count} points, got {len(rows)}")
    columns, start = {}, 0
    for field, size in zip(names, sizes, strict=True):
        one = header.dtype[field]
        values = np.empty((count, size), one.base)
        for row, words in enumerate(rows):
            try:
                values[row] = [_value(word, one.base) for word in words[start : start + size]]
            except ValueError:
                wrong = " ".join(words[start : start + size])[:40]
                raise DataError(f"{name}:{lines[row]}: field {field!r}: expected {one.base}, got {wrong!r}") from None
        columns[field] = values.reshape(count, *one.shape)
        start += size
    return columns


def _value(word: str, dtype: np.dtype) -> float | int:
    """Return a number that fits the dtype, or raise a ValueError."""
    if dtype.kind == "f":
        return float(word)
    value, limits = int(word), np.iinfo(dtype)
    if not limits.min <= value <= limits.max:
        raise ValueError
    return value


def decompress(data: bytes, size: int) -> bytes:
    """Return the ``size`` bytes that LZF packed into ``data``.

    A control byte below 32 is followed by that many literal bytes plus one. Any other control byte repeats earlier
    output: its upper three bits are the length less 2 (7: the next byte is added), its lower five and the next byte the
    distance less 1.

    Raises:
        DataError: the bytes end early, point before the beginning, or unpack to another size.
    """
    out = bytearray()
    position, end = 0, len(data)
    try:
        while position < end:
            control = data[position]
            position += 1
            if control < 32:
                run = data[position : position + control + 1]
                if len(run) <= control:
                    raise IndexError
                out += run
                position += control + 1
            else:
                length = control >> 5
                if length == 7:
                    length += data[position]
                    position += 1
                distance = ((control & 31) << 8) + data[position] + 1
                position += 1
                length += 2
                start = len(out) - distance
                if start < 0:
                    raise DataError(f"LZF: byte {position} repeats output {-start} bytes before the beginning")
                # The repeated part may overlap its copy: a run of one byte has distance 1.
                chunk = bytes(out[start : start + length])
                out += (chunk * (length // len(chunk) + 1))[:length]
            if len(out) > size:
                raise DataError(f"LZF: expected {size} bytes, got more")
    except IndexError:
        raise DataError(f"LZF: the data end within an instruction, after {end} bytes") from None
    if len(out) != size:
        raise DataError(f"LZF: expected {size} bytes, got {len(out)}")
    return bytes(out)
