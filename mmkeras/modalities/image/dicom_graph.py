"""DICOM in the graph by tensorflow-io (extra ``tfio``, TensorFlow 2.16); in numpy see `media.dicom`.

tensorflow-io's decoder (DCMTK) returns grey values stretched over the bits that their rescaled range needs, with
MONOCHROME1 inverted. Both are undone here, so that a file's own window can be applied to measured values.
"""

from __future__ import annotations

import tensorflow as tf

from mmkeras.core.errors import require
from mmkeras.media.dicom.display import TIE

__all__ = ["decode_dicom"]


def decode_dicom(raw: tf.Tensor, frame: int = 0) -> tf.Tensor:
    """Return one frame of a DICOM file, uint8 (H, W, 3), within one level of `Frame.picture`.

    Files in records are read exactly. Other files must have whole numbers of up to 16 bits, a top-level window or none,
    and no lookup tables.

    Raises:
        DependencyError: tensorflow-io is not installed.
        tf.errors.InvalidArgumentError: while it runs, for a file that tensorflow-io cannot decode.
    """
    tfio = require("tensorflow_io", "tfio", "tensorflow-io")
    image = tfio.image.decode_dicom_image(raw, color_dim=True, on_error="strict", scale="preserve", dtype=tf.float64)
    image = image[frame]
    tag = tfio.image.dicom_tags

    def number(name: str, default: float) -> tf.Tensor:
        text = tf.strings.strip(tfio.image.decode_dicom_data(raw, tags=getattr(tag, name)))
        text = tf.strings.split(tf.reshape(text, (1,)), "\\").to_tensor("", shape=(1, None))[0, :1]
        text = tf.reshape(tf.concat([text, [""]], 0)[:1], ())
        absent = tf.constant(default, tf.float64)
        return tf.cond(text == "", lambda: absent, lambda: tf.strings.to_number(text, tf.float64))

    def word(name: str) -> tf.Tensor:
        return tf.reshape(tf.strings.strip(tfio.image.decode_dicom_data(raw, tags=getattr(tag, name))), ())

    bits, kind = number("BitsStored", 8.0), word("PhotometricInterpretation")

    def colour() -> tf.Tensor:
        depth = tf.where(kind == "PALETTE COLOR", tf.constant(16.0, tf.float64), bits)
        return tf.cast(tf.floor(image / 2.0 ** tf.maximum(depth - 8.0, 0.0)), tf.uint8)

    def grey() -> tf.Tensor:
        slope, intercept = number("RescaleSlope", 1.0), number("RescaleIntercept", 0.0)
        inverted = kind == "MONOCHROME1"
        stored = _stored(image, bits, number("PixelRepresentation", 0.0) > 0, slope, intercept, inverted)
        measured = slope * stored + intercept
        share = _windowed(
            measured, number("WindowCenter", float("nan")), number("WindowWidth", float("nan")), word("VOILUTFunction")
        )
        share = tf.clip_by_value(share, 0.0, 1.0)
        levels = tf.round(tf.minimum(255.0 * tf.where(inverted, 1.0 - share, share) + TIE, 255.0))
        return tf.repeat(tf.cast(levels, tf.uint8), 3, axis=-1)

    return tf.cond(tf.shape(image)[-1] == 3, colour, grey)


def _stored(
    image: tf.Tensor, bits: tf.Tensor, signed: tf.Tensor, slope: tf.Tensor, intercept: tf.Tensor, inverted: tf.Tensor
) -> tf.Tensor:
    """Return the stored values of an image decoded by DCMTK."""
    steps = 2.0**bits - 1.0
    lowest = tf.where(signed, -(2.0 ** (bits - 1.0)), tf.zeros_like(bits))
    ends = tf.stack([slope * lowest + intercept, slope * (lowest + steps) + intercept])
    below, above = tf.abs(tf.reduce_min(ends)), tf.abs(tf.reduce_max(ends))
    negative = tf.reduce_min(ends) < 0.0
    size = tf.where(negative, tf.maximum(below, above), above)
    needed = tf.floor(tf.math.log(tf.maximum(size, 1.0)) / tf.math.log(tf.constant(2.0, tf.float64)) + 1e-12) + 1.0
    needed = needed + tf.cast(negative, tf.float64)
    rescaled = (slope != 1.0) | (intercept != 0.0)
    full = 2.0 ** tf.where(rescaled, needed, bits) - 1.0
    image = tf.where(inverted, full - image, image)
    return lowest + tf.round(image * steps / full)


def _windowed(measured: tf.Tensor, center: tf.Tensor, width: tf.Tensor, function: tf.Tensor) -> tf.Tensor:
    """Return the share of white, unclipped; without a window the smallest and the largest value are black and white."""
    linear = (function == "LINEAR") | (function == "")
    low, high = tf.reduce_min(measured), tf.reduce_max(measured)
    narrowest = tf.where(linear, tf.constant(1.0, tf.float64), tf.constant(1e-12, tf.float64))
    own = tf.math.is_nan(center) | tf.math.is_nan(width) | (width < narrowest)

    def by_range() -> tf.Tensor:
        return tf.math.divide_no_nan(measured - low, high - low)

    def by_window() -> tf.Tensor:
        exact = tf.where(linear, center - 0.5, center), tf.where(linear, width - 1.0, width)
        step = tf.cast(measured > exact[0], tf.float64)
        sloped = tf.math.divide_no_nan(measured - exact[0], exact[1]) + 0.5
        curve = tf.sigmoid(4.0 * (measured - center) / width)
        return tf.where(function == "SIGMOID", curve, tf.where(exact[1] == 0.0, step, sloped))

    return tf.cond(own, by_range, by_window)
