"""The detection head, dense maps over the fused cells as in CenterNet, and its losses.

`mmkeras.tasks.detection.spec.Spec.outputs` describes the maps. Source: Zhou et al. 2019, Objects as Points
(arXiv:1904.07850).
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import keras
import numpy as np
from keras import ops

from mmkeras.layers.convolutions import separable_stack
from mmkeras.layers.encoded import fused_map
from mmkeras.layers.tokens import Encoded
from mmkeras.tasks.detection.layers import DistanceChoice
from mmkeras.tasks.detection.losses import HeatmapLoss, MapLoss
from mmkeras.tasks.detection.spec import Config, Spec

__all__ = ["build", "losses"]

SIZE = (1.8, 3.0, 1.7)
"""Initial width, length and height (m) of the size map: between a person and a lorry."""
DEPTH = 20.0
"""Initial depth (m) of the depth map."""
SPEED = 10.0
"""Unit (m/s) of velocities inside the model."""
PRIOR = 0.05
"""Initial probability of the heatmap: most cells are empty."""


def build(encoded: Encoded, spec: Spec, config: Config) -> dict[str, Any]:
    """Return the maps (B, h, w, ...) float32 by output name from a fused map of the same cells.

    The last layers keep the full precision (floatx) under every policy. Their inputs are the features and the fused
    tokens. If the fusion has guesses of the distance, the depth is chosen among them, each with a correction: a radar
    measures the nearest face of a car, not its centre.

    Raises:
        ConfigError: the fusion has no map, or one of another size.
    """
    rows, columns = spec.cells
    where = f"detection (camera {spec.camera[1]:g} x {spec.camera[0]:g} at stride {spec.stride})"
    advice = "The image needs the option pyramid and a level that fits the stride"
    fused, read = fused_map(encoded, (rows, columns), where, advice)
    tokens = keras.layers.Reshape((rows, columns, read.values.shape[-1]), name="head_map")(read.values)
    x = keras.layers.Conv2D(config.channels, 1, name="head_projection")(tokens)
    x = separable_stack(x, config.channels, config.convolutions, "head_conv")
    x = keras.layers.Dropout(config.dropout, name="head_dropout")(x)
    distances = None
    features = [x, tokens]
    if fused.distances is not None:
        shape = (rows, columns, fused.distances.shape[-1])
        distances = keras.layers.Reshape(shape, dtype=keras.config.floatx(), name="head_distances")(fused.distances)
        features.append(2.0 * (distances - math.log(DEPTH)))
    x = keras.layers.Concatenate(name="head_features")(features)

    def last(name: str, channels: int, bias: float = 0.0) -> Any:
        initializers = {
            "kernel_initializer": keras.initializers.RandomNormal(stddev=0.01),
            "bias_initializer": keras.initializers.Constant(bias),
        }
        return keras.layers.Conv2D(channels, 1, dtype=keras.config.floatx(), name=f"head_{name}", **initializers)(x)

    def named(name: str, value: Any) -> Any:
        return keras.layers.Identity(dtype=keras.config.floatx(), name=name)(value)

    # Clipped so that float16 files cannot overflow: no road user is as large as e**3 times SIZE.
    def grow(value: Any, most: float) -> Any:
        return ops.exp(ops.clip(value, -most, most))

    if distances is None:
        nearness = last("depth", 1, math.log(DEPTH))
    else:
        choices = int(distances.shape[-1])
        guesses = distances + last("depth", choices)
        nearness = DistanceChoice(name="head_nearness", dtype=keras.config.floatx())([last("choice", choices), guesses])
    heat = last("heatmap", len(spec.labels), math.log(PRIOR / (1 - PRIOR)))
    return {
        "heatmap": named("heatmap", ops.sigmoid(heat)),
        "box": named("box", spec.stride * grow(last("box", 4), 4.0)),
        "offset": named("offset", last("offset", 2)),
        "depth": named("depth", ops.exp(ops.clip(nearness, 0.0, 6.0))),
        # As numpy: a tensor would become an input of the ONNX graph.
        "size": named("size", grow(last("size", 3), 3.0) * np.array(SIZE, np.float32)),
        "yaw": named("yaw", last("yaw", 2)),
        "velocity": named("velocity", SPEED * last("velocity", 2)),
    }


def losses(spec: Spec, config: Config, class_counts: Mapping[str, int] | None = None) -> dict[str, keras.losses.Loss]:
    """Return the loss by output name, each multiplied by its weight."""
    maps = config.loss_weights().items()
    return {
        "heatmap": HeatmapLoss(spec.camera, spec.stride, len(spec.labels)),
        **{name: MapLoss(name, spec.camera, spec.stride, weight=weight) for name, weight in maps},
    }
