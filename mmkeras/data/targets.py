"""Targets in records and in the tf.data graph: the graph side of `mmkeras.tasks.TargetSpec`."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import tensorflow as tf

from mmkeras.tasks import TargetSpec

__all__ = ["BATCH_BYTES", "decode_target", "rows_at_once"]

BATCH_BYTES = 32 * 2**20
"""Decoded targets that are held at once while a split is read."""
_PNG_SIZE = 16  # where a PNG file says its width and height, as two big-endian numbers of 4 bytes


def rows_at_once(specs: Sequence[TargetSpec], most: int) -> int:
    """Return how many samples to decode at once, at most ``most``, so that large targets do not fill the memory."""
    size = sum(int(np.prod(spec.shape)) * np.dtype(spec.dtype).itemsize for spec in specs)
    return max(1, min(most, BATCH_BYTES // max(1, size)))


def decode_target(spec: TargetSpec, raw: tf.Tensor) -> tf.Tensor:
    """Decode what records hold of a target; equals `TargetSpec.from_bytes`.

    Args:
        spec: of the target.
        raw: string (B,).

    Returns:
        (B, *shape) of the spec's dtype. Bytes of another size are an InvalidArgumentError.
    """
    kind = tf.as_dtype(spec.dtype)
    if spec.encoding == "raw":
        shape = tf.concat([[tf.size(raw)], tf.constant(spec.shape, tf.int32)], axis=0)
        return tf.ensure_shape(tf.reshape(tf.io.decode_raw(raw, kind), shape), (None, *spec.shape))

    def picture(one: tf.Tensor) -> tf.Tensor:
        sides = tf.io.decode_raw(tf.strings.substr([one], _PNG_SIZE, 8), tf.int32, little_endian=False)
        # Before the pixels are decoded: a damaged header must not ask for gigabytes.
        with tf.control_dependencies([tf.debugging.assert_equal(sides[0], [spec.shape[1], spec.shape[0]])]):
            pixels = tf.io.decode_png(one, (*spec.shape, 1)[2], kind)
        return tf.reshape(pixels, spec.shape)

    return tf.map_fn(picture, raw, fn_output_signature=tf.TensorSpec(spec.shape, kind))
