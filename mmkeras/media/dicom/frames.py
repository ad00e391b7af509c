"""DICOM files as images: one frame as a picture, without any other information of the file.

pydicom reads the file (extra ``dicom``), and `display` maps its values to grey levels. Messages, records and logs hold
no personal information: errors name the file, the transfer syntax and numbers of pixels, and leave out pydicom's own
text, which may quote a value.
"""

from __future__ import annotations

import hashlib
import io
import re
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from PIL import Image

from mmkeras.core.errors import DataError, require
from mmkeras.media.dicom.display import Display, display, frame_display
from mmkeras.media.dicom.header import DEFLATED, check_inflation, check_size, positive, quiet

__all__ = ["Frame", "anonymous", "as_png", "open_frame"]

GREY = ("MONOCHROME1", "MONOCHROME2")
COLOURS = ("RGB", "YBR_FULL", "YBR_FULL_422", "YBR_ICT", "YBR_RCT")


@dataclass(frozen=True)
class Frame:
    """One frame as stored and as displayed."""

    values: np.ndarray
    """Grey: stored values (H, W); colour: uint8 (H, W, 3)."""
    display: Display | None
    """How grey values are displayed; ``None`` for a colour image."""
    bits: int
    """Bits stored of a grey value of whole numbers; 0 for floating point and colour."""
    levels: np.ndarray
    """uint8, grey levels (H, W) or RGB (H, W, 3), as displayed."""

    def picture(self) -> Image.Image:
        """Return the frame as displayed, in mode RGB."""
        return Image.fromarray(np.ascontiguousarray(self.levels)).convert("RGB")

    def png(self) -> bytes:
        """Return the frame as displayed: a PNG of 8 bits, grey or RGB."""
        return as_png(Image.fromarray(np.ascontiguousarray(self.levels)))


def open_frame(data: bytes, name: str, frame: int | None = None) -> Frame:
    """Return one frame.

    Args:
        data: the whole file.
        name: name of the file in messages.
        frame: number from 1; optional where the file has one frame.

    Raises:
        DataError: broken, truncated, too large, without pixels, of a kind that cannot be shown, or of several frames.
        DependencyError: pydicom is not installed.
    """
    require("pydicom", "dicom", "pydicom")
    with quiet():
        try:
            return _frame(_parse(data, name), name, frame)
        except DataError:
            raise
        except MemoryError:
            raise DataError(f"{name}: this DICOM file needs more memory than is available") from None
        except Exception as error:  # pydicom, numpy and decoders raise nearly anything on damaged data
            raise DataError(f"{name}: broken or truncated DICOM file ({type(error).__name__})") from None


def _parse(data: bytes, name: str) -> Any:
    import pydicom
    from pydicom import filereader

    stream = io.BytesIO(data)
    stream.seek(132)
    # dcmread does the same first, so this is the transfer syntax that it will use.
    meta = filereader._read_file_meta_info(stream)
    if meta.get("TransferSyntaxUID") == DEFLATED:
        check_inflation(data[stream.tell() :], name)
    return pydicom.dcmread(io.BytesIO(data))


def _frame(dataset: Any, name: str, frame: int | None) -> Frame:
    from pydicom.pixels import apply_color_lut, pixel_array

    kind = str(dataset.get("PhotometricInterpretation", "")).strip()
    if kind not in (*GREY, *COLOURS, "PALETTE COLOR"):
        got = kind if re.fullmatch(r"[A-Z0-9_ ]{1,16}", kind) else "none"
        expected = ", ".join((*GREY, "PALETTE COLOR", *COLOURS))
        raise DataError(f"{name}: photometric interpretation: expected one of {expected}, got {got}")
    syntax = dataset.file_meta.get("TransferSyntaxUID", "")
    if not getattr(syntax, "is_transfer_syntax", False):
        got = syntax if re.fullmatch(r"[0-9.]{1,64}", syntax) else "none"
        raise DataError(f"{name}: transfer syntax {got} is not known to pydicom. Convert the file to another one")
    index = _index(dataset, name, frame)
    check_size(dataset, name, index)
    try:
        values = pixel_array(dataset, index=index)
    except Exception as error:
        raise DataError(f"{name}: transfer syntax {syntax.name} cannot be decoded ({_why(error)})") from None
    if kind == "PALETTE COLOR":
        values = apply_color_lut(values, _little_endian_tables(dataset))
        colours = _eight_bits(values, 8 * values.dtype.itemsize)
    elif kind in COLOURS:
        colours = _eight_bits(values, int(dataset.get("BitsStored", 8)))
    if kind not in GREY:
        if colours.ndim != 3 or colours.shape[-1] != 3:
            raise DataError(f"{name}: expected colours (H, W, 3), got {colours.shape}")
        return Frame(colours, None, 0, colours)
    if values.ndim != 2 or not np.isfinite(values).all():
        raise DataError(f"{name}: expected finite grey values (H, W), got {values.dtype} {values.shape}")
    bits = 0 if values.dtype.kind == "f" else int(dataset.BitsStored)
    # In native byte order.
    values = values.astype(values.dtype.newbyteorder("="), copy=False)
    by = frame_display(dataset, index, values)
    levels = display(values, by)
    if levels.min() == levels.max() and values.min() != values.max():
        raise DataError(
            f"{name}: the file's own window shows all values of this frame as one level. Correct the window, or "
            "convert the frame to a PNG"
        )
    return Frame(values, by, bits, levels)


