"""JPEG and PNG files in the graph, equal to `pixels.read_rgb` on the host, for training and for the SavedModel.

Files of other formats reach a training as PNG files of their pixels: the conversion decodes them as a device does. The
SavedModel's raw endpoint refuses them. TensorFlow's own decoders of GIF, BMP, WebP and CMYK differ from a device's
(palettes, transparency, the inks' polarity) and ignore EXIF, so the head of the file is parsed first.
"""

from __future__ import annotations

import numpy as np
import tensorflow as tf

from mmkeras.media.image.colours import DARKEST, WHITE
from mmkeras.media.image.orientation import EXIF, HEAD, JPEG, ORIENTATION_TAG, PNG

__all__ = ["decode_file", "is_file"]

_START = 48
"""Bytes that show whether a file has a plain head."""
_PADDING = 16
"""Zeros after the head, so that a number at its end can be read."""
_EXPECTED = (
    "expected a grey or RGB JPEG file or a still PNG file. A device and the conversion also read WebP, GIF, BMP, TIFF, "
    "PPM and CMYK; save such a picture as PNG for this endpoint"
)
_NONE = -1
"""Offset of EXIF in a file without it."""


def is_file(raw: tf.Tensor) -> tf.Tensor:
    """Return whether a string () begins like a JPEG or PNG file."""
    return (tf.strings.substr(raw, 0, len(JPEG)) == JPEG) | (tf.strings.substr(raw, 0, len(PNG)) == PNG)


def decode_file(raw: tf.Tensor) -> tf.Tensor:
    """Return the upright RGB pixels of a JPEG or PNG file, uint8 (H, W, 3), equal to `pixels.read_rgb` to one level.

    Raises:
        tf.errors.InvalidArgumentError: while it runs, for a file that `pixels.read_rgb` refuses.
    """
    start = tf.io.decode_raw(raw, tf.uint8, fixed_length=_START)

    def begins(parts: dict[int, bytes]) -> tf.Tensor:
        at = [offset + n for offset, expected in parts.items() for n in range(len(expected))]
        return tf.reduce_all(tf.gather(start, at) == np.frombuffer(b"".join(parts.values()), np.uint8))

    # Most files have one of two plain heads; searching for markers takes longer than decoding a small image.
    plain_png = begins({0: PNG, 37: b"IDAT"}) & tf.reduce_all(tf.gather(start, [24, 25]) < np.array([16, 4], np.uint8))
    plain_jpeg = begins({0: JPEG + b"\xe0\0\x10", 20: b"\xff\xdb"})
    return tf.case(
        [(plain_png, lambda: tf.io.decode_png(raw, channels=3)), (plain_jpeg, lambda: _jpeg(raw))], lambda: _walk(raw)
    )


def _walk(raw: tf.Tensor) -> tf.Tensor:
    """Call `_decode_by_head` as a separate function: inlined, its operations take time even when not needed."""
    signature = [tf.TensorSpec((), tf.string)]
    return tf.function(
        _decode_by_head, input_signature=signature, autograph=False, experimental_attributes={"_noinline": True}
    )(raw)


def _decode_by_head(raw: tf.Tensor) -> tf.Tensor:
    code = tf.io.decode_raw(tf.strings.substr(raw, 0, HEAD), tf.uint8)
    code = tf.concat([code, tf.zeros((_PADDING,), tf.uint8)], 0)
    image, exif = tf.cond(_equal(code, 0, JPEG), lambda: (_jpeg(raw), _exif_of_jpeg(code)), lambda: _png(raw, code))
    turned = tf.cond(exif == _NONE, lambda: 1, lambda: _orientation(code, exif))
    return tf.cond(turned == 1, lambda: image, lambda: _upright(image, turned))


def _jpeg(raw: tf.Tensor) -> tf.Tensor:
    channels = tf.image.extract_jpeg_shape(raw)[2]
    with tf.control_dependencies([_demand((channels == 1) | (channels == 3), f"got CMYK; {_EXPECTED}")]):
        # The default method is slightly faster but differs from libjpeg's, which Pillow uses.
        return tf.io.decode_jpeg(raw, channels=3, dct_method="INTEGER_ACCURATE")


