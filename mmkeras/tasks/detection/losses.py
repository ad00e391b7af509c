"""Losses of dense detection maps against encoded targets (B, max_objects + 1, 20).

`mmkeras.tasks.detection.target` describes the targets. Every loss is summed over the objects of a sample and divided by
the batch's mean number of objects per sample, so that every object has the same weight. Objects without a radar or
lidar point are ignored. Backend-neutral.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import keras
import numpy as np
from keras import ops

from mmkeras.layers.batch import batch_mean
from mmkeras.tasks.detection import target as columns

__all__ = ["HeatmapLoss", "MapLoss"]

SPREAD = 0.1
"""Standard deviation of a heatmap's bump, as a share of the object's width and height in the picture."""
NARROWEST, WIDEST = 0.35, 2.0
"""Limits of that deviation, in cells."""
SMALLEST = 1e-3
"""Least value (m) of which a logarithm is taken, so that a map of zeros has a finite loss."""
LOG_SCALE = 4.0
"""Factor of the logarithm of a ratio of depths: 25 % are an error of 1."""


class _TargetLoss(keras.losses.Loss):
    """Base of both losses: reads the targets."""

    def __init__(self, camera: Sequence[float], stride: int, weight: float = 1.0, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.camera = tuple(float(number) for number in camera)
        self.stride = stride
        self.weight = weight

    def objects(self, y_true: Any) -> Any:
        """Return float (B, M): 1 for an object with a radar or lidar point, or with an unknown number of them."""
        objects = y_true[:, :-1]
        points = ops.maximum(objects[:, :, columns.RADAR_POINTS], 0.0) + ops.abs(objects[:, :, columns.LIDAR_POINTS])
        unknown = ops.less(objects[:, :, columns.RADAR_POINTS], 0.0)
        seen = ops.logical_or(ops.greater(points, 0.0), unknown)
        return ops.where(seen, objects[:, :, columns.VALID], 0.0)

    def places(self, y_true: Any) -> tuple[Any, Any]:
        """Return column and row of the projected centres in cells, float (B, M); (0, 0) for empty rows."""
        _, _, focal, centre_x, centre_y = self.camera
        x, y, z = (y_true[:, :-1, columns.CENTRE.start + axis] for axis in range(3))
        depth = ops.maximum(z, columns.MIN_DEPTH)
        real = y_true[:, :-1, columns.VALID]
        u = real * (focal * x / depth + centre_x) / self.stride
        v = real * (focal * y / depth + centre_y) / self.stride
        return u, v

    def per_object(self, total: Any, objects: Any) -> Any:
        """Return the sums (B,) over the mean number of objects in a sample."""
        return self.weight * total / ops.maximum(batch_mean(ops.sum(objects, axis=1)), 1.0)

    def get_config(self) -> dict[str, Any]:
        """Return the constructor's arguments."""
        return {**super().get_config(), "camera": self.camera, "stride": self.stride, "weight": self.weight}


@keras.saving.register_keras_serializable("mmkeras")
class HeatmapLoss(_TargetLoss):
    """Focal loss of the heatmap (B, h, w, C), with bumps around the objects' cells (CornerNet, Law and Deng 2018).

    Args:
        camera: the model's camera: width, height, focal length, centre.
        stride: pixels per cell.
        classes: C.
        weight: factor of the loss.
    """

    def __init__(self, camera: Sequence[float], stride: int, classes: int, weight: float = 1.0, **kwargs: Any) -> None:
        super().__init__(camera, stride, weight, **kwargs)
        self.classes = classes

    def heatmap(self, y_true: Any, rows: int, width: int) -> tuple[Any, Any]:
        """Return the bumps (B, rows, width, C), which are 1 in the objects' cells, and `objects` (B, M)."""
        objects = self.objects(y_true)
        u, v = self.places(y_true)
        box = y_true[:, :-1, columns.BOX]
        bumps = []
        for place, low, high, cells in ((u, 0, 2, width), (v, 1, 3, rows)):
            extent = (box[:, :, high] - box[:, :, low]) / self.stride
            deviation = ops.expand_dims(ops.clip(SPREAD * extent, NARROWEST, WIDEST), -1)
            apart = ops.expand_dims(ops.floor(place), -1) - ops.convert_to_tensor(np.arange(cells, dtype=np.float32))
            bumps.append(ops.exp(-0.5 * ops.square(apart / deviation)))
        bump = ops.expand_dims(bumps[1], 3) * ops.expand_dims(bumps[0], 2)
        bump = bump * ops.expand_dims(ops.expand_dims(objects, -1), -1)
        labels = ops.cast(y_true[:, :-1, columns.LABEL], "int32")
        ofclass = [ops.cast(ops.equal(labels, number), bump.dtype) for number in range(self.classes)]
        maps = [ops.max(bump * ops.expand_dims(ops.expand_dims(each, -1), -1), axis=1) for each in ofclass]
        return ops.stack(maps, axis=-1), objects

    def call(self, y_true: Any, y_pred: Any) -> Any:
        """Return the loss of every sample (B,)."""
        bumps, objects = self.heatmap(y_true, y_pred.shape[1], y_pred.shape[2])
        p = ops.clip(y_pred, 1e-4, 1.0 - 1e-4)
        centre = ops.cast(ops.greater(bumps, 0.999), p.dtype)
        hit = -centre * ops.square(1.0 - p) * ops.log(p)
        miss = -(1.0 - centre) * ops.power(1.0 - bumps, 4) * ops.square(p) * ops.log(1.0 - p)
        return self.per_object(ops.sum(hit + miss, axis=(1, 2, 3)), objects)

    def get_config(self) -> dict[str, Any]:
        """Return the constructor's arguments."""
        return {**super().get_config(), "classes": self.classes}


