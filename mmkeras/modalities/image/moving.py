"""Pictures and masks that are shifted and mirrored in the tf.data graph."""

from __future__ import annotations

import numpy as np
import tensorflow as tf

from mmkeras.modalities._moves import Move

__all__ = ["move_picture"]


def move_picture(pixels: tf.Tensor, move: Move) -> tf.Tensor:
    """Move pictures or masks (B, height, width, ...) of any dtype; edge pixels fill the gap that a shift leaves."""
    for axis, share in ((1, move.up), (2, move.left)):
        if share is not None:
            size = int(pixels.shape[axis])
            places = tf.cast(tf.round(share[:, None] * size), tf.int32) + np.arange(size, dtype=np.int32)
            pixels = tf.gather(pixels, tf.clip_by_value(places, 0, size - 1), axis=axis, batch_dims=1)
    if move.mirror is not None:
        # Gathering whole images is much faster than a condition per pixel, and reverse is than a slice of step -1.
        count = tf.shape(pixels)[0]
        mirrored = tf.where(move.mirror, count, 0)
        pixels = tf.gather(tf.concat([pixels, tf.reverse(pixels, [2])], axis=0), tf.range(count) + mirrored)
    return pixels
