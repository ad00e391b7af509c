"""Image files of every kind, made from one random picture."""

from __future__ import annotations

import io
from typing import Any

import numpy as np
from PIL import Image


def picture(height: int = 60, width: int = 80, seed: int = 0) -> Image.Image:
    """Return a smooth random RGB picture."""
    noise = np.random.default_rng(seed).integers(0, 256, (height // 4 + 2, width // 4 + 2, 3), np.uint8)
    return Image.fromarray(noise).resize((width, height), Image.Resampling.BICUBIC)


def file(image: Image.Image, kind: str = "PNG", **options: Any) -> bytes:
    """Return the image as the bytes of a file."""
    stream = io.BytesIO()
    image.save(stream, kind, **options)
    return stream.getvalue()


def good_files() -> dict[str, bytes]:
    """Return files that both sides must decode alike."""
    base = picture()
    turned = Image.Exif()
    turned[274] = 6
    deep = np.random.default_rng(1).integers(0, 65536, (20, 30), np.uint16)
    return {
        **{f"png_{mode}": file(base.convert(mode)) for mode in ("1", "L", "LA", "P", "RGB", "RGBA")},
        "png_palette_transparent": file(base.quantize(16), transparency=3),
        "png_2_bits": file(base.convert("L").quantize(4), bits=2),
        "png_grey_16_bits": file(Image.fromarray(deep)),
        "png_colour_key": file(base, transparency=(1, 2, 3)),
        **{f"jpeg_subsampling_{n}": file(base, "JPEG", subsampling=n, quality=70) for n in range(3)},
        "jpeg_progressive": file(base, "JPEG", progressive=True),
        "jpeg_grey": file(base.convert("L"), "JPEG"),
        "jpeg_turned_by_exif": file(base, "JPEG", exif=turned),
        "jpeg_of_several": file(base, "MPO", save_all=True, append_images=[base]),
        "jpeg_with_a_tail": file(base, "JPEG") + b"tail",
        "one_pixel": file(picture(1, 1)),
        "thin": file(picture(3, 400)),
    }


def bad_files() -> dict[str, tuple[bytes, str]]:
    """Return files that both sides must refuse, with a word of the reason."""
    base = picture()
    png, jpeg = file(base), file(base, "JPEG")
    end = png.rindex(b"IEND") - 4
    return {
        "empty": (b"", "empty"),
        "text": (b"hello, this is no image", "not an image"),
        "gif": (file(base, "GIF"), "GIF"),
        "bmp": (file(base, "BMP"), "BMP"),
        "webp": (file(base, "WEBP"), "WEBP"),
        "cmyk": (file(base.convert("CMYK"), "JPEG"), "CMYK"),
        "animated": (file(base, save_all=True, append_images=[base.rotate(90)]), "animated"),
        "jpeg_half": (jpeg[: len(jpeg) // 2], "truncated"),
        "jpeg_without_end": (jpeg[:-2], "truncated"),
        "png_half": (png[: len(png) // 2], "truncated"),
        "png_without_end": (png[:end], "end of the PNG"),
        "png_changed": (png[:200] + bytes([png[200] ^ 1]) + png[201:], "IDAT"),
        "png_bad_checksum": (png[: end - 4] + b"\0\0\0\0" + png[end:], "IDAT"),
        "png_header_only": (png[:33], "not an image"),
    }