def _exif_of_jpeg(code: tf.Tensor) -> tf.Tensor:
    """Return the offset of EXIF's TIFF structure."""

    def going(at: tf.Tensor, found: tf.Tensor) -> tf.Tensor:
        start, marker = _number(code, at, 1), _number(code, at + 1, 1)
        application = (marker >= 0xE0) & (marker <= 0xEF) | (marker == 0xFE) | (marker == 0xFF)
        return (found == _NONE) & (start == 0xFF) & application

    def step(at: tf.Tensor, found: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        marker = _number(code, at + 1, 1)
        exif = (marker == 0xE1) & _equal(code, at + 4, EXIF)
        # A marker may be preceded by fill bytes.
        after = tf.where(marker == 0xFF, at + 1, at + 2 + _number(code, at + 2, 2))
        return after, tf.where(exif, at + 10, found)

    return tf.while_loop(going, step, (tf.constant(2), tf.constant(_NONE)))[1]


def _png(raw: tf.Tensor, code: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    """Return pixels and the offset of EXIF's TIFF structure."""

    def going(at: tf.Tensor, *found: tf.Tensor) -> tf.Tensor:
        data = _equal(code, at + 4, b"IDAT") | _equal(code, at + 4, b"IEND")
        return (at + 12 <= tf.size(code) - _PADDING) & ~data

    def step(at: tf.Tensor, exif: tf.Tensor, key: tf.Tensor, frames: tf.Tensor) -> tuple[tf.Tensor, ...]:
        size = tf.minimum(_number(code, at, 4), HEAD)
        first = (exif == _NONE) & _equal(code, at + 4, b"eXIf")
        key, frames = key | _equal(code, at + 4, b"tRNS"), frames | _equal(code, at + 4, b"acTL")
        return at + 12 + tf.cast(size, tf.int32), tf.where(first, at + 8, exif), key, frames

    none = tf.constant(_NONE), tf.constant(False), tf.constant(False)
    _, exif, key, frames = tf.while_loop(going, step, (tf.constant(len(PNG)), *none))
    depth, kind = _number(code, 24, 1), _number(code, 25, 1)
    demands = [
        _demand(_equal(code, 0, PNG), _EXPECTED),
        _demand(~frames, f"got an animated PNG file; {_EXPECTED}"),
        _demand(~key | (kind == 3) | (depth == 8), "a transparent colour is supported in a PNG of 8 bits only"),
    ]
    with tf.control_dependencies(demands):
        image = tf.cond(
            key | (kind >= 4),
            lambda: _blended(tf.io.decode_png(raw, channels=4)),
            lambda: tf.io.decode_png(raw, channels=3),
        )
    enough = tf.cond(depth == 16, lambda: ~_flat(image) & (tf.reduce_max(image) >= DARKEST), lambda: True)
    with tf.control_dependencies([_demand(enough, "an image of 16 bits that loses too much in 8")]):
        return tf.identity(image), exif


def _blended(image: tf.Tensor) -> tf.Tensor:
    values = tf.cast(image, tf.int32)
    colours, alpha = values[..., :3], values[..., 3:]
    blended = tf.cast((colours * alpha + WHITE * (255 - alpha) + 127) // 255, tf.uint8)
    lost = _flat(blended) & ~_flat(image)
    with tf.control_dependencies([_demand(~lost, "the image differs from white in transparent parts only")]):
        return tf.identity(blended)


def _flat(image: tf.Tensor) -> tf.Tensor:
    """Return whether all pixels are equal."""
    return tf.reduce_all(image == image[:1, :1])


def _orientation(code: tf.Tensor, start: tf.Tensor) -> tf.Tensor:
    """Return the orientation in the first directory of the TIFF structure at an offset."""
    little = _equal(code, start, b"II*\0")
    known = little | _equal(code, start, b"MM\0*")
    order = tf.where(little, [1, 0], [0, 1])

    def number(at: tf.Tensor, size: int) -> tf.Tensor:
        return tf.where(little, _number(code, at, size, little=True), _number(code, at, size))

    directory = start + tf.cast(tf.minimum(number(start + 4, 4), HEAD), tf.int32)
    count = number(directory, 2)
    left = tf.maximum(tf.size(code) - _PADDING - directory - 2, 0) // 12
    entries = tf.slice(code, [tf.minimum(directory + 2, tf.size(code))], [12 * tf.minimum(count, left)])
    entries = tf.cast(tf.reshape(entries, (-1, 6, 2)), tf.int32)
    numbers = tf.reduce_sum(tf.gather(entries, order, axis=2) * [256, 1], axis=2)
    right = (numbers[:, 0] == ORIENTATION_TAG) & (numbers[:, 1] == 3)
    value = tf.concat([tf.boolean_mask(numbers[:, 4], right), [1]], 0)[0]
    return tf.where(known & (value >= 1) & (value <= 8), value, 1)


def _upright(image: tf.Tensor, turned: tf.Tensor) -> tf.Tensor:
    image = tf.cond(turned >= 5, lambda: tf.transpose(image, (1, 0, 2)), lambda: image)
    for axis, turns in ((0, (3, 4, 7, 8)), (1, (2, 3, 6, 7))):
        mirrored = tf.reduce_any(turned == turns)
        image = tf.cond(mirrored, lambda image=image, axis=axis: tf.reverse(image, [axis]), lambda image=image: image)
    return image


def _number(code: tf.Tensor, at: tf.Tensor, size: int, little: bool = False) -> tf.Tensor:
    """Return the unsigned number of ``size`` bytes at an offset; int64 for 4 bytes, else int32."""
    kind = np.int64 if size > 2 else np.int32
    weights = 256 ** np.arange(size - 1, -1, -1).astype(kind)
    bytes_ = tf.slice(code, [tf.minimum(at, tf.size(code) - _PADDING)], [size])
    return tf.reduce_sum(tf.cast(bytes_, kind) * (weights[::-1] if little else weights))


def _equal(code: tf.Tensor, at: tf.Tensor, expected: bytes) -> tf.Tensor:
    """Return whether the bytes at an offset are the expected ones."""
    found = tf.slice(code, [tf.minimum(at, tf.size(code) - _PADDING)], [len(expected)])
    return tf.reduce_all(found == np.frombuffer(expected, np.uint8))


def _demand(condition: tf.Tensor, words: str) -> tf.Operation:
    return tf.debugging.Assert(condition, [f"Image refused: {words}"])
