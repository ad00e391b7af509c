"""What a DICOM header declares, held to limits and to the bytes that there are, before anything is allocated."""

from __future__ import annotations

import zlib
from typing import Any

from mmkeras.core.errors import DataError
from mmkeras.media.dicom.codestream import declared_size

__all__ = ["MOST_PIXELS", "check_inflation", "check_size", "positive"]

MOST_PIXELS = 89_478_485
"""Pixels of one frame, as in `pixels`; the largest detectors have a quarter of it."""
MOST_INFLATED = 1 << 30
"""Bytes of a deflated data set after inflation."""


def check_inflation(rest: bytes, name: str) -> None:
    """Inflate into nothing first: pydicom would inflate a bomb in one go."""
    inflater, size = zlib.decompressobj(-zlib.MAX_WBITS), 0
    while rest and not inflater.eof:
        size += len(inflater.decompress(rest, 1 << 20))
        if size > MOST_INFLATED:
            raise DataError(f"{name}: the data set inflates to more than {MOST_INFLATED >> 20} MiB")
        rest = inflater.unconsumed_tail


def check_size(dataset: Any, name: str, index: int) -> None:
    """Hold what the header declares to the limit and to the bytes that there are, before anything is allocated."""
    rows, columns = (positive(dataset, key, name) for key in ("Rows", "Columns"))
    if rows * columns > MOST_PIXELS:
        raise DataError(f"{name}: {columns}x{rows} pixels: larger than the {MOST_PIXELS:,} that are read at most")
    samples = positive(dataset, "SamplesPerPixel", name, 1)
    bits = positive(dataset, "BitsAllocated", name)
    if samples not in (1, 3) or bits not in (1, 8, 16, 32, 64):
        raise DataError(f"{name}: {samples} samples of {bits} bits in a pixel; expected 1 or 3 of 1, 8, 16, 32 or 64")
    data = next((d for key in ("PixelData", "FloatPixelData", "DoubleFloatPixelData") if (d := dataset.get(key))), None)
    if not data:
        raise DataError(f"{name}: a DICOM file without pixel data; expected an image")
    if dataset.file_meta.TransferSyntaxUID.is_encapsulated:
        size = declared_size(_fragment(dataset, index))
        if size is not None and size != (rows, columns):
            raise DataError(
                f"{name}: the header declares {columns}x{rows} pixels, the compressed image {size[1]}x{size[0]}"
            )
        return
    # A subsampled colour image has two values for each pixel.
    halves = 4 if dataset.PhotometricInterpretation == "YBR_FULL_422" else 2 * samples
    needed = (rows * columns * halves * bits * positive(dataset, "NumberOfFrames", name, 1) // 2 + 7) // 8
    if len(data) < needed:
        raise DataError(f"{name}: truncated: expected {needed} bytes of pixels, got {len(data)}")


def _fragment(dataset: Any, index: int) -> bytes:
    from pydicom.encaps import get_frame

    frames = int(dataset.get("NumberOfFrames", 1) or 1)
    return bytes(get_frame(dataset.PixelData, index, number_of_frames=frames))


def positive(dataset: Any, key: str, name: str, default: int = 0) -> int:
    """Return a positive whole number of the header."""
    value = dataset.get(key)
    if value in (None, "") and default:
        return default
    try:
        number = int(value)
    except (TypeError, ValueError):
        number = 0
    if number < 1:
        raise DataError(f"{name}: {key}: expected a whole number of at least 1")
    return number
