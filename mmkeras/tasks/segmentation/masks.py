"""Masks of a dataset: PNG files of class numbers or colours, read, checked and resized. numpy and Pillow."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from mmkeras.core.errors import DataError, require

__all__ = ["NOT_ASKED", "VOID", "as_colour", "read_mask"]

VOID = 255
"""Value of an encoded pixel that belongs to no class and is ignored."""
NOT_ASKED = 128
"""Added to the class of a pixel that the sample's text does not name."""


def as_colour(text: str) -> tuple[int, int, int]:
    """Return red, green and blue of ``#rrggbb``.

    Raises:
        ValueError: the text is not of that form.
    """
    digits = text.removeprefix("#")
    if len(digits) != 6 or len(text) != 7:
        raise ValueError(f"expected a colour such as #804020, got {text!r}")
    red, green, blue = bytes.fromhex(digits)
    return red, green, blue


def read_mask(
    raw: Any,
    *,
    labels: Sequence[str],
    colours: Sequence[str],
    void: Sequence[int],
    void_colours: Sequence[str],
    size: tuple[int, int],
    resize: str,
    picture: Any = None,
) -> np.ndarray:
    """Return the classes of a mask at the model's size, uint8 (height, width): the place in ``labels``, or `VOID`.

    Every pixel of the result is one of the mask (nearest neighbour). Bars of ``letterbox`` are `VOID`.

    Args:
        raw: path or bytes of a picture file, or an array (H, W) of numbers or (H, W, 3) of colours.
        labels: the classes in order; a mask of numbers holds their places.
        colours: ``#rrggbb`` of each label where masks are colours; empty for numbers.
        void: numbers of pixels without a class.
        void_colours: colours of pixels without a class.
        size: height and width of the result.
        resize: how the picture is resized: ``stretch``, ``letterbox`` or ``center_crop``.
        picture: the picture's path or bytes; its size must be that of the mask.

    Raises:
        DataError: the mask cannot be read, is not as large as its picture, or holds a number or colour of no class.
    """
    name = str(raw) if isinstance(raw, (str, Path)) else "the mask"
    pixels = raw if isinstance(raw, np.ndarray) else _pixels(raw, name, bool(colours))
    if picture is not None:
        _check_size(pixels, picture, name)
    if colours:
        values = _by_colour(pixels, labels, colours, void_colours, name)
    else:
        values = _by_number(pixels, labels, void, name)
    return _resized(values, size, resize)


def _opened(raw: Any, name: str) -> Any:
    require("PIL", "", "pillow")
    from mmkeras.media.image.formats import open_image
    from mmkeras.media.image.pixels import read_bytes

    if not isinstance(raw, (str, Path, bytes)):
        raise DataError(f"Expected the path of a mask, got {raw!r:.60}")
    try:
        return open_image(read_bytes(raw), name)
    except DataError as error:
        raise DataError(f"{name}: Expected a mask as PNG, got a file that cannot be read ({error})") from None


def _pixels(raw: Any, name: str, coloured: bool) -> np.ndarray:
    """Return numbers (H, W), or colours uint8 (H, W, 3)."""
    with _opened(raw, name) as image:
        if image.format == "JPEG":
            raise DataError(f"{name}: Expected a mask as PNG, got a JPEG file, whose pixels are not exact")
        try:
            if coloured:
                return np.asarray(image.convert("RGB"))
            if image.mode not in ("1", "L", "P", "I", "I;16"):
                raise DataError(
                    f"{name}: Expected a mask of class numbers (grey or with a palette), got a picture of the mode "
                    f"{image.mode}. For a mask of colours, set model.task.options.colours"
                )
            return np.asarray(image)
        except (OSError, SyntaxError, ValueError) as error:
            raise DataError(f"{name}: Expected a mask as PNG, got a file that cannot be decoded ({error})") from None


def _check_size(pixels: np.ndarray, picture: Any, name: str) -> None:
    from mmkeras.media.image.pixels import read_size

    width, height = read_size(picture)
    if pixels.shape[:2] != (height, width):
        got = f"{pixels.shape[1]} x {pixels.shape[0]}"
        raise DataError(f"{name}: Expected a mask as large as its picture, {width} x {height} pixels, got {got}")


def _by_number(pixels: np.ndarray, labels: Sequence[str], void: Sequence[int], name: str) -> np.ndarray:
    if pixels.ndim != 2:
        raise DataError(f"{name}: Expected class numbers (height, width), got an array {pixels.shape}")
    known = {number: number for number in range(len(labels))} | {int(number): VOID for number in void}
    for value in np.unique(pixels):
        if int(value) not in known:
            row, column = np.argwhere(pixels == value)[0]
            count = int((pixels == value).sum())
            raise DataError(
                f"{name}: Expected class numbers 0 to {len(labels) - 1} or void {list(void)}, got {int(value)} in "
                f"{count} pixels, the first in row {row}, column {column}. Add its label, or list it in void"
            )
    table = np.full(max(int(pixels.max(initial=0)), *known) + 1, VOID, np.uint8)
    for number, value in known.items():
        table[number] = value
    return np.asarray(table[pixels.astype(np.int64)])


def _by_colour(
    pixels: np.ndarray, labels: Sequence[str], colours: Sequence[str], void: Sequence[str], name: str
) -> np.ndarray:
    if pixels.ndim != 3 or pixels.shape[2] != 3:
        raise DataError(f"{name}: Expected colours (height, width, 3), got an array {pixels.shape}")
    codes = (pixels.astype(np.int64) << np.array([16, 8, 0])).sum(axis=2)
    found = np.full(codes.shape, VOID, np.uint8)
    unknown = np.ones(codes.shape, bool)
    for value, colour in [*enumerate(colours), *((VOID, colour) for colour in void)]:
        red, green, blue = as_colour(colour)
        same = codes == (red << 16 | green << 8 | blue)
        found[same] = value
        unknown &= ~same
    if unknown.any():
        row, column = np.argwhere(unknown)[0]
        raise DataError(
            f"{name}: Expected the colours of {', '.join(labels)} or of void, got #{codes[row, column]:06x} in row "
            f"{row}, column {column}, and {int(unknown.sum())} such pixels. Add it to colours or void_colours"
        )
    return found


def _resized(values: np.ndarray, size: tuple[int, int], resize: str) -> np.ndarray:
    """Resize to the nearest pixel, in the geometry of `mmkeras.media.image.resizing.resize_rgb`."""
    from mmkeras.media.image.resizing import fit  # with Pillow, which a device may lack

    height, width = size
    if resize == "center_crop":
        fitted = fit(height, width, values.shape[0], values.shape[1])
        window = [min(max(side, 1), most) for side, most in zip(fitted, values.shape, strict=True)]
        top, left = ((most - side) // 2 for side, most in zip(window, values.shape, strict=True))
        values = values[top : top + window[0], left : left + window[1]]
    if resize != "letterbox":
        return _nearest(values, height, width)
    fitted = fit(values.shape[0], values.shape[1], height, width)
    inner = min(max(fitted[0], 1), height), min(max(fitted[1], 1), width)
    top, left = (height - inner[0]) // 2, (width - inner[1]) // 2
    result = np.full(size, VOID, np.uint8)
    result[top : top + inner[0], left : left + inner[1]] = _nearest(values, *inner)
    return result


def _nearest(values: np.ndarray, height: int, width: int) -> np.ndarray:
    rows, columns = (
        np.minimum(((np.arange(new) + 0.5) * old / new).astype(np.int64), old - 1)
        for new, old in zip((height, width), values.shape, strict=True)
    )
    return values[np.ix_(rows, columns)]
