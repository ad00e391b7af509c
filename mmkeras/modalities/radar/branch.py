"""The radar encoder: points as tokens mixed by a transformer, or drawn as channels of a picture."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
from keras import layers, ops

from mmkeras.core.errors import ConfigError
from mmkeras.layers.mixing import mix
from mmkeras.layers.tokens import Branch, Tokens
from mmkeras.layers.waves import waves
from mmkeras.media.geometry import cell_centres
from mmkeras.modalities.radar.spec import FEATURES, Config, Spec

__all__ = ["DrawnPoints", "SummaryToken", "build"]

# Divisors of the features, so that the model computes with numbers around 1. Speeds beyond 20 m/s are rare.
SCALES = np.array([20.0, 40.0, 1.0, 1.0, 20.0, 10.0, 10.0, 0.5, 4.0], np.float32)
# Measurements for the fusion are centred and scaled, so that small weights turn them into distances and speeds: with
# the logarithm of the range between 0 and 1, a weight of 4 would have to be learned to copy a distance.
CENTRES = np.array([0.0, 20.0, 0.5, 0.5, 5.0, 0.0, 0.0, 0.1, 3.0], np.float32)
UNITS = np.array([5.0, 10.0, 0.25, 0.25, 10.0, 5.0, 5.0, 0.1, 0.5], np.float32)
BEYOND = 10.0
"""A scaled logarithm of the distance that is larger than that of all points."""
SPREAD = 0.25
"""Share of the picture's height, divided by the scaled distance, that a point reaches up and down."""


@keras.saving.register_keras_serializable("mmkeras")
class SummaryToken(layers.Layer):
    """Puts a learned token before the points (B, N, D), so that a sweep without points has a token too."""

    def build(self, input_shape: tuple[int | None, ...]) -> None:
        """Create the token, shape (1, 1, D)."""
        self.token = self.add_weight(
            shape=(1, 1, input_shape[-1]), initializer=keras.initializers.RandomNormal(stddev=0.02), name="token"
        )

    def call(self, values: Any) -> Any:
        """Put the token first."""
        first = ops.zeros_like(values[:, :1]) + ops.cast(self.token, values.dtype)
        return ops.concatenate([first, values], axis=1)


def build(spec: Spec, config: Config, width: int) -> Branch:
    """Build the encoder.

    Returns:
        A branch with inputs ``<name>_points`` (B, N, 9) and ``<name>_mask`` (B, N). Form ``points``: N + 1 tokens with
        positions and measurements. Form ``channels``: a map of ``spec.grid``.

    Raises:
        ConfigError: heads that do not divide the width, or channels without a grid.
    """
    if config.form == "points" and config.layers and width % config.heads:
        raise ConfigError(f"radar.heads: expected a divisor of the width {width}, got {config.heads}")
    points = keras.Input((spec.max_points, len(FEATURES)), name=f"{spec.name}_points")
    mask = keras.Input((spec.max_points,), dtype="int32", name=f"{spec.name}_mask")
    inputs = {f"{spec.name}_points": points, f"{spec.name}_mask": mask}
    real = ops.expand_dims(ops.greater(mask, 0), -1)
    # Numpy constants here and below: tensors would become inputs of the ONNX graph.
    scaled = ops.where(real, points, 0.0) / SCALES
    measured = ops.where(real, (points - CENTRES) / UNITS, 0.0)
    if config.form == "channels":
        if not spec.grid:
            raise ConfigError(
                f"radar.grid: the form 'channels' draws the points on a map, and no picture gives its size. Set "
                f"model.{spec.name}.grid to its rows and columns"
            )
        return Branch(inputs, _drawn(scaled, mask, spec, width))
    return Branch(inputs, _points(scaled, measured, _ahead(points, real), mask, config, width, spec.name))


def _ahead(points: Any, real: Any) -> Any:
    """Return the logarithm of the metres ahead (B, N, 1), with the movement since the sweep."""
    z, vz, dt = (points[:, :, i : i + 1] for i in (FEATURES.index("z"), FEATURES.index("vz"), FEATURES.index("dt")))
    # Subtracted: Keras treats a sum of columns as a bias, in a layout that LiteRT's converter cannot transpose.
    return ops.log(ops.clip(ops.where(real, z - vz * -dt, 1.0), 1.0, 1000.0))


