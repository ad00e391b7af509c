"""Converts images of any colour mode to RGB, and never loses content silently. `file_graph` has the same rules.

- Grey, palette and RGB images of up to 8 bits stay as they are.
- Transparency (alpha, a transparent palette entry or colour) is blended over white.
- Of 16 bits the upper byte is kept. Values that all fit into 14 bits are refused: an image with unscaled 10, 12 or
  14 bits would be almost black. PPM and PGM files state their largest value: their values are scaled by it.
- CMYK becomes R = (255 - C)(255 - K) / 255, and so on. Colour profiles are not applied, of no image. In a JPEG file the
  inks are stored inverted, as Adobe writes them, and YCCK is decoded first; without Adobe's marker, readers disagree on
  the polarity, and the file is refused. So is a TIFF file of other inks.
- Pillow's modes "I" and "F" (32 bits, signed or floating point values) have no stated range and are refused, as are
  YCbCr that is not JPEG, premultiplied grey, LAB and HSV.
- An image that becomes a single colour by its conversion is refused.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from PIL import Image

from mmkeras.core.errors import DataError

__all__ = ["DARKEST", "LONGEST_SIDE", "WHITE", "to_rgb"]

WHITE = 255
"""Colour behind transparent parts."""
DARKEST = 64
"""Smallest accepted maximum of a 16-bit image in 8 bits; a lower one suggests unscaled values of 14 or fewer bits."""

LONGEST_SIDE = 1_000_000
"""Pixels; libpng, which TensorFlow uses, refuses longer sides."""

_BAND = 1 << 20
"""Pixels that are converted at once."""
_PLAIN = ("1", "L", "P", "RGB", "RGBX")
_ALPHA = ("LA", "PA", "RGBA")
_DEEP = ("I;16", "I;16B", "I;16L")
_PHOTOMETRIC, _PLANES, _INK_SET, _SAMPLE_FORMAT = 262, 284, 332, 339
"""Tags of TIFF."""


def to_rgb(image: Image.Image, name: str, deep: bool = False) -> Image.Image:
    """Return an image in mode RGB.

    Args:
        image: any mode.
        name: name of the image in messages.
        deep: whether the file has 16 bits a colour; Pillow shows that for grey images only.

    Raises:
        DataError: broken or truncated, without pixels, or a mode or content that the rules refuse.
    """
    # Pillow opens PGM files of 16 bits in mode "I", and before its version 11 PNG files.
    grey = image.mode in _DEEP or (image.mode == "I" and image.format in ("PNG", "PPM"))
    if image.mode in ("I", "F") and not grey:
        raise DataError(
            f"{name}: Pillow's mode {image.mode} does not define which values are black and white. Scale the "
            "values to 0..255 and convert the image to mode L"
        )
    if not grey and image.mode not in (*_PLAIN, *_ALPHA, "CMYK"):
        raise DataError(
            f"{name}: colour mode {image.mode}; expected grey, RGB, palette or CMYK. Convert the file to RGB first"
        )
    _check_meaning(image, name, grey, deep)
    known = "transparency" in image.info
    try:
        image.load()
    except Exception as error:  # Pillow's decoders raise nearly anything on damaged data
        raise DataError(f"{name}: broken or truncated: {error}") from None
    if not known:
        # The PNG standard requires a transparent colour before the pixels; other decoders ignore a later one.
        image.info.pop("transparency", None)
    if 0 in image.size:
        raise DataError(f"{name}: the image has no pixels")
    if max(image.size) > LONGEST_SIDE:
        raise DataError(
            f"{name}: {image.width}x{image.height} pixels; expected sides of at most {LONGEST_SIDE:,}: "
            "training cannot decode longer ones. Crop or scale the image first"
        )
    rgb = _converted(image, name, grey, deep)
    if deep or grey:
        extrema: Any = rgb.getextrema()
        # Values of PPM files are scaled by Pillow, and rounded: 14 bits may reach one level more.
        darkest = DARKEST + int(image.format == "PPM" and not grey)
        highest = max(high for _, high in extrema)
        if highest < darkest or _flat(rgb):
            raise DataError(
                f"{name}: an image of 16 bits that loses too much in 8: the highest of its 256 levels is {highest}, "
                f"expected at least {darkest} and more than one level. Scale its values to the full range first"
            )
    return rgb


def _check_meaning(image: Image.Image, name: str, grey: bool, deep: bool) -> None:
    """Refuse files whose values have no known meaning, or that Pillow misreads without an error."""
    unclear = ""
    if image.mode == "CMYK" and image.format == "JPEG" and "adobe" not in image.info:
        unclear = "a CMYK JPEG file without Adobe's marker does not say whether its inks are inverted"
    if image.format == "TIFF":
        tags = getattr(image, "tag_v2", {})
        if image.mode == "CMYK" and tags.get(_INK_SET, 1) != 1:
            unclear = "a TIFF file of inks other than cyan, magenta, yellow and black"
        elif grey and tags.get(_PHOTOMETRIC) == 0:
            unclear = "a TIFF file of 16 bits in which 0 is white, which Pillow does not invert"
        elif deep and not grey and tags.get(_PLANES, 1) != 1:
            unclear = "a TIFF file of 16 bits with one plane for each colour, which Pillow reads as one of 8 bits"
        elif set(np.ravel(tags.get(_SAMPLE_FORMAT, 1))) - {1, 4}:
            unclear = "a TIFF file of signed, floating point or complex values has no stated range"
    if unclear:
        raise DataError(f"{name}: {unclear}. Convert the file to RGB first")


def _converted(image: Image.Image, name: str, grey: bool, deep: bool) -> Image.Image:
    key = image.info.get("transparency")
    if key is not None and image.mode != "P" and (grey or deep or image.mode == "1"):
        raise DataError(
            f"{name}: a transparent colour is supported in a PNG of 8 bits only. Convert the file to RGBA first"
        )
    if grey:
        levels = Image.new("L", image.size)
        for top, band in _bands(image):
            values = np.clip(np.asarray(band).astype(np.int32), 0, 65535) >> 8
            levels.paste(Image.fromarray(values.astype(np.uint8)), (0, top))
        return levels.convert("RGB")
    if image.mode in _ALPHA or key is not None:
        return _blended(image, name)
    return image if image.mode == "RGB" else image.convert("RGB")


def _blended(image: Image.Image, name: str) -> Image.Image:
    blended, flat, first = Image.new("RGB", image.size), True, None
    for top, band in _bands(image):
        pixels = np.asarray(band.convert("RGBA"))
        first = pixels[:1, :1] if first is None else first
        flat = flat and bool((pixels == first).all())
        values = pixels.astype(np.uint16)
        colours, alpha = values[..., :3], values[..., 3:]
        # At most 255 * 255 + 127, which 16 bits hold.
        over_white = (colours * alpha + WHITE * (255 - alpha) + 127) // 255
        blended.paste(Image.fromarray(over_white.astype(np.uint8)), (0, top))
    if _flat(blended) and not flat:
        raise DataError(
            f"{name}: blending the transparency over white makes the whole image one colour. Blend the image over "
            "another colour first"
        )
    return blended


def _bands(image: Image.Image) -> Iterator[tuple[int, Image.Image]]:
    """Yield the top and the content of bands of rows.

    A small file may hold a large image: the arrays of all its pixels at once would take a device's memory.
    """
    rows = max(1, _BAND // image.width)
    for top in range(0, image.height, rows):
        yield top, image.crop((0, top, image.width, min(top + rows, image.height)))


def _flat(image: Image.Image) -> bool:
    """Return whether all pixels are equal."""
    return image.getcolors(1) is not None