def _why(error: Exception) -> str:
    """Return the reason of a decoder's error, without its text, which may quote the file."""
    if isinstance(error, NotImplementedError):
        return "an unsupported transfer syntax"
    if isinstance(error, RuntimeError) and "missing dependencies" in str(error):
        return (
            "no decoder for it is installed: pip install 'mmkeras[dicom]' installs those for JPEG-LS and JPEG 2000, "
            "pip install python-gdcm the one for lossless JPEG, which damaged files can crash; or convert the file"
        )
    return type(error).__name__


def _index(dataset: Any, name: str, frame: int | None) -> int:
    """Return the index of the frame from 0."""
    frames = positive(dataset, "NumberOfFrames", name, 1)
    if frame is None and frames > 1:
        raise DataError(f"{name}: a DICOM file of {frames} frames; select one, for example the first: {name}#1")
    if frame is not None and not 1 <= frame <= frames:
        raise DataError(f"{name}: expected a frame from 1 to {frames}, got {frame}")
    return (frame or 1) - 1


def _little_endian_tables(dataset: Any) -> Any:
    """Swap the bytes of palettes in a big-endian file: pydicom 3.0 reads them in the byte order of this machine."""
    if not dataset.file_meta.TransferSyntaxUID.is_little_endian:
        for colour in ("Red", "Green", "Blue"):
            table = dataset.get_item(f"{colour}PaletteColorLookupTableData")
            wide = int(dataset[f"{colour}PaletteColorLookupTableDescriptor"].value[2]) > 8
            if wide and table is not None:
                swapped = np.frombuffer(dataset[table.tag].value, ">u2").astype("<u2")
                dataset[table.tag].value = swapped.tobytes()
    return dataset


def _eight_bits(values: np.ndarray, bits: int) -> np.ndarray:
    """Keep the upper eight bits of colour values, as for PNG of 16 bits."""
    return (values >> max(bits - 8, 0)).astype(np.uint8)


# === Records ===


def as_png(image: Image.Image) -> bytes:
    """Return an image as a PNG for records."""
    stream = io.BytesIO()
    # Shards are read far more often than kept: a little larger, and written in a quarter of the time.
    image.save(stream, "PNG", compress_level=1)
    return stream.getvalue()


def anonymous(frame: Frame) -> bytes:
    """Return a grey frame in its full depth as a new DICOM file, and every other frame as a PNG.

    The file is uncompressed and holds size, depth and window, the elements that the format requires, and the pixels:
    unsigned, with black below white, the rescale included in the window. The same frame gives the same bytes. Frames
    with lookup tables, step windows, floating point values, 1 bit or more than 16 bits become a PNG.
    """
    by = frame.display
    if by is None or by.modality_table is not None or by.interest_table is not None or not 1 < frame.bits <= 16:
        return frame.png()
    if (by.function, by.width) == ("LINEAR", 1.0):
        return frame.png()
    from pydicom.dataset import Dataset, FileDataset, FileMetaDataset
    from pydicom.uid import UID, ExplicitVRLittleEndian, SecondaryCaptureImageStorage

    offset = 1 << (frame.bits - 1) if frame.values.dtype.kind == "i" else 0
    window = _of_stored_values(by, offset)
    pixels = (frame.values.astype(np.int64) + offset).astype("<u2")
    if window.inverted:
        # Inverted here, because the graph's decoder DCMTK loses a level in the middle when it inverts MONOCHROME1.
        top = (1 << frame.bits) - 1
        pixels, window = top - pixels, replace(window, center=top - window.center)
    digest = hashlib.sha256(pixels.tobytes()).digest()
    meta, dataset = FileMetaDataset(), Dataset()
    meta.MediaStorageSOPClassUID = dataset.SOPClassUID = SecondaryCaptureImageStorage
    meta.MediaStorageSOPInstanceUID = dataset.SOPInstanceUID = UID(f"2.25.{int.from_bytes(digest[:15], 'big')}")
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
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
