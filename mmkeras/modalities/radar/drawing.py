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

SHARPNESS = 30.0
"""How much a nearer point covers one behind it: at half the distance it weighs e**(30 * 0.17) times as much."""
SPREAD = 0.25
"""Share of the picture's height, divided by the scaled distance, that a point reaches up and down."""


@keras.saving.register_keras_serializable("mmkeras")
class DrawnPoints(layers.Layer):
    """Draws scaled points (B, N, 9) with a mask (B, N) into a picture (B, rows, columns, 10).

    The channels are the features of the nearest point in the cell, 0 where there is none, and whether there is one.

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
        centres_x = ops.convert_to_tensor((np.arange(self.columns, dtype=np.float32) + 0.5)[None, None] / self.columns)
        centres_y = ops.convert_to_tensor((np.arange(self.rows, dtype=np.float32) + 0.5)[None, None] / self.rows)
        across = ops.abs(ops.expand_dims(u, -1) - centres_x) <= 0.75 / self.columns
        # exp(4 * scaled log range) is the distance in metres; a thing of about 2 m height shrinks with it.
        half = ops.expand_dims(0.5 / self.rows + SPREAD * ops.exp(-4.0 * (away - 0.5)), -1)
        along = ops.abs(ops.expand_dims(v, -1) - centres_y) <= half
        weight = real * ops.exp(-SHARPNESS * (away - ops.min(ops.where(mask > 0, away, 10.0), axis=1, keepdims=True)))
        weight = ops.maximum(weight, 1e-12 * real)
        across = ops.cast(across, points.dtype) * ops.expand_dims(weight, -1)
        along = ops.cast(along, points.dtype)
        # (B, rows * columns, N) @ (B, N, 10): sums over the points of a cell.
        cells = ops.expand_dims(ops.transpose(along, (0, 2, 1)), 2) * ops.expand_dims(
            ops.transpose(across, (0, 2, 1)), 1
        )
        cells = ops.reshape(cells, (-1, self.rows * self.columns, points.shape[1]))
        values = ops.concatenate([points, ops.expand_dims(real, -1)], axis=-1)
        total = ops.sum(cells, axis=-1, keepdims=True)
        drawn = ops.matmul(cells, values) / ops.maximum(total, 1e-12)
        return ops.reshape(drawn, (-1, self.rows, self.columns, len(FEATURES) + 1))

    def get_config(self) -> dict[str, Any]:
        """Return the constructor's arguments."""
        return {**super().get_config(), "rows": self.rows, "columns": self.columns}
