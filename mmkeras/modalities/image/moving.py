"""Pictures and masks that are shifted, turned, scaled and mirrored in the tf.data graph."""

from __future__ import annotations

import numpy as np
import tensorflow as tf

from mmkeras.modalities._moves import Move

__all__ = ["move_picture"]


def move_picture(pixels: tf.Tensor, move: Move, *, smooth: bool = False) -> tf.Tensor:
    """Move pictures or masks (B, height, width, ...) of any dtype; edge pixels fill the gap that a move leaves.

    Args:
        pixels: the pictures or masks; with a turn or a zoom (B, height, width) or (B, height, width, channels).
        move: how each of them is moved.
        smooth: turn and scale with bilinear interpolation, for pictures; else every pixel keeps one of the values.
    """
    for axis, share in ((1, move.up), (2, move.left)):
        if share is not None:
            size = int(pixels.shape[axis])
            places = tf.cast(tf.round(share[:, None] * size), tf.int32) + np.arange(size, dtype=np.int32)
            pixels = tf.gather(pixels, tf.clip_by_value(places, 0, size - 1), axis=axis, batch_dims=1)
    if move.turn is not None or move.zoom is not None:
        pixels = _turned(pixels, move, smooth)
    if move.mirror is not None:
        # Gathering whole images is much faster than a condition per pixel, and reverse is than a slice of step -1.
        count = tf.shape(pixels)[0]
        mirrored = tf.where(move.mirror, count, 0)
        pixels = tf.gather(tf.concat([pixels, tf.reverse(pixels, [2])], axis=0), tf.range(count) + mirrored)
    return pixels


def _turned(pixels: tf.Tensor, move: Move, smooth: bool) -> tf.Tensor:
    """Turn and scale about the middle of the picture."""
    shape, dtype = pixels.shape, pixels.dtype
    height, width = int(shape[1]), int(shape[2])
    ones = tf.ones(tf.shape(pixels)[0])
    turn = 0.0 * ones if move.turn is None else move.turn
    scale = 1.0 / (ones if move.zoom is None else move.zoom)
    # The operation asks for the place in the source, column and row, of each place in the result.
    cosine, sine = scale * tf.cos(turn), scale * tf.sin(turn)
    column, row = (width - 1) / 2, (height - 1) / 2
    transforms = [
        *(cosine, -sine, column - cosine * column + sine * row),
        *(sine, cosine, row - sine * column - cosine * row),
        *(0.0 * ones, 0.0 * ones),
    ]
    # The operation truncates interpolated integers.
    images = pixels if shape.rank == 4 else pixels[..., None]
    moved = tf.raw_ops.ImageProjectiveTransformV3(
        images=tf.cast(images, tf.float32) if smooth else images,
        transforms=tf.stack(transforms, axis=1),
        output_shape=[height, width],
        interpolation="BILINEAR" if smooth else "NEAREST",
        fill_mode="NEAREST",
        fill_value=0.0,
    )
    moved = tf.cast(tf.round(moved), dtype) if smooth and dtype.is_integer else tf.cast(moved, dtype)
    return tf.ensure_shape(moved if shape.rank == 4 else moved[..., 0], shape)
