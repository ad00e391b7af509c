"""Series in records and in the tf.data graph: .npy files of whole windows, normalised as on the host."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from mmkeras.layers.draws import normal, uniform
from mmkeras.modalities.series.normalised import FLAT, FURTHEST
from mmkeras.modalities.series.spec import Config, Spec
from mmkeras.modalities.series.values import read_series, write_npy

if TYPE_CHECKING:
    import tensorflow as tf

__all__ = ["augment", "decode", "encode", "remark"]

_NUMBER = 8
"""Bytes of a float64."""


def encode(config: Config | Spec, value: Any) -> bytes:
    """Check a series and return its window as a .npy file, float64 (length, features).

    Raises:
        DataError: the series cannot be read.
    """
    return write_npy(read_series(config, value).steps)


def remark(config: Config | Spec, value: Any) -> str:
    """Return what is not used of a series."""
    reading = read_series(config, value)
    if reading.cut:
        return f"it has more than {config.length} steps; the oldest are not used"
    return "several steps in one interval; the newest is used" if reading.merged else ""


def decode(spec: Spec, raw: tf.Tensor) -> dict[str, tf.Tensor]:
    """Return the tensors of the results of `encode`, () or (B,), in the graph; equals `Spec.preprocess`."""
    import tensorflow as tf

    raw = tf.convert_to_tensor(raw)
    single = raw.shape.rank == 0
    raw = tf.reshape(raw, (-1,))
    size = spec.length * spec.features * _NUMBER
    # The header's length follows from the shape alone, so the numbers are the end of every record.
    start = tf.maximum(tf.strings.length(raw) - size, 0)
    body = tf.strings.substr(raw, start, tf.fill(tf.shape(raw), size))
    steps = tf.reshape(tf.io.decode_raw(body, tf.float64, fixed_length=size), (-1, spec.length, spec.features))
    there = ~tf.math.is_nan(steps)
    known = tf.where(there, steps, tf.zeros_like(steps))
    means, deviations = (tf.constant(each, tf.float64) for each in (spec.means, spec.deviations))
    count = tf.maximum(tf.reduce_sum(tf.cast(there, tf.float64), axis=1), 1.0)
    mean = tf.reduce_sum(known, axis=1) / count
    away = tf.where(there, known - mean[:, None], tf.zeros_like(known))
    deviation = tf.sqrt(tf.reduce_sum(away**2, axis=1) / count)
    flat = deviation <= FLAT * tf.maximum(tf.abs(mean), 1e-300)
    deviation = tf.where(flat, tf.ones_like(mean), deviation)
    made: dict[str, tf.Tensor] = {}
    if spec.normalise == "window":
        place = tf.clip_by_value((mean - means) / deviations, -FURTHEST, FURTHEST)
        spread = tf.clip_by_value(tf.math.log(deviation / deviations), -FURTHEST, FURTHEST)
        level = tf.concat([place, tf.where(flat, -FURTHEST * tf.ones_like(mean), spread)], axis=1)
        empty = tf.tile(~tf.reduce_any(there, axis=1), (1, 2))
        made[f"{spec.name}_level"] = tf.cast(tf.where(empty, tf.zeros_like(level), level), tf.float32)
        numbers = tf.where(flat[:, None], tf.zeros_like(away), away) / deviation[:, None]
    else:
        numbers = (known - means) / deviations
    scaled = tf.clip_by_value(numbers, -FURTHEST, FURTHEST)
    made[f"{spec.name}_values"] = tf.cast(tf.where(there, scaled, tf.zeros_like(scaled)), tf.float32)
    made[f"{spec.name}_mask"] = tf.cast(there, tf.int32)
    return {tensor.name: made[tensor.name][0] if single else made[tensor.name] for tensor in spec.tensors}


def augment(config: Config, spec: Spec, inputs: dict[str, tf.Tensor], seed: tf.Tensor) -> dict[str, tf.Tensor]:
    """Empty a share ``mask_rate`` of the steps of a sample or a batch, and add ``noise`` to the numbers.

    Other inputs are passed through. The same seed, int32 (2,), gives the same result.
    """
    if not config.augmentations():
        return inputs
    import tensorflow as tf

    values, mask = inputs[f"{spec.name}_values"], inputs[f"{spec.name}_mask"]
    if config.mask_rate:
        kept = uniform(tf.shape(values)[:-1], seed) >= config.mask_rate
        mask *= tf.cast(kept, mask.dtype)[..., None]
    if config.noise:
        values += config.noise * normal(tf.shape(values), seed + 1)
    return {**inputs, f"{spec.name}_values": values * tf.cast(mask, values.dtype), f"{spec.name}_mask": mask}
