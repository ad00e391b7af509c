"""Decodes raw images to RGB pixels on the host (Pillow and numpy); `records.decode` is the equivalent in the graph."""

from __future__ import annotations

import contextlib
import io
import math
import os
import threading
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
from PIL import Image

from mmkeras.core.errors import DataError, named
from mmkeras.media.dicom.frames import open_frame
from mmkeras.media.dicom.header import is_dicom
from mmkeras.media.dicom.paths import split_frame
from mmkeras.media.image.colours import to_rgb
from mmkeras.media.image.formats import EXPECTED, is_deep, open_image
from mmkeras.media.image.orientation import JPEG, PNG, orientation, orientation_of, upright

__all__ = ["RawImage", "Window", "describe", "read_bytes", "read_rgb", "read_size"]

RawImage: TypeAlias = Any
"""A path, the bytes of a file (`formats` lists them; or DICOM), a Pillow image, a uint8 array (H, W, 3) or (H, W), or a
`Window`."""

_LOADS = threading.Lock()
_ACCEPTED = f"path, bytes of a file ({EXPECTED}), Pillow image or uint8 array"
_BASE64 = ("iVBORw0KGgo", "/9j/", "R0lGOD", "UklGR")
"""The first characters of a PNG, a JPEG, a GIF and a WebP in base64."""


