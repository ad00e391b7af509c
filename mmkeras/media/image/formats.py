"""The formats of picture files, and their opening by Pillow with limits.

| format | read |
|---|---|
| JPEG | grey, RGB, CMYK and YCCK; of several pictures (MPO) the first |
| PNG | every kind; of an animation the first frame |
| WebP | lossy, lossless, transparency; of an animation the first frame |
| GIF | the first frame |
| BMP | palette, RLE, 16, 24 and 32 bits |
| TIFF | uncompressed, LZW, deflate, PackBits, fax, JPEG; 1 to 16 bits; the first page |
| PPM, PGM, PBM | plain and raw, up to 16 bits |

The first bytes of a file name its format; the ending of its name does not count. Only the one plugin of Pillow for that
format sees the file: no plugin that starts another program (EPS) is ever used. Sizes are checked before any pixel is
decoded. `colours` has the rules for the pixels.

TensorFlow decodes grey and RGB JPEG files and still PNG files like Pillow does (`graph_reads`). Every other file is
converted into a PNG of its pixels for the records; a SavedModel's raw endpoint refuses it.
"""

from __future__ import annotations

import importlib
import io
import zlib
from typing import Any

from PIL import Image, UnidentifiedImageError, features

from mmkeras.core.errors import DataError
from mmkeras.media.image.orientation import JPEG, PNG, chunks

__all__ = [
    "ENDINGS",
    "EXPECTED",
    "MOST_PIXELS",
    "OTHER_ENDINGS",
    "format_of",
    "graph_reads",
    "has_more_frames",
    "is_deep",
    "open_image",
]

EXPECTED = "JPEG, PNG, WebP, GIF, BMP, TIFF, PPM/PGM/PBM or DICOM"
"""What is read, in messages."""
MOST_PIXELS = 89_478_485
"""Larger images are refused before they are decoded: 256 MiB in RGB, the limit of Pillow's warning."""
TOO_LARGE = f"larger than the {MOST_PIXELS:,} pixels that are accepted. Scale it down first"
"""End of a message."""

ENDINGS = (
    *(".png", ".apng", ".jpg", ".jpeg", ".jpe", ".jfif", ".webp", ".gif", ".bmp", ".dib"),
    *(".tif", ".tiff", ".ppm", ".pgm", ".pbm", ".pnm"),
)
"""Of the names of such files."""
OTHER_ENDINGS = (".heic", ".heif", ".avif", ".jp2", ".jxl", ".psd", ".svg", ".eps", ".ico", ".tga", ".exr", ".hdr")
"""Of the names of picture files that are not read."""

_PLUGINS = {
    "JPEG": "PIL.JpegImagePlugin",
    "PNG": "PIL.PngImagePlugin",
    "WEBP": "PIL.WebPImagePlugin",
    "GIF": "PIL.GifImagePlugin",
    "BMP": "PIL.BmpImagePlugin",
    "TIFF": "PIL.TiffImagePlugin",
    "PPM": "PIL.PpmImagePlugin",
}
"""Imported when the first such file is opened: otherwise Pillow would import all of its plugins."""
_SIGNATURES = {
    JPEG: "JPEG",
    PNG: "PNG",
    b"GIF87a": "GIF",
    b"GIF89a": "GIF",
    b"BM": "BMP",
    **dict.fromkeys((b"II*\0", b"MM\0*", b"II+\0", b"MM\0+"), "TIFF"),
    **{b"P%d%c" % (kind, space): "PPM" for kind in range(1, 7) for space in b" \t\r\n#"},
}
_OTHERS = {
    b"%!PS": "EPS",
    b"\xc5\xd0\xd3\xc6": "EPS",
    b"%PDF": "PDF",
    b"8BPS": "PSD",
    b"<svg": "SVG",
    b"<?xml": "SVG or other XML",
    b"\0\0\1\0": "ICO",
    b"\0\0\0\x0cjP": "JPEG 2000",
    b"\xff\x4f\xff\x51": "JPEG 2000",
    b"\xff\x0a": "JPEG XL",
    b"\0\0\0\x0cJXL": "JPEG XL",
    b"PF\n": "PFM",
    b"Pf\n": "PFM",
    b"P7\n": "PAM",
}
"""Formats that people call a picture and that are not read, for the message."""
_TILE = (322, 323)
_BITS = 258


def format_of(data: bytes) -> str:
    """Return Pillow's name of a file's format by its first bytes; empty if it is not read."""
    if data[:4] == b"RIFF" and data[8:12] == b"WEBP":
        return "WEBP"
    return next((name for start, name in _SIGNATURES.items() if data.startswith(start)), "")


