"""Clips in records and in the tf.data graph: film strips, decoded and augmented.

TensorFlow is imported inside the functions that use it: processes that convert only need `encode`.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

from mmkeras.layers.draws import uniform
from mmkeras.media.clips.clip import RawClip, describe_clip
from mmkeras.media.clips.film import FILM_ENDINGS, cut_off
from mmkeras.media.clips.strip import write_strip
from mmkeras.modalities._moves import Move
from mmkeras.modalities.video.spec import Config, Spec

if TYPE_CHECKING:
    import tensorflow as tf

__all__ = ["augment", "decode", "draw_move", "encode", "move", "remark"]


def encode(spec: Config | Spec, value: RawClip) -> bytes:
    """Check a clip and return its film strip (`mmkeras.media.clips.strip`): the frames in the model's size.

    Raises:
        DataError: the clip cannot be used.
        DependencyError: a video file without PyAV.
    """
    spec = spec.spec("video") if isinstance(spec, Config) else spec
    return write_strip(*spec.film(value))


def remark(spec: Config | Spec, value: RawClip) -> str:
    """Return what a user should know of a clip that `encode` accepts; empty without anything."""
    del spec
    if not isinstance(value, (str, os.PathLike)) or Path(value).suffix.lower() not in FILM_ENDINGS:
        return ""
    return (
        "the file ends before the length that it states: it was cut off" if cut_off(value, describe_clip(value)) else ""
    )


def decode(spec: Spec, raw: tf.Tensor) -> dict[str, tf.Tensor]:
    """Decode film strips, () or (B,), in the graph; equals `Spec.preprocess`.

    Returns:
        uint8 (T, height, width, 3) and int32 (T,) by tensor name, with a batch dimension where ``raw`` has one.
    """
    import tensorflow as tf

    raw = tf.convert_to_tensor(raw)
    shape = (spec.frames, spec.height + 1, spec.width, 3)

    def one(strip: tf.Tensor) -> tf.Tensor:
        return tf.ensure_shape(tf.reshape(tf.io.decode_png(strip, channels=3), shape), shape)

    strips = one(raw) if raw.shape.rank == 0 else tf.map_fn(one, raw, tf.TensorSpec(shape, tf.uint8))
    fresh = tf.cast(strips[..., spec.height, 0, 0] > 0, tf.int32)
    return {spec.name: strips[..., : spec.height, :, :], f"{spec.name}_fresh": fresh}


def draw_move(config: Config, count: tf.Tensor, seed: tf.Tensor) -> Move:
    """Draw which of ``count`` samples are mirrored."""
    del config
    return Move(mirror=uniform((count,), seed) < 0.5)


def move(spec: Spec, inputs: dict[str, tf.Tensor], move: Move) -> dict[str, tf.Tensor]:
    """Mirror all frames (B, T, height, width, 3) of some samples; other inputs are passed through."""
    if move.mirror is None:
        return inputs
    import tensorflow as tf

    frames = inputs[spec.name]
    mirrored = tf.where(move.mirror[:, None, None, None, None], tf.reverse(frames, [3]), frames)
    return {**inputs, spec.name: mirrored}


def augment(config: Config, spec: Spec, inputs: dict[str, tf.Tensor], seed: tf.Tensor) -> dict[str, tf.Tensor]:
    """Change brightness and contrast of each clip of a batch, and lose some of its frames.

    Inputs are uint8 (B, T, height, width, 3) and int32 (B, T) by tensor name; others are passed through. The same seed,
    int32 (2,), gives the same result.
    """
    if not any((config.brightness, config.contrast, config.lose)):
        return inputs
    import tensorflow as tf

    frames, fresh = inputs[spec.name], inputs[f"{spec.name}_fresh"]
    count = tf.shape(frames)[0]
    if config.brightness or config.contrast:
        draws = uniform((count, 2), seed, -1.0, 1.0)
        values = tf.cast(tf.reshape(frames, (count, -1)), tf.float32)
        mean = tf.reduce_mean(values, axis=1, keepdims=True)
        factor = 1.0 + config.contrast * draws[:, :1]
        values = values * factor + (mean * (1.0 - factor) + 255.0 * config.brightness * draws[:, 1:])
        frames = tf.reshape(tf.cast(tf.clip_by_value(tf.round(values), 0.0, 255.0), tf.uint8), tf.shape(frames))
    if config.lose:
        frames, fresh = _lose(config.lose, frames, fresh, seed + 1)
    frames = tf.ensure_shape(frames, (None, spec.frames, spec.height, spec.width, 3))
    return {**inputs, spec.name: frames, f"{spec.name}_fresh": fresh}


def _lose(most: float, frames: tf.Tensor, fresh: tf.Tensor, seed: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    """Lose up to a share of the frames of each clip, never the first one; the frame before takes their place."""
    import tensorflow as tf

    shape = tf.shape(fresh)
    lost = uniform(shape, seed) < most * uniform((shape[0], 1), seed + 1)
    slots = tf.range(shape[1])
    kept = (fresh > 0) & ~(lost & (slots > 0)[None])
    # (B, T, T): the last kept slot up to each slot.
    earlier = tf.where(kept[:, None] & (slots[None, :] <= slots[:, None])[None], slots, 0)
    held = tf.reduce_max(earlier, axis=2)
    return tf.gather(frames, held, axis=1, batch_dims=1), tf.cast(kept, fresh.dtype)