@dataclass(frozen=True)
class Window:
    """A part of an image, scaled to a size: it turns a real camera's image into one of the model's camera."""

    image: Any
    """A path, bytes, a Pillow image or a uint8 array."""
    box: tuple[float, float, float, float]
    """Left, top, right and bottom in pixels of the image, with fractions; black beyond its edges."""
    size: tuple[int, int]
    """Height and width of the result."""

    def read(self) -> Image.Image:
        """Return the window in mode RGB.

        Raises:
            DataError: the image cannot be used, or the window is empty or misses it.
        """
        left, top, right, bottom = self.box
        image, scale, full = self._open((right - left) / self.size[1], (bottom - top) / self.size[0])
        left, top, right, bottom = left / scale, top / scale, right / scale, bottom / scale
        inside = left < image.width and top < image.height and right > 0 and bottom > 0
        if not (inside and left < right and top < bottom):
            raise DataError(
                f"{describe(self.image)}: expected a window that overlaps the image of {full[0]}x{full[1]}, "
                f"got {tuple(round(float(side), 1) for side in self.box)}. Check the camera's matrix"
            )
        # Crop to whole pixels first: parts outside of the image become black, and only this part is scaled.
        outer = (math.floor(left), math.floor(top), math.ceil(right), math.ceil(bottom))
        part = image.crop(outer)
        box = (left - outer[0], top - outer[1], right - outer[0], bottom - outer[1])
        return part.resize((self.size[1], self.size[0]), Image.Resampling.BILINEAR, box=box)

    def _open(self, across: float, down: float) -> tuple[Image.Image, int, tuple[int, int]]:
        """Return the image, the factor by which it is smaller than the file's, and the file's size.

        A JPEG is decoded at a half, a quarter or an eighth of its size where the window needs no more: on a vehicle,
        decoding and scaling take most of the time beside the engine. ``across`` and ``down`` are pixels of the image
        per pixel of the result.
        """
        scale = next((scale for scale in (8, 4, 2) if min(across, down) >= scale), 1)
        decoded = scale == 1 or isinstance(self.image, (np.ndarray, Image.Image))
        data = b"" if decoded else read_bytes(self.image)
        if not data.startswith(JPEG) or orientation(data) != 1:  # the window is one of the upright image
            image = read_rgb(self.image)
            return image, 1, image.size
        image = open_image(data, describe(self.image))
        full = image.size
        # The mode, and the box that the image fills at the chosen scale.
        drafted = image.draft(None, (max(full[0] // scale, 1), max(full[1] // scale, 1)))
        return to_rgb(image, describe(self.image)), round(full[0] / drafted[1][2]) if drafted else 1, full


def describe(value: RawImage) -> str:
    """Return the name of an image in error messages."""
    if isinstance(value, (str, os.PathLike)):
        return named(value)
    if isinstance(value, (bytes, bytearray, memoryview)):
        return f"image of {len(value)} bytes"
    if isinstance(value, Image.Image):
        return f"Pillow image {value.size[0]}x{value.size[1]} {value.mode}"
    if isinstance(value, np.ndarray):
        return f"array {value.shape} {value.dtype}"
    if isinstance(value, Window):
        return f"window of {describe(value.image)}"
    return f"{type(value).__name__} value"


def read_rgb(value: RawImage) -> Image.Image:
    """Return the decoded image in mode RGB, at its own size.

    `formats` lists the files that are read; of several frames or pages the first is. The EXIF orientation of a file,
    or of a Pillow image, is applied. `colours` has the rules for transparency, CMYK and more than 8 bits. A DICOM frame
    is displayed by its own window; ``scan.dcm#3`` is the third frame. `file_graph` is the equivalent in the graph for
    the files that TensorFlow decodes.

    Raises:
        DataError: another format, truncated, damaged, empty, or of colours that `colours` refuses.
        DependencyError: a DICOM file without pydicom.
    """
    if isinstance(value, np.ndarray):
        return _from_array(value)
    if isinstance(value, Image.Image):
        # Pillow reads a file when its pixels are first used, which is not safe in two threads at once.
        with _LOADS, contextlib.suppress(Exception):  # the error is raised below
            value.load()
        return upright(to_rgb(value, describe(value)), orientation_of(value))
    if isinstance(value, Window):
        return value.read()
    data, frame = read_bytes(value), split_frame(value)[1]
    if is_dicom(data):
        return open_frame(data, describe(value), frame).picture()
    if frame is not None:
        raise DataError(f"{describe(value)}: only a DICOM file has frames to choose from")
    image = open_image(data, describe(value))
    rgb = to_rgb(image, describe(value), is_deep(image, data))
    return upright(rgb, _orientation(data, image))


def read_bytes(value: RawImage) -> bytes:
    """Return the bytes of an image file, given as bytes or as a path with or without the number of a DICOM frame.

    Raises:
        DataError: no such file, an empty one, or neither path nor bytes.
    """
    if isinstance(value, (str, os.PathLike)):
        try:
            path = Path(split_frame(value)[0])
            # Reading a device or a pipe might never end.
            if path.exists() and not path.is_file():
                raise DataError(f"{describe(value)}: cannot be read: expected a file, got a folder or a device")
            data = path.read_bytes()
        except (OSError, ValueError) as error:
            _refuse_encoded(value)
            if isinstance(error, FileNotFoundError):
                raise DataError(f"{describe(value)}: no such file") from None
            reason = getattr(error, "strerror", None) or error
            raise DataError(f"{describe(value)}: cannot be read: {reason}") from None
    elif isinstance(value, io.BytesIO):
        data = value.getvalue()
    elif isinstance(value, (bytes, bytearray, memoryview)):
        data = bytes(value)
    else:
        raise DataError(f"Expected an image as {_ACCEPTED}, got {type(value).__name__}")
    if not data:
        raise DataError(f"{describe(value)}: the file is empty")
    return data


def _refuse_encoded(value: str | os.PathLike[str]) -> None:
    """Raise a specific error for a picture given as text (a URL or base64), without quoting it."""
    text = os.fspath(value)
    if text.startswith("data:"):
        what, advice = "a data URL", "decode the part after its comma: base64.b64decode(url.partition(',')[2])"
    elif text.startswith(("http://", "https://", "ftp://", "s3://", "gs://")):
        what, advice = "a URL", "URLs are not opened; download it and give its bytes"
    elif text.startswith(_BASE64):
        what, advice = "an image in base64", "decode it: base64.b64decode(text)"
    else:
        return
    raise DataError(f"Expected an image as {_ACCEPTED}, got {what} of {len(text):,} characters: {advice}")


def read_size(path: str | os.PathLike[str]) -> tuple[int, int]:
    """Return width and height of an image file, upright, from its header; a TIFF file is decoded.

    Raises:
        DataError: no such file, another format, or more than `formats.MOST_PIXELS`.
    """
    data = read_bytes(path)
    image = open_image(data, describe(path))
    if image.format == "TIFF":  # versions of Pillow differ in the size before it is decoded
        return read_rgb(data).size
    width, height = image.size
    return (height, width) if _orientation(data, image) >= 5 else (width, height)


def _orientation(data: bytes, image: Image.Image) -> int:
    """Return the EXIF orientation, from 1 to 8, that an opened file still needs."""
    return orientation(data) if data.startswith((JPEG, PNG)) else orientation_of(image)


def _from_array(value: np.ndarray) -> Image.Image:
    if value.ndim == 3 and value.shape[-1] == 1:
        value = value[..., 0]
    right_shape = value.ndim == 2 or (value.ndim == 3 and value.shape[-1] == 3)
    if value.dtype != np.uint8 or not right_shape or 0 in value.shape:
        raise DataError(
            f"Expected a uint8 array (H, W, 3), (H, W, 1) or (H, W), got {value.dtype} {value.shape}{_advice(value)}"
        )
    return to_rgb(Image.fromarray(np.ascontiguousarray(value)), describe(value))


def _advice(value: np.ndarray) -> str:
    """Return advice on an array that cannot be used, as the end of a message."""
    if value.ndim == 4:
        return ". That is a batch: give one image at a time"
    if value.ndim == 3 and value.shape[0] in (1, 3) and value.shape[-1] not in (1, 3):
        return ". Channels come last: array.transpose(1, 2, 0)"
    if value.ndim == 3 and value.shape[-1] == 4:
        return ". Blend or leave out the fourth channel: array[..., :3]"
    if value.dtype != np.uint8 and value.dtype.kind in "fiub" and value.ndim in (2, 3):
        return ". Scale its values to 0..255: .astype('uint8')"
    return ""