def open_image(data: bytes, name: str) -> Image.Image:
    """Return a file opened by Pillow, its pixels not yet decoded.

    Args:
        data: the whole file.
        name: name of the file in messages.

    Raises:
        DataError: another format, a broken header, too many pixels, or a format that this Pillow was built without.
    """
    kind = format_of(data)
    if not kind:
        raise DataError(f"{name}: {_other(data)}; expected {EXPECTED}")
    if kind == "WEBP":
        if not features.check("webp"):
            raise _missing(name, "WebP", "webp")
        # Pillow's decoder allocates the whole canvas when it opens the file.
        _check_size(_webp_size(data), name)
    importlib.import_module(_PLUGINS[kind])
    try:
        # Pillow only warns of a large image and refuses a still larger one; here both are refused. Turning the warning
        # off would change the filters of every thread.
        image = Image.open(io.BytesIO(data), formats=(kind,))
    except UnidentifiedImageError:
        raise DataError(
            f"{name}: not an image; expected {EXPECTED}, got a {kind} file that is broken, or whose kind of pixels "
            "Pillow does not read (in TIFF for example floating point colours)"
        ) from None
    except (Image.DecompressionBombError, Image.DecompressionBombWarning):
        raise DataError(f"{name}: {TOO_LARGE}") from None
    except Exception as error:  # Pillow's plugins raise nearly anything on a damaged header
        raise DataError(f"{name}: cannot be read: {error}") from None
    _check_size(image.size, name)
    if kind == "PNG":
        _check_chunks(data, name)
    if kind == "TIFF":
        _check_tiff(image, name)
    return image


def graph_reads(data: bytes) -> bool:
    """Return whether TensorFlow decodes a file as Pillow does: a grey or RGB JPEG, or a still PNG.

    A grey or RGB PNG with a transparent colour is left to Pillow too: decoders disagree where that chunk is damaged.
    """
    if data.startswith(PNG):
        keyed = data[25:26] in (b"\0", b"\2") and b"tRNS" in data
        return not keyed and all(kind != b"acTL" for kind, _ in chunks(data))
    return data.startswith(JPEG) and open_image(data, "image").mode in ("L", "RGB")


def has_more_frames(data: bytes) -> bool:
    """Return whether a file that `open_image` accepts holds frames or pages behind the first, which are not read.

    The further pictures of a JPEG file are previews or depth maps and do not count.
    """
    if data.startswith(JPEG) or format_of(data) in ("", "BMP", "PPM"):
        return False
    try:
        return bool(getattr(open_image(data, "image"), "is_animated", False))
    except Exception:  # the first frame is whole, so the damage lies in another one
        return True


def is_deep(image: Image.Image, data: bytes) -> bool:
    """Return whether a file has more than 8 bits a colour, which Pillow shows for grey images only.

    ``image`` is the file as `open_image` returns it: its decoding drops what is looked at.
    """
    if data.startswith(PNG):
        return data[24:25] == b"\x10"
    if image.format == "TIFF":
        bits = _tags(image).get(_BITS, (1,))
        return max(bits if isinstance(bits, tuple) else (bits,)) > 8
    # Pillow's decoders of PPM get the largest value as their last argument, or a raw mode.
    largest = image.tile[0][3][-1] if image.format == "PPM" and image.tile else 0  # type: ignore[attr-defined]
    return isinstance(largest, int) and largest > 255


def _check_size(size: tuple[int, int], name: str) -> None:
    if size[0] * size[1] > MOST_PIXELS:
        raise DataError(f"{name}: {size[0]}x{size[1]} pixels: {TOO_LARGE}")


def _webp_size(data: bytes) -> tuple[int, int]:
    """Return width and height in the first chunk of a WebP file; (0, 0) if it has none."""
    kind, content = data[12:16], data[20:30]
    if kind == b"VP8X":
        return 1 + int.from_bytes(content[4:7], "little"), 1 + int.from_bytes(content[7:10], "little")
    if kind == b"VP8L":
        bits = int.from_bytes(content[1:5], "little")
        return 1 + (bits & 0x3FFF), 1 + (bits >> 14 & 0x3FFF)
    if kind == b"VP8 ":
        return int.from_bytes(content[6:8], "little") & 0x3FFF, int.from_bytes(content[8:10], "little") & 0x3FFF
    return 0, 0


def _check_tiff(image: Image.Image, name: str) -> None:
    tags = _tags(image)
    # The decoder allocates a whole tile, which may be larger than the image.
    sides = [tags.get(side, 1) for side in _TILE]
    if all(isinstance(side, int) for side in sides):
        _check_size((sides[0], sides[1]), name)
    if any(tile[0] == "libtiff" for tile in getattr(image, "tile", ())) and not features.check("libtiff"):
        raise _missing(name, "compressed TIFF", "libtiff")


def _tags(image: Image.Image) -> Any:
    return getattr(image, "tag_v2", {})


def _missing(name: str, kind: str, feature: str) -> DataError:
    return DataError(
        f"{name}: this Pillow was built without {kind} (PIL.features.check({feature!r}) is False). Install Pillow's "
        "wheel from PyPI, or convert the file to PNG"
    )


def _other(data: bytes) -> str:
    """Return what a file is that is not read."""
    other = next((kind for start, kind in _OTHERS.items() if data.startswith(start)), "")
    if data[4:8] == b"ftyp":
        other = {b"avif": "AVIF", b"avis": "AVIF"}.get(data[8:12], "HEIC or another file of that family")
    return f"{other} is not read" if other else "not an image"


def _check_chunks(data: bytes, name: str) -> None:
    """Check the chunks of a PNG: Pillow accepts wrong checksums and a missing end, libpng does not."""
    position = 8
    while position + 12 <= len(data):
        length = int.from_bytes(data[position : position + 4], "big")
        kind, end = data[position + 4 : position + 8], position + 8 + length
        if data[end : end + 4] != zlib.crc32(data[position + 4 : end]).to_bytes(4, "big"):
            raise DataError(f"{name}: broken or truncated: bad PNG chunk {kind!r}")
        if kind == b"IEND":
            return
        position = end + 4
    raise DataError(f"{name}: broken or truncated: the end of the PNG is missing")
