"""What a record holds of a DICOM frame: its pixels and how to see them, and nothing else of the file."""

from __future__ import annotations

import hashlib
import io
from dataclasses import replace

import numpy as np
from PIL import Image

from mmkeras.media.dicom.display import Display
from mmkeras.media.dicom.frames import Frame

__all__ = ["anonymous", "as_png"]

SECONDARY_CAPTURE = "1.2.840.10008.5.1.4.1.1.7"
EXPLICIT_LITTLE_ENDIAN = "1.2.840.10008.1.2.1"


def as_png(frame: Frame) -> bytes:
    """Return the frame as people see it: a PNG of 8 bits, grey or RGB."""
    stream = io.BytesIO()
    Image.fromarray(np.ascontiguousarray(frame.levels)).save(stream, "PNG", compress_level=1)
    return stream.getvalue()


def anonymous(frame: Frame) -> bytes:
    """Return a grey frame in its full depth as a DICOM file of its own; every other frame as `as_png` does.

    The file is uncompressed and holds size, depth and window, the elements that the format demands, and the pixels:
    unsigned, with black below white, the rescale worked into the window. The same frame gives the same bytes. Lookup
    tables, steps, floating point, 1 bit and more than 16 become a PNG.
    """
    by = frame.display
    if by is None or not by.plain or not 1 < frame.bits <= 16 or (by.function, by.width) == ("LINEAR", 1.0):
        return as_png(frame)
    from pydicom.dataset import Dataset, FileDataset, FileMetaDataset
    from pydicom.uid import UID

    offset = 1 << (frame.bits - 1) if frame.values.dtype.kind == "i" else 0
    window = _of_stored_values(by, offset)
    pixels = (frame.values.astype(np.int64) + offset).astype("<u2")
    if window.inverted:
        # Turned around here: DCMTK, which turns MONOCHROME1 around for the graph, loses a level in the middle.
        top = (1 << frame.bits) - 1
        pixels, window = top - pixels, replace(window, center=top - window.center)
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID = UID(SECONDARY_CAPTURE)
    digest = hashlib.sha256(pixels.tobytes()).digest()
    meta.MediaStorageSOPInstanceUID = UID(f"2.25.{int.from_bytes(digest[:15], 'big')}")
    meta.TransferSyntaxUID = UID(EXPLICIT_LITTLE_ENDIAN)
    dataset = Dataset()
    dataset.SOPClassUID = meta.MediaStorageSOPClassUID
    dataset.SOPInstanceUID = meta.MediaStorageSOPInstanceUID
    dataset.SamplesPerPixel = 1
    dataset.PhotometricInterpretation = "MONOCHROME2"
    dataset.Rows, dataset.Columns = pixels.shape
    dataset.BitsAllocated, dataset.BitsStored, dataset.HighBit = 16, frame.bits, frame.bits - 1
    dataset.PixelRepresentation = 0
    dataset.WindowCenter, dataset.WindowWidth = f"{window.center:.10g}", f"{window.width:.10g}"
    dataset.VOILUTFunction = window.function
    dataset.PixelData = pixels.tobytes()
    dataset["PixelData"].VR = "OW"
    stream = io.BytesIO()
    FileDataset(stream, dataset, preamble=b"\0" * 128, file_meta=meta).save_as(stream, enforce_file_format=True)
    return stream.getvalue()


def _of_stored_values(by: Display, offset: int) -> Display:
    """Return the same window for stored values plus an offset, with slope 1 and no half-pixel terms."""
    linear = by.function == "LINEAR"
    center, width = (by.center - 0.5, by.width - 1.0) if linear else (by.center, by.width)
    return replace(
        by,
        slope=1.0,
        intercept=0.0,
        center=(center - by.intercept) / by.slope + offset,
        width=width / abs(by.slope),
        function="LINEAR_EXACT" if linear else by.function,
        inverted=by.inverted != (by.slope < 0),
    )
