"""Reads untrusted .npy and .npz files: no pickled objects, and no array larger than its file. numpy only.

numpy allocates the size in a header before it checks the file, and zip members may unpack a thousandfold. Both are
checked first here.
"""

from __future__ import annotations

import io
import math
import zipfile
from pathlib import Path
from typing import IO

import numpy as np

__all__ = ["MAX_BYTES", "read_npy", "read_npz"]

MAX_BYTES = 2 << 30
"""Largest number of bytes of one file's arrays in memory."""
_GROWTH = 1100
"""Limit of the compression ratio; deflate reaches at most 1,032."""


def read_npy(source: Path | bytes) -> np.ndarray:
    """Read one array, from a file or from its bytes.

    Raises:
        FileNotFoundError: no such file.
        ValueError: it cannot be read, is not an array, or is larger than its file.
    """
    try:
        if isinstance(source, bytes):
            return _read(io.BytesIO(source), len(source))
        with source.open("rb") as stream:
            return _read(stream, source.stat().st_size)
    except (FileNotFoundError, ValueError):
        raise
    except Exception as error:  # numpy's parser of headers raises nearly anything
        raise ValueError(f"not a whole .npy file ({type(error).__name__}: {error!s:.200})") from error


def read_npz(path: Path, most: int = MAX_BYTES) -> dict[str, np.ndarray]:
    """Read every array of an archive by name, together at most ``most`` bytes.

    Raises:
        FileNotFoundError: no such file.
        ValueError: it cannot be read, has members that are not arrays, or would be too large.
    """
    try:
        with path.open("rb") as stream, zipfile.ZipFile(stream) as archive:
            declared = sum(member.file_size for member in archive.infolist())
            if declared > min(most, _GROWTH * path.stat().st_size):
                raise ValueError(f"its arrays would take {declared:,} bytes, at most {most:,} are allowed")
            arrays = {}
            for member in archive.infolist():
                name = member.filename.removesuffix(".npy")
                if name == member.filename or name in arrays:
                    raise ValueError(f"its member {member.filename[:80]!r} is not an array, or is there twice")
                with archive.open(member) as content:
                    arrays[name] = _read(content, member.file_size)
            return arrays
    except (FileNotFoundError, ValueError):
        raise
    except Exception as error:  # zipfile, zlib and numpy raise nearly anything on a hostile file
        raise ValueError(f"not a whole .npz file ({type(error).__name__}: {error!s:.200})") from error


def _read(stream: IO[bytes], size: int) -> np.ndarray:
    """Read an array from a stream of ``size`` bytes."""
    version = np.lib.format.read_magic(stream)
    headers = {(1, 0): np.lib.format.read_array_header_1_0, (2, 0): np.lib.format.read_array_header_2_0}
    if version not in headers:
        raise ValueError(f"written in version {version} of the .npy format; expected 1.0 or 2.0")
    shape, by_columns, dtype = headers[version](stream)
    if dtype.hasobject:
        raise ValueError("it holds pickled objects, which are never loaded")
    if not all(type(side) is int and side >= 0 for side in shape) or len(shape) > 32:
        raise ValueError(f"the shape {shape!s:.80} is not a shape")
    if not dtype.itemsize:
        raise ValueError(f"values of the dtype {dtype} have no bytes, so the file does not limit their number")
    wanted = math.prod(shape) * dtype.itemsize
    if wanted > size:
        raise ValueError(f"its header declares {wanted:,} bytes, the file has {size:,}")
    data = stream.read(wanted)
    if len(data) < wanted:
        raise ValueError(f"truncated: its header declares {wanted:,} bytes, {len(data):,} follow it")
    array = np.frombuffer(bytearray(data), dtype)
    return array.reshape(shape, order="F" if by_columns else "C")