def _points(scaled: Any, measured: Any, ahead: Any, mask: Any, config: Config, width: int, name: str) -> Tokens:
    place = ops.concatenate([scaled[:, :, 2:4], ahead], axis=-1)
    described = ops.concatenate([scaled, ahead - 3.0, waves(place[:, :, :2]), waves(0.5 * ahead)], axis=-1)
    shape = (scaled.shape[1], described.shape[-1])
    given, valid = keras.Input(shape), keras.Input((shape[0],), dtype="int32")
    x = ops.gelu(layers.Dense(2 * width, name=f"{name}_dense_1")(given), approximate=True)
    x = layers.Dense(width, name=f"{name}_dense_2")(x)
    x = SummaryToken(name=f"{name}_summary")(x)
    whole = ops.pad(valid, [[0, 0], [1, 0]], constant_values=1)
    for number in range(1, config.layers + 1):
        x = mix(x, whole, config.heads, width, f"{name}_{number}")
    x = layers.LayerNormalization(name=f"{name}_norm")(x)
    encoder = keras.Model([given, valid], x, name=f"{name}_branch")
    # The summary token has no measurement and no position.
    measured = ops.pad(measured, [[0, 0], [1, 0], [0, 0]])
    position = ops.pad(place, [[0, 0], [1, 0], [0, 0]], constant_values=-1.0)
    whole = ops.pad(mask, [[0, 0], [1, 0]], constant_values=1)
    return Tokens(encoder([described, mask]), whole, position, measured)


def _drawn(scaled: Any, mask: Any, spec: Spec, width: int) -> Tokens:
    """Draw the points and encode the picture with a small convolutional network."""
    name, (rows, columns) = spec.name, spec.grid
    given, valid = keras.Input(scaled.shape[1:]), keras.Input((scaled.shape[1],), dtype="int32")
    x = DrawnPoints(rows, columns, name=f"{name}_drawing")([given, valid])
    for number in (1, 2):
        x = layers.Conv2D(width, 3, padding="same", use_bias=False, name=f"{name}_conv_{number}")(x)
        x = layers.BatchNormalization(momentum=0.9, name=f"{name}_conv_{number}_bn")(x)
        x = layers.ReLU(6.0, name=f"{name}_conv_{number}_activation")(x)
    x = layers.Reshape((rows * columns, width), name=f"{name}_flatten")(x)
    values = keras.Model([given, valid], x, name=f"{name}_branch")([scaled, mask])
    position = ops.zeros_like(values[:, :, :2], dtype=keras.config.floatx()) + cell_centres(rows, columns)[None]
    return Tokens(values, ops.ones_like(values[:, :, 0], dtype="int32"), position, grid=(rows, columns))


@keras.saving.register_keras_serializable("mmkeras")
class DrawnPoints(layers.Layer):
    """Draws scaled points (B, N, 9) with a mask (B, N) into a picture (B, rows, columns, 10).

    The channels are the features of the nearest point in the cell (the mean of equally near ones; 0 without a point),
    and 1 in cells with a point.

    Source: Nobis et al. 2019, A Deep Learning-based Radar and Camera Sensor Fusion Architecture for Object Detection
    (CRF-Net, arXiv:2005.07431): each point becomes a column of some metres' height, because a radar does not measure
    heights, and the nearest point covers those behind it. Static shapes and multiplications take the place of a scatter
    operation.
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
        # exp(4 * scaled log range) is the distance in metres; an object of about 2 m is drawn inverse to it.
        half = ops.expand_dims(0.5 / self.rows + SPREAD * ops.exp(-4.0 * (away - 0.5)), 1)
        along = ops.abs(ops.expand_dims(v, 1) - centres_y) <= half
        across = ops.cast(across, points.dtype) * ops.expand_dims(real, 1)
        # (B, rows, columns, N): 1 where a point covers a cell, and below where it is the nearest point of the cell.
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
