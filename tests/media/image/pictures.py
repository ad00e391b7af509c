"""Image files of every kind, made from one random picture."""

from __future__ import annotations

import io
import struct
import zlib
from typing import Any

import numpy as np
from PIL import Image

from mmkeras.media.image.colours import LONGEST_SIDE


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


def bad_files() -> dict[str, tuple[bytes, str]]:
    """Return files that both sides must refuse, with a word of the reason."""
    base = picture()
    dark = np.arange(4096, dtype=np.uint16).reshape(64, 64)
    white = Image.new("RGBA", (80, 60), "white")
    white.putalpha(base.convert("L"))
    whole, jpeg = file(base), file(base, "JPEG")
    end = whole.rindex(b"IEND") - 4
    return {
        "empty": (b"", "empty"),
        "text": (b"hello, this is no image", "not an image"),
        "gif": (file(base, "GIF"), "GIF"),
        "bmp": (file(base, "BMP"), "BMP"),
        "webp": (file(base, "WEBP"), "WEBP"),
        "tiff": (file(base, "TIFF"), "TIFF"),
        "ppm": (file(base, "PPM"), "PPM"),
        "pgm": (file(base.convert("L"), "PPM"), "PPM"),
        "grey_12_bits": (file(Image.fromarray(dark)), "16 bits"),
        "colours_14_bits": (png_16_bits(np.stack([dark * 4] * 3, -1)), "16 bits"),
        "one_level_of_16_bits": (file(Image.fromarray(dark % 256 + np.uint16(40 * 256))), "16 bits"),
        "grey_key_of_16_bits": (file(Image.fromarray(dark * 16), transparency=16), "transparent colour"),
        "white_on_nothing": (file(white), "one colour"),
        "cmyk": (file(base.convert("CMYK"), "JPEG"), "CMYK"),
        "too_long": (file(Image.new("L", (1, LONGEST_SIDE + 1))), "sides of at most"),
        "animated": (file(base, save_all=True, append_images=[base.rotate(90)]), "animated"),
        "jpeg_half": (jpeg[: len(jpeg) // 2], "truncated"),
        "jpeg_without_end": (jpeg[:-2], "truncated"),
        "png_half": (whole[: len(whole) // 2], "truncated"),
        "png_without_end": (whole[:end], "end of the PNG"),
        "png_changed": (whole[:200] + bytes([whole[200] ^ 1]) + whole[201:], "IDAT"),
        "png_bad_checksum": (whole[: end - 4] + b"\0\0\0\0" + whole[end:], "IDAT"),
        "png_header_only": (whole[:33], "not an image"),
    }
