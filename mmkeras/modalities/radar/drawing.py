"""Radar points drawn into a picture in the graph, without scattering: static shapes and plain multiplications.

Source of the idea: Nobis et al. 2019, A Deep Learning-based Radar and Camera Sensor Fusion Architecture for Object
Detection (CRF-Net, arXiv:2005.07431): each point becomes a column of some metres' height above the ground, because a
radar does not tell how high a thing is, and the nearest point covers those behind it.
"""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
from keras import layers, ops

from mmkeras.modalities.radar.spec import FEATURES

__all__ = ["DrawnPoints"]

BEYOND = 10.0
"""A scaled logarithm of a distance that no point has."""
SPREAD = 0.25
"""Share of the picture's height, divided by the scaled distance, that a point reaches up and down."""


@keras.saving.register_keras_serializable("mmkeras")
class DrawnPoints(layers.Layer):
    """Draws scaled points (B, N, 9) with a mask (B, N) into a picture (B, rows, columns, 10).

    The channels are the features of the nearest point in the cell (the mean of equally near ones), 0 where there is
    none, and whether there is one.

    Args:
        rows: of the picture.
        columns: of the picture.
    """

    def __init__(self, rows: int, columns: int, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.rows = rows
        self.columns = columns

    def call(self, inputs: Any) -> Any:
        """Draw the points."""
        points, mask = inputs
        real = ops.cast(mask, points.dtype)
        u, v, away = (points[:, :, FEATURES.index(name)] for name in ("u", "v", "log_range"))
        centres_x, centres_y = (
            ops.convert_to_tensor((np.arange(cells, dtype=np.float32) + 0.5)[None, :, None] / cells)
            for cells in (self.columns, self.rows)
        )
        across = ops.abs(ops.expand_dims(u, 1) - centres_x) <= 0.75 / self.columns
        # exp(4 * scaled log range) is the distance in metres; a thing of about 2 m height shrinks with it.
        half = ops.expand_dims(0.5 / self.rows + SPREAD * ops.exp(-4.0 * (away - 0.5)), 1)
        along = ops.abs(ops.expand_dims(v, 1) - centres_y) <= half
        across = ops.cast(across, points.dtype) * ops.expand_dims(real, 1)
        # (B, rows, columns, N): 1 where a point covers a cell, and then where it is the nearest one there.
        covers = ops.expand_dims(ops.cast(along, points.dtype), 2) * ops.expand_dims(across, 1)
        covers = ops.reshape(covers, (-1, self.rows * self.columns, points.shape[1]))
        depth = ops.where(covers > 0, ops.expand_dims(away, 1), BEYOND)
        first = covers * ops.cast(depth <= ops.min(depth, axis=-1, keepdims=True), points.dtype)
        values = ops.concatenate([points, ops.expand_dims(real, -1)], axis=-1)
        drawn = ops.matmul(first, values) / ops.maximum(ops.sum(first, axis=-1, keepdims=True), 1.0)
        return ops.reshape(drawn, (-1, self.rows, self.columns, len(FEATURES) + 1))

    def get_config(self) -> dict[str, Any]:
        """Return the constructor's arguments."""
        return {**super().get_config(), "rows": self.rows, "columns": self.columns}
