"""Radar points in records and in the tf.data graph: encoded, decoded, disturbed.

TensorFlow is imported inside the functions that use it: processes that convert only need `encode`.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from mmkeras.layers.draws import uniform
from mmkeras.media.points.pcd import write_pcd
from mmkeras.media.points.pcd_header import header_text
from mmkeras.media.points.radar_cloud import POINT_FIELDS
from mmkeras.modalities._moves import Move
from mmkeras.modalities.radar.spec import MARGIN, NEAREST, Config, RawPoints, Spec, read_points

if TYPE_CHECKING:
    import tensorflow as tf

__all__ = ["augment", "decode", "encode", "move"]


def encode(spec: Config | Spec, value: RawPoints) -> bytes:
    """Check radar points and return a .pcd file with the points for the model, in their order."""
    spec = spec.spec("radar") if isinstance(spec, Config) else spec
    return write_pcd(spec.select(read_points(value)), POINT_FIELDS)


def decode(spec: Spec, raw: tf.Tensor) -> dict[str, tf.Tensor]:
    """Compute the features in the graph from the results of `encode`, () or (B,); equals `Spec.preprocess`.

    Returns:
        float32 (max_points, 9) and int32 (max_points,) by tensor name, with a batch dimension where ``raw`` has one.
    """
    import tensorflow as tf

    raw = tf.convert_to_tensor(raw)
    single = raw.shape.rank == 0
    raw = tf.reshape(raw, (-1,))
    width = 4 * len(POINT_FIELDS)
    start = tf.minimum(len(header_text(0, POINT_FIELDS)), tf.strings.length(raw))
    body = tf.strings.substr(raw, start, tf.fill(tf.shape(raw), spec.max_points * width))
    count = tf.strings.length(body) // width
    # Zero-padded to the same length for all.
    values = tf.io.decode_raw(body, tf.float32, fixed_length=spec.max_points * width)
    points = tf.reshape(values, (-1, spec.max_points, len(POINT_FIELDS)))
    mask = tf.sequence_mask(count, spec.max_points, tf.int32)
    x, y, z, rcs, vx, _, vz, dt = tf.unstack(points, axis=-1)
    real = mask > 0
    depth = tf.where(real, z, 1.0)
    columns, rows, focal, centre_x, centre_y = spec.camera
    u = (focal * x / depth + centre_x) / columns
    v = tf.clip_by_value((focal * y / depth + centre_y) / rows, 0.0, 1.0)
    away = tf.math.log(tf.where(real, tf.sqrt(x * x + z * z), 1.0))
    features = tf.stack([x, z, u, v, rcs, vx, vz, dt, away], axis=-1)
    features = tf.where(real[..., None], features, 0.0)
    result = {f"{spec.name}_points": features, f"{spec.name}_mask": mask}
    return {name: value[0] for name, value in result.items()} if single else result


def move(spec: Spec, inputs: dict[str, tf.Tensor], move: Move) -> dict[str, tf.Tensor]:
    """Mirror the points (B, max_points, 9) of some samples and their lateral speed."""
    if move.mirror is None:
        return inputs
    import tensorflow as tf

    points = inputs[f"{spec.name}_points"]
    x, z, u, v, rcs, vx, vz, dt, away = tf.unstack(points, axis=-1)
    real = inputs[f"{spec.name}_mask"] > 0
    mirrored = tf.stack([-x, z, tf.where(real, 1.0 - u, 0.0), v, rcs, -vx, vz, dt, away], axis=-1)
    return {**inputs, f"{spec.name}_points": tf.where(move.mirror[:, None, None], mirrored, points)}


def augment(config: Config, spec: Spec, inputs: dict[str, tf.Tensor], seed: tf.Tensor) -> dict[str, tf.Tensor]:
    """Delay, turn and thin the points of some samples, as `staled`, `rotated` and `thinned` do on the host.

    Inputs are float32 (B, max_points, 9) and the mask by tensor name; others are passed through. The same seed, int32
    (2,), gives the same result.
    """
    if not config.disturb:
        return inputs
    import tensorflow as tf

    points, mask = inputs[f"{spec.name}_points"], inputs[f"{spec.name}_mask"]
    chosen, late, turn, loss = tf.unstack(uniform((tf.shape(points)[0], 4), seed), axis=1)
    disturbed = tf.cast(chosen < config.disturb, tf.float32)[:, None]
    x, z, _, v, rcs, vx, vz, dt, _ = tf.unstack(points, axis=-1)
    before = z
    seconds = disturbed * late[:, None] * config.stale
    x, z, dt = x - seconds * vx, z - seconds * vz, dt + seconds
    angle = disturbed * (2.0 * turn[:, None] - 1.0) * math.radians(config.misalign)
    c, s = tf.cos(angle), tf.sin(angle)
    x, z, vx, vz = c * x + s * z, c * z - s * x, c * vx + s * vz, c * vz - s * vx
    width, height, focal, centre_x, centre_y = spec.camera
    ahead = z > NEAREST
    depth = tf.where(ahead, z, 1.0)
    u = (focal * x / depth + centre_x) / width
    v = tf.clip_by_value(((v * height - centre_y) * before / depth + centre_y) / height, 0.0, 1.0)
    lost = uniform(tf.shape(x), seed + 1) < disturbed * loss[:, None] * config.lose
    seen = (mask > 0) & ahead & (u > -MARGIN) & (u < 1.0 + MARGIN) & ~lost
    away = tf.math.log(tf.where(seen, tf.sqrt(x * x + z * z), 1.0))
    features = tf.where(seen[..., None], tf.stack([x, z, u, v, rcs, vx, vz, dt, away], axis=-1), 0.0)
    return {**inputs, f"{spec.name}_points": features, f"{spec.name}_mask": tf.cast(seen, mask.dtype)}
