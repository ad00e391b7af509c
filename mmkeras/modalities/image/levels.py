"""Stretches the levels of a picture in the graph, as `mmkeras.media.image.levels` does on the host."""

from __future__ import annotations

import tensorflow as tf

from mmkeras.media.image.levels import CUT, LEAST

__all__ = ["stretch_levels"]


def stretch_levels(pixels: tf.Tensor) -> tf.Tensor:
    """Return uint8 pixels of any shape with the darkest hundredth of the values at 0 and the brightest at 255."""
    count = tf.size(pixels)
    cut = count // CUT
    below = tf.cumsum(tf.math.bincount(tf.reshape(tf.cast(pixels, tf.int32), (-1,)), minlength=256, maxlength=256))
    low, high = tf.unstack(tf.searchsorted(below, tf.stack([cut, count - 1 - cut]), side="right"), num=2)
    scale = 255.0 / tf.cast(tf.maximum(high - low, LEAST), tf.float32)
    stretched = tf.round((tf.cast(pixels, tf.float32) - tf.cast(low, tf.float32)) * scale)
    return tf.cast(tf.clip_by_value(stretched, 0.0, 255.0), tf.uint8)
