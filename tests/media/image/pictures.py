"""Image files of every kind, made from one random picture."""

from __future__ import annotations

import functools
import io
import struct
import zlib
from typing import Any

import numpy as np
from PIL import Image

from mmkeras.media.image.colours import LONGEST_SIDE
from tests.media.image.tiff import tiff


def picture(height: int = 60, width: int = 80, seed: int = 0) -> Image.Image:
    """Return a smooth random RGB picture."""
    noise = np.random.default_rng(seed).integers(0, 256, (height // 4 + 2, width // 4 + 2, 3), np.uint8)
    return Image.fromarray(noise).resize((width, height), Image.Resampling.BICUBIC)


def file(image: Image.Image, kind: str = "PNG", **options: Any) -> bytes:
    """Return the image as the bytes of a file."""
    stream = io.BytesIO()
    image.save(stream, kind, **options)
    return stream.getvalue()


def png(chunks: list[tuple[bytes, bytes]]) -> bytes:
    """Return a PNG file of chunks, each a kind and its content."""
    parts = [struct.pack(">I", len(c)) + kind + c + struct.pack(">I", zlib.crc32(kind + c)) for kind, c in chunks]
    return b"\x89PNG\r\n\x1a\n" + b"".join(parts)


def png_16_bits(values: np.ndarray) -> bytes:
    """Return colours of 16 bits, uint16 (H, W, 3) or (H, W, 4), as a PNG file, which Pillow cannot write."""
    height, width, channels = values.shape
    header = struct.pack(">2I5B", width, height, 16, {3: 2, 4: 6}[channels], 0, 0, 0)
    rows = b"".join(b"\0" + row.astype(">u2").tobytes() for row in values)
    return png([(b"IHDR", header), (b"IDAT", zlib.compress(rows)), (b"IEND", b"")])


def without_checksum() -> bytes:
    """Return a PNG file whose data lacks its Adler checksum: Pillow reads it, TensorFlow's decoder does not."""
    rows = b"".join(b"\0" + row.tobytes() for row in np.asarray(picture(8, 8)))
    header = struct.pack(">2I5B", 8, 8, 8, 2, 0, 0, 0)
    return png([(b"IHDR", header), (b"IDAT", zlib.compress(rows)[:-4]), (b"IEND", b"")])


def turned(value: int) -> Image.Exif:
    """Return EXIF with an orientation."""
    exif = Image.Exif()
    exif[274] = value
    return exif


def alpha(mode: str = "RGBA") -> Image.Image:
    """Return a black picture whose alpha holds all of its content."""
    image = Image.new(mode, (80, 60))
    image.putalpha(picture().convert("L"))
    return image


def half(data: bytes) -> bytes:
    """Return the first half of a file."""
    return data[: len(data) // 2]


def without_adobe(jpeg: bytes) -> bytes:
    """Return a JPEG file without Adobe's segment."""
    at = jpeg.index(b"Adobe") - 4
    return jpeg[:at] + jpeg[at + 16 :]


def ycck() -> bytes:
    """Return a CMYK JPEG file whose Adobe segment says YCCK: other colours, which every reader converts first."""
    jpeg = file(picture().convert("CMYK"), "JPEG", quality=95)
    at = jpeg.index(b"Adobe") + 11
    return jpeg[:at] + b"\x02" + jpeg[at + 1 :]


def bmp_alpha() -> bytes:
    """Return a BMP file of version 4 with alpha, which Pillow cannot write."""
    rows = np.asarray(alpha())[::-1, :, [2, 1, 0, 3]].tobytes()
    masks = struct.pack("<4I", 0xFF0000, 0xFF00, 0xFF, 0xFF000000)
    header = struct.pack("<Iii2H6I", 108, 80, 60, 1, 32, 3, len(rows), 2835, 2835, 0, 0) + masks + b"BGRs" + bytes(48)
    return struct.pack("<2sI4xI", b"BM", 122 + len(rows), 122) + header + rows


@functools.cache
def converted_files() -> dict[str, bytes]:
    """Return files that a device reads and TensorFlow does not: records hold them as PNG files."""
    base = picture()
    grey, palette = base.convert("L"), base.quantize(16)
    deep = np.random.default_rng(1).integers(0, 65536, (20, 30), np.uint16)
    colours = deep.reshape(10, 20, 3)
    opaque = np.dstack([colours, np.full((10, 20), 65535, np.uint16)])
    two: dict[str, Any] = {"save_all": True, "append_images": [base.rotate(90)]}
    lossless: dict[str, Any] = {"lossless": True}
    plain_grey = "P2\n# a comment\n80 60\n255\n" + " ".join(map(str, np.asarray(grey).ravel())) + "\n"
    return {
        "webp_lossy": file(base, "WEBP", quality=60),
        "webp_lossless": file(base, "WEBP", **lossless),
        "webp_grey": file(grey, "WEBP", **lossless),
        "webp_alpha": file(alpha(), "WEBP", **lossless),
        "webp_animated": file(base, "WEBP", **lossless, **two),
        "bmp": file(base, "BMP"),
        "bmp_grey": file(grey, "BMP"),
        "bmp_palette": file(palette, "BMP"),
        "bmp_1_bit": file(base.convert("1"), "BMP"),
        "bmp_32_bits": file(base.convert("RGBA"), "BMP"),
        "bmp_alpha": bmp_alpha(),
        **{
            f"tiff_{kind}": file(base, "TIFF", compression=kind)
            for kind in ("raw", "tiff_lzw", "tiff_adobe_deflate", "packbits", "jpeg")
        },
        "tiff_group4": file(base.convert("1"), "TIFF", compression="group4"),
        "tiff_grey": file(grey, "TIFF"),
        "tiff_white_is_zero": tiff(np.asarray(grey), 0),
        "tiff_palette": file(palette, "TIFF"),
        "tiff_alpha": file(alpha(), "TIFF"),
        "tiff_cmyk": file(base.convert("CMYK"), "TIFF"),
        "tiff_pages": file(base, "TIFF", **two),
        "tiff_planes": tiff(np.asarray(base), planes=2),
        "tiff_grey_16_bits": tiff(deep, 1),
        "tiff_grey_16_bits_big_endian": tiff(deep, 1, ">"),
        "tiff_colours_16_bits": tiff(colours),
        "tiff_colours_16_bits_big_endian": tiff(colours, order=">"),
        "tiff_alpha_16_bits": tiff(opaque, extra=2),
        "ppm": file(base, "PPM"),
        "pgm": file(grey, "PPM"),
        "pbm": file(base.convert("1"), "PPM"),
        "pgm_plain": plain_grey.encode(),
        "pgm_16_bits": b"P5 30 20 65535\n" + deep.astype(">u2").tobytes(),
        "pgm_10_bits": b"P5 30 20 1023\n" + (deep >> 6).astype(">u2").tobytes(),
        "ppm_16_bits": b"P6 20 10 65535\n" + colours.astype(">u2").tobytes(),
        "gif": file(base, "GIF"),
        "gif_grey": file(grey, "GIF"),
        "gif_transparent": file(palette, "GIF", transparency=3),
        "gif_animated": file(base, "GIF", **two),
        "png_animated": file(base, **two),
        "jpeg_cmyk": file(base.convert("CMYK"), "JPEG", quality=95),
        "jpeg_ycck": ycck(),
        **{f"webp_exif_{n}": file(base, "WEBP", exif=turned(n), **lossless) for n in (3, 6)},
        **{f"tiff_exif_{n}": tiff(np.asarray(base), orientation=n) for n in (3, 6, 9)},
    }


@functools.cache
def good_files() -> dict[str, bytes]:
    """Return files that both sides must decode alike."""
    base = picture()
    jpeg = file(base, "JPEG", exif=turned(5))
    deep = np.random.default_rng(1).integers(0, 65536, (20, 30), np.uint16)
    return {
        **{f"png_{mode}": file(base.convert(mode)) for mode in ("1", "L", "LA", "P", "RGB", "RGBA")},
        "png_palette_transparent": file(base.quantize(16), transparency=3),
        "png_2_bits": file(base.convert("L").quantize(4), bits=2),
        "png_grey_16_bits": file(Image.fromarray(deep)),
        "png_colour_key": file(base, transparency=base.getpixel((9, 9))),
        "png_grey_key": file(base.convert("L"), transparency=base.convert("L").getpixel((9, 9))),
        "png_alpha": file(alpha()),
        "png_grey_alpha": file(alpha("LA")),
        "png_colours_16_bits": png_16_bits(deep.reshape(10, 20, 3)),
        "png_alpha_16_bits": png_16_bits(deep.reshape(10, 15, 4)),
        "png_16_bits_just_enough": file(Image.fromarray(deep // 4 + np.uint16(64))),
        **{f"png_exif_{n}": file(base, exif=turned(n)) for n in range(1, 10)},
        **{f"jpeg_subsampling_{n}": file(base, "JPEG", subsampling=n, quality=70) for n in range(3)},
        "jpeg_progressive": file(base, "JPEG", progressive=True),
        "jpeg_grey": file(base.convert("L"), "JPEG"),
        **{f"jpeg_exif_{n}": file(base, "JPEG", exif=turned(n)) for n in range(10)},
        "jpeg_exif_big_endian": jpeg.replace(
            jpeg[jpeg.index(b"Exif") : jpeg.index(b"Exif") + 32],
            b"Exif\0\0" + struct.pack(">2sHIHHHIHHI", b"MM", 42, 8, 1, 0x0112, 3, 1, 8, 0, 0),
        ),
        "jpeg_exif_after_fill_bytes": jpeg[:2] + b"\xff\xff" + jpeg[2:],
        "jpeg_exif_cut": jpeg[:2] + b"\xff\xe1\0\x0cExif\0\0II*\0" + file(base, "JPEG")[2:],
        "jpeg_of_several": file(base, "MPO", save_all=True, append_images=[base]),
        "jpeg_with_a_tail": file(base, "JPEG") + b"tail",
        "one_pixel": file(picture(1, 1)),
        "thin": file(picture(3, 400)),
    }


@functools.cache
def bad_files() -> dict[str, tuple[bytes, str]]:
    """Return files that both sides must refuse, with a word of the reason."""
    base = picture()
    dark = np.arange(4096, dtype=np.uint16).reshape(64, 64)
    deep = np.random.default_rng(2).integers(0, 65536, (20, 30), np.uint16)
    white = Image.new("RGBA", (80, 60), "white")
    white.putalpha(base.convert("L"))
    whole, jpeg = file(base), file(base, "JPEG")
    end = whole.rindex(b"IEND") - 4
    return {
        "empty": (b"", "empty"),
        "text": (b"hello, this is no image", "not an image"),
        **{f"{kind}_half": (half(file(base, kind)), "truncated") for kind in ("BMP", "GIF", "PPM", "TIFF")},
        "webp_half": (half(file(base, "WEBP")), "cannot be read"),
        "eps": (b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n", "EPS is not read"),
        "heic": (b"\0\0\0\x18ftypheic\0\0\0\0", "HEIC"),
        "avif": (b"\0\0\0\x18ftypavif\0\0\0\0", "AVIF"),
        "svg": (b"<svg xmlns='http://www.w3.org/2000/svg'/>", "SVG is not read"),
        "pfm": (b"Pf\n2 2\n-1.0\n" + bytes(16), "PFM is not read"),
        "tiff_float": (tiff(deep.astype(np.float32), 1), "mode F"),
        "tiff_float_colours": (tiff(np.stack([deep.astype(np.float32)] * 3, -1)), "not an image"),
        "tiff_32_bits": (tiff(deep.astype(np.uint32), 1), "mode I"),
        "tiff_signed": (tiff(deep.astype(np.int16), 1), "mode I"),
        "tiff_signed_8_bits": (tiff(deep.astype(np.int8), 1), "signed"),
        "tiff_12_bits": (tiff(dark, 1), "16 bits"),
        "tiff_colours_14_bits": (tiff(np.stack([dark * 4] * 3, -1)), "16 bits"),
        "tiff_white_is_zero": (tiff(deep, 0), "0 is white"),
        "tiff_planes_of_16_bits": (tiff(np.stack([deep] * 3, -1), planes=2), "one plane for each colour"),
        "tiff_ycbcr": (tiff(np.asarray(base), 6), "YCbCr"),
        "tiff_other_inks": (tiff(np.asarray(base.convert("CMYK")), 5, inks=2), "inks other than cyan"),
        "tiff_large_tile": (tiff(np.asarray(base), tile_width=65536, tile_height=65536), "larger than"),
        "pgm_12_bits_of_16": (b"P5 64 64 65535\n" + dark.astype(">u2").tobytes(), "16 bits"),
        "ppm_14_bits_of_16": (b"P6 64 64 65535\n" + np.stack([dark * 4] * 3, -1).astype(">u2").tobytes(), "16 bits"),
        "cmyk_without_marker": (without_adobe(file(base.convert("CMYK"), "JPEG")), "Adobe"),
        "webp_white_on_nothing": (file(white, "WEBP", lossless=True, exact=True), "one colour"),
        "grey_12_bits": (file(Image.fromarray(dark)), "16 bits"),
        "colours_14_bits": (png_16_bits(np.stack([dark * 4] * 3, -1)), "16 bits"),
        "one_level_of_16_bits": (file(Image.fromarray(dark % 256 + np.uint16(40 * 256))), "16 bits"),
        "grey_key_of_16_bits": (file(Image.fromarray(dark * 16), transparency=16), "transparent colour"),
        "white_on_nothing": (file(white), "one colour"),
        "too_long": (file(Image.new("L", (1, LONGEST_SIDE + 1))), "sides of at most"),
        "jpeg_half": (half(jpeg), "truncated"),
        "jpeg_without_end": (jpeg[:-2], "truncated"),
        "png_half": (half(whole), "truncated"),
        "png_without_end": (whole[:end], "end of the PNG"),
        "png_changed": (whole[:200] + bytes([whole[200] ^ 1]) + whole[201:], "IDAT"),
        "png_bad_checksum": (whole[: end - 4] + b"\0\0\0\0" + whole[end:], "IDAT"),
        "png_header_only": (whole[:33], "not an image"),
    }
