"""What is read of a DICOM file without its pixels."""

from __future__ import annotations

import hashlib
import logging
import threading
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from mmkeras.core.errors import DataError
from mmkeras.media.dicom.limits import check_inflation

__all__ = ["DEFLATED", "Header", "is_dicom", "quiet", "read_header"]

DEFLATED = "1.2.840.10008.1.2.1.99"
"""The transfer syntax of which everything after the file's own header is deflated."""
MOST_FRAMES = 1_000_000


@dataclass(frozen=True)
class Header:
    """What a file says that is of use to sort it."""

    frames: int
    """Images in it."""
    group: str
    """A hash that files of one patient (of one study, where none is named) have in common; empty without either."""
    device: str
    """Kind of device by its code in the standard: CT, MR, US; empty where there is none."""


_QUIET = threading.RLock()


def is_dicom(data: bytes) -> bool:
    """Whether the bytes are a DICOM file: 128 bytes, which may be anything but a JPEG or PNG, then ``DICM``."""
    return data[128:132] == b"DICM" and not data.startswith((b"\xff\xd8\xff", b"\x89PNG"))


@contextmanager
def quiet() -> Iterator[None]:
    """Keep pydicom from quoting what a file says, in warnings and in its log, which may reach the terminal.

    One thread at a time: all of this holds for the whole process, and is put back as it was found.
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
    """Read a file's header.

    Args:
        path: the file.
        name: how messages name it.

    Raises:
        DataError: not a DICOM file, or a damaged one; nothing of what it says is quoted.
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
