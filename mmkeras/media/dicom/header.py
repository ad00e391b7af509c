"""The header of DICOM files, read without the pixels and checked against limits and the size of the data."""

from __future__ import annotations

import hashlib
import logging
import threading
import warnings
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mmkeras.core.errors import DataError

__all__ = [
    "DEFLATED",
    "MOST_PIXELS",
    "Header",
    "check_inflation",
    "check_size",
    "declared_size",
    "is_dicom",
    "positive",
    "quiet",
    "read_header",
]

DEFLATED = "1.2.840.10008.1.2.1.99"
"""The transfer syntax that deflates everything after the file's own header."""
MOST_FRAMES = 1_000_000
MOST_PIXELS = 89_478_485
"""Most pixels of one frame, as in `pixels`; the largest detectors have a quarter of it."""
MOST_INFLATED = 1 << 30
"""Most bytes of a deflated data set after inflation."""


@dataclass(frozen=True)
class Header:
    """Elements by which a file is sorted into splits and slices."""

    frames: int
    group: str
    """A hash common to the files of a patient, or of a study if there is no patient; empty without either."""
    device: str
    """Kind of device by its code in the standard: CT, MR, US; empty if unknown."""


_QUIET = threading.RLock()


def is_dicom(data: bytes) -> bool:
    """Return whether the bytes are a DICOM file: 128 bytes that are no JPEG or PNG, then ``DICM``."""
    return data[128:132] == b"DICM" and not data.startswith((b"\xff\xd8\xff", b"\x89PNG"))


@contextmanager
def quiet() -> Iterator[None]:
    """Disable pydicom's warnings and log inside, since both may quote the file.

    This changes the whole process until the end, so only one thread at a time can be inside.
    """
    from pydicom import config

    logger = logging.getLogger("pydicom")
    with _QUIET:
        before = logger.disabled
        logger.disabled = True
        try:
            with config.disable_value_validation(), warnings.catch_warnings():
                warnings.simplefilter("ignore")
                yield
        finally:
            logger.disabled = before


def read_header(path: Path, name: str) -> Header:
    """Read a file's header; ``name`` names the file in messages.

    Raises:
        DataError: not a DICOM file, or a damaged one; nothing of its content is quoted.
    """
    import pydicom

    try:
        with path.open("rb") as stream, quiet():
            if not is_dicom(stream.read(132)):
                raise DataError(f"{name}: not a DICOM file (no DICM after 128 bytes)")
            meta = pydicom.filereader._read_file_meta_info(stream)
            if meta.get("TransferSyntaxUID") == DEFLATED:
                check_inflation(stream.read(), name)
            stream.seek(0)
            wanted = ["PatientID", "StudyInstanceUID", "NumberOfFrames", "Modality"]
            header = pydicom.dcmread(stream, stop_before_pixels=True, specific_tags=wanted)
            frames = int(header.get("NumberOfFrames", 1) or 1)
            person = str(header.get("PatientID", "") or header.get("StudyInstanceUID", ""))
            device = str(header.get("Modality", ""))
    except DataError:
        raise
    except Exception as error:  # pydicom raises nearly anything on a damaged header
        raise DataError(f"{name}: the DICOM header cannot be read ({type(error).__name__})") from None
    if not 1 <= frames <= MOST_FRAMES:
        raise DataError(f"{name}: expected 1 to {MOST_FRAMES:,} frames, got {frames}")
    group = hashlib.sha256(person.encode(errors="replace")).hexdigest() if person else ""
    return Header(frames, group, device if device.isalnum() and len(device) <= 16 else "")


# === Limits ===


def check_inflation(rest: bytes, name: str) -> None:
    """Measure the inflated size first, piece by piece: pydicom would inflate a bomb at once."""
    inflater, size = zlib.decompressobj(-zlib.MAX_WBITS), 0
    while rest and not inflater.eof:
        size += len(inflater.decompress(rest, 1 << 20))
        if size > MOST_INFLATED:
            raise DataError(f"{name}: the data set inflates to more than {MOST_INFLATED >> 20} MiB")
        rest = inflater.unconsumed_tail


def check_size(dataset: Any, name: str, index: int) -> None:
    """Check the declared sizes against the limits and the size of the data, before anything is allocated."""
    rows, columns = (positive(dataset, key, name) for key in ("Rows", "Columns"))
    if rows * columns > MOST_PIXELS:
        raise DataError(f"{name}: {columns}x{rows} pixels: larger than the {MOST_PIXELS:,} pixels that are accepted")
    samples = positive(dataset, "SamplesPerPixel", name, 1)
    bits = positive(dataset, "BitsAllocated", name)
    if samples not in (1, 3) or bits not in (1, 8, 16, 32, 64):
        raise DataError(f"{name}: {samples} samples of {bits} bits in a pixel; expected 1 or 3 of 1, 8, 16, 32 or 64")
    data = next((d for key in ("PixelData", "FloatPixelData", "DoubleFloatPixelData") if (d := dataset.get(key))), None)
    if not data:
        raise DataError(f"{name}: a DICOM file without pixel data; expected an image")
    if dataset.file_meta.TransferSyntaxUID.is_encapsulated:
        from pydicom.encaps import get_frame

        frames = int(dataset.get("NumberOfFrames", 1) or 1)
        size = declared_size(bytes(get_frame(dataset.PixelData, index, number_of_frames=frames)))
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


# === The size in a compressed image ===

# Decoders allocate by it. JPEG (ITU-T T.81 B.2.2) and JPEG-LS (T.87 C.1.1) have a frame header, JPEG 2000 (T.800 A.5.1)
# and High-Throughput JPEG 2000 a SIZ segment. RLE has no size of its own.
START, END_OF_FRAME_HEADERS = b"\xff\xd8", 0xDA
FRAME_HEADERS = frozenset({*range(0xC0, 0xD0)} - {0xC4, 0xC8, 0xCC} | {0xF7})
"""SOF0 to SOF15 without three codes of other meaning, and SOF55 of JPEG-LS."""
CODESTREAM, BOXES = b"\xff\x4f\xff\x51", b"\x00\x00\x00\x0cjP  "


def declared_size(data: bytes) -> tuple[int, int] | None:
    """Return height and width of a compressed image; ``None`` for another format or without a header."""
    if data.startswith(START):
        return _jpeg(data)
    # A whole JP2 file instead of its codestream is not allowed, but occurs.
    start = data.find(CODESTREAM, 0, 65536) if data.startswith(BOXES) else 0
    if start >= 0 and data[start : start + 4] == CODESTREAM and len(data) >= start + 24:
        right, bottom, left, top = (int.from_bytes(data[at : at + 4], "big") for at in range(start + 8, start + 24, 4))
        return bottom - top, right - left
    return None


def _jpeg(data: bytes) -> tuple[int, int] | None:
    position = 2
    while position + 9 <= len(data) and data[position] == 0xFF:
        marker = data[position + 1]
        if marker in FRAME_HEADERS:
            height, width = (int.from_bytes(data[at : at + 2], "big") for at in (position + 5, position + 7))
            return height, width
        if marker == END_OF_FRAME_HEADERS:
            return None
        if marker == 0xFF:  # a fill byte
            position += 1
        else:
            position += 2 + max(int.from_bytes(data[position + 2 : position + 4], "big"), 2)
    return None