@keras.saving.register_keras_serializable("mmkeras")
class MapLoss(_TargetLoss):
    """Absolute errors of one map (B, h, w, K) in the cells that hold an object's centre.

    Depth and size are compared by their logarithms, boxes in cells, velocities (where known) in units of 10 m/s.

    Args:
        output: the map: ``box``, ``offset``, ``depth``, ``size``, ``yaw`` or ``velocity``.
        camera: the model's camera: width, height, focal length, centre.
        stride: pixels per cell.
        weight: factor of the loss.
    """

    def __init__(self, output: str, camera: Sequence[float], stride: int, weight: float = 1.0, **kwargs: Any) -> None:
        super().__init__(camera, stride, weight, **{"name": f"{output}_loss", **kwargs})
        self.output = output

    def call(self, y_true: Any, y_pred: Any) -> Any:
        """Return the loss of every sample (B,)."""
        objects = self.objects(y_true)
        u, v = self.places(y_true)
        rows, width = y_pred.shape[1], y_pred.shape[2]
        column = ops.clip(ops.floor(u), 0, width - 1)
        row = ops.clip(ops.floor(v), 0, rows - 1)
        cell = ops.cast(row * width + column, "int32")
        flat = ops.reshape(y_pred, (-1, rows * width, y_pred.shape[3]))
        found = ops.take_along_axis(flat, ops.expand_dims(cell, -1), axis=1)
        error = ops.sum(self._error(y_true[:, :-1], found, u, v), axis=-1)
        return self.per_object(ops.sum(objects * error, axis=1), objects)

    def _error(self, truth: Any, found: Any, u: Any, v: Any) -> Any:
        """Return errors (B, M, K) of values (B, M, K) of the map for objects (B, M, 20) at (u, v) in cells."""
        column, row = ops.floor(u) + 0.5, ops.floor(v) + 0.5
        if self.output == "offset":
            return ops.abs(found - ops.stack([u - column, v - row], axis=-1))
        if self.output == "box":
            left, top, right, bottom = (truth[:, :, columns.BOX.start + side] / self.stride for side in range(4))
            sides = ops.stack([column - left, row - top, right - column, bottom - row], axis=-1)
            return ops.abs(found / self.stride - ops.maximum(sides, 0.0))
        if self.output == "depth":
            depth = ops.maximum(truth[:, :, columns.CENTRE.start + 2 : columns.CENTRE.stop], columns.MIN_DEPTH)
            return LOG_SCALE * ops.abs(ops.log(ops.maximum(found, SMALLEST)) - ops.log(depth))
        if self.output == "size":
            size = ops.maximum(truth[:, :, columns.SIZE], 0.05)
            return ops.abs(ops.log(ops.maximum(found, SMALLEST)) - ops.log(size))
        if self.output == "yaw":
            x, z = truth[:, :, columns.CENTRE.start], truth[:, :, columns.CENTRE.start + 2]
            ray = ops.maximum(ops.sqrt(x * x + z * z), 1e-3)
            sin_ray, cos_ray = x / ray, z / ray
            sin, cos = truth[:, :, columns.HEADING.start], truth[:, :, columns.HEADING.start + 1]
            angle = [sin * cos_ray - cos * sin_ray, cos * cos_ray + sin * sin_ray]
            return ops.abs(found - ops.stack(angle, axis=-1))
        known = ops.mod(truth[:, :, columns.EXTRA : columns.EXTRA + 1], 2.0)
        return 0.1 * known * ops.abs(found - truth[:, :, columns.VELOCITY])

    def get_config(self) -> dict[str, Any]:
        """Return the constructor's arguments."""
        return {**super().get_config(), "output": self.output}
