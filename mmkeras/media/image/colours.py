"""Converts images of any colour mode to RGB, and never loses content silently. `file_graph` has the same rules.

- Grey, palette and RGB images of up to 8 bits stay as they are.
- Transparency (alpha, a transparent palette entry or colour) is blended over white.
- Of 16 bits the upper byte is kept. Values that all fit into 14 bits are refused: an image with unscaled 10, 12 or
  14 bits would be almost black.
- Pillow's modes "I" and "F" have no stated range and are refused, as are CMYK, YCbCr, LAB and HSV.
- Of several frames, the first of a JPEG file (MPO) is read; animated PNG files are refused.
- An image that becomes a single colour by its conversion is refused.
"""

from __future__ import annotations

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

_PLAIN = ("1", "L", "P", "RGB", "RGBX")
_ALPHA = ("LA", "PA", "RGBA")
_DEEP = ("I;16", "I;16B", "I;16L")


def to_rgb(image: Image.Image, name: str, deep: bool = False) -> Image.Image:
    """Return an image in mode RGB.

    Args:
        image: any mode.
        name: name of the image in messages.
        deep: whether the file has 16 bits a colour; Pillow shows that for grey images only.

    Raises:
        DataError: broken or truncated, without pixels, or a mode or content that the rules refuse.
    """
    # Before Pillow 11 a grey PNG file of 16 bits opens in mode "I".
    grey = image.mode in _DEEP or (image.mode == "I" and image.format == "PNG")
    if image.mode in ("I", "F") and not grey:
        raise DataError(
            f"{name}: Pillow's mode {image.mode} does not define which values are black and white. Scale the "
            "values to 0..255 and convert the image to mode L"
        )
    if not grey and image.mode not in _PLAIN + _ALPHA:
        raise DataError(
            f"{name}: colour mode {image.mode}; expected grey, RGB or palette. Convert the file to RGB first"
        )
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
        highest = max(high for _, high in extrema)
        if highest < DARKEST or _flat(rgb):
            raise DataError(
                f"{name}: an image of 16 bits that loses too much in 8: the highest of its 256 levels is {highest}, "
                f"expected at least {DARKEST} and more than one level. Scale its values to the full range first"
            )
    return rgb


def _converted(image: Image.Image, name: str, grey: bool, deep: bool) -> Image.Image:
    key = image.info.get("transparency")
    if key is not None and image.mode != "P" and (grey or deep or image.mode == "1"):
        raise DataError(
            f"{name}: a transparent colour is supported in a PNG of 8 bits only. Convert the file to RGBA first"
        )
    if grey:
        values = np.clip(np.asarray(image).astype(np.int32), 0, 65535) >> 8
        return Image.fromarray(values.astype(np.uint8)).convert("RGB")
    if image.mode in _ALPHA or key is not None:
        return _blended(image.convert("RGBA"), name)
    return image if image.mode == "RGB" else image.convert("RGB")


def _blended(image: Image.Image, name: str) -> Image.Image:
    values = np.asarray(image).astype(np.uint16)
    colours, alpha = values[..., :3], values[..., 3:]
    # At most 255 * 255 + 127, which 16 bits hold.
    blended = Image.fromarray(((colours * alpha + WHITE * (255 - alpha) + 127) // 255).astype(np.uint8))
    if _flat(blended) and not _flat(image):
        raise DataError(
            f"{name}: blending the transparency over white makes the whole image one colour. Blend the image over "
            "another colour first"
        )
    return blended


def _flat(image: Image.Image) -> bool:
    """Return whether all pixels are equal."""
    return image.getcolors(1) is not None
