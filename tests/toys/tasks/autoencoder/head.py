"""Draws the picture from the pooled vector and compares it with the input."""

from __future__ import annotations

from math import prod
from typing import Any

import keras
from keras import ops

from mmkeras.layers.batch import LossHook
from mmkeras.layers.encoded import pooled
from mmkeras.layers.tokens import Encoded
from tests.toys.tasks.autoencoder.spec import Config, Spec


def build(encoded: Encoded, spec: Spec, config: Config) -> dict[str, Any]:
    x = keras.layers.Dense(prod(spec.shape), "sigmoid", name="head_pixels")(pooled(encoded, spec.kind))
    scaled = keras.layers.Rescaling(255.0, dtype="float32", name="head_scale")(x)
    return {"picture": keras.layers.Reshape(spec.shape, dtype="float32", name="picture")(scaled)}


def losses(spec: Spec, config: Config, class_counts: Any = None) -> LossHook:
    def hook(outputs: Any, targets: Any, inputs: Any, context: Any) -> dict[str, Any]:
        difference = (outputs["picture"] - ops.cast(inputs["image"], "float32")) / 255.0
        return {"picture": ops.mean(ops.square(difference), axis=(1, 2, 3))}

    return hook
