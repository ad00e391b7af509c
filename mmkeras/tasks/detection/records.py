"""Detection targets in the tf.data graph: mirrored with the picture."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from mmkeras.modalities._moves import Move
from mmkeras.tasks.detection import target as columns
from mmkeras.tasks.detection.spec import Spec

if TYPE_CHECKING:
    import tensorflow as tf

__all__ = ["move"]

_SIGNS = np.ones(columns.COLUMNS, np.float32)
# Along the camera's x axis, which points to the right.
_SIGNS[[columns.CENTRE.start, columns.HEADING.start, columns.VELOCITY.start]] = -1.0


def move(spec: Spec, targets: dict[str, tf.Tensor], move: Move) -> dict[str, tf.Tensor]:
    """Mirror the targets of some samples, as `mmkeras.tasks.detection.target` would encode the mirrored scene.

    The ego frame is mirrored too, along its y axis, which points to the left.

    Args:
        spec: the task; its camera's centre is in the middle of the picture.
        targets: ``target`` float32 (B, max_objects + 1, 20).
        move: how each sample is moved.
    """
    if move.mirror is None:
        return targets
    import tensorflow as tf

    target = targets["target"]
    objects, pose = target[:, :-1], target[:, -1:]
    left, top, right, bottom = tf.unstack(objects[..., columns.BOX], axis=-1)
    real = objects[..., columns.VALID]
    box = tf.stack([real * spec.camera[0] - right, top, real * spec.camera[0] - left, bottom], axis=-1)
    rest = objects * _SIGNS
    mirrored = tf.concat([rest[..., : columns.BOX.start], box, rest[..., columns.BOX.stop :]], axis=-1)
    # With both frames mirrored, the rotation camera -> ego has the quaternion (-z, -y, -x, -w).
    tx, ty, tz, w, x, y, z = tf.unstack(pose[..., :7], axis=-1)
    turned = tf.stack([tx, -ty, tz, -z, -y, -x, -w], axis=-1)
    mirrored = tf.concat([mirrored, tf.concat([turned, pose[..., 7:]], axis=-1)], axis=1)
    return {**targets, "target": tf.where(move.mirror[:, None, None], mirrored, target)}
