"""Lets each picture find its own text among those of the whole batch; two towers over the branches of the model."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import keras

from mmkeras.training.methods._contract import StageContext, TrainingMethod
from tests.training.toys import contrastive


@dataclass(frozen=True)
class Method(TrainingMethod):
    """A contrastive loss (CLIP)."""

    width: int = 4
    """Size of the space in which the towers meet."""

    def model(self, built: keras.Model, context: StageContext) -> keras.Model:
        outputs = {}
        for name in context.specs:
            mean = keras.layers.GlobalAveragePooling1D(name=f"pairs_{name}_mean")(
                built.get_layer(f"{name}_null_token").output[0]
            )
            vector = keras.layers.Dense(self.width, name=f"pairs_{name}")(mean)
            outputs[f"{name}_embedding"] = keras.layers.UnitNormalization(name=f"{name}_embedding")(vector)
        return keras.Model(built.input, outputs, name="pairs")

    def losses(self, context: StageContext) -> Any:
        return contrastive
