"""Each tower pools its tokens into a vector of unit length; the decision sees the cosine of the two alone."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import keras
from keras import ops

from mmkeras.layers.tokens import Encoded, Tokens
from mmkeras.tasks import SubmodelOutputs
from mmkeras.tasks.classification.head import losses
from mmkeras.tasks.embedding.spec import Spec as Embedding
from tests.toys.tasks.towers.spec import Config, Spec

__all__ = ["build", "losses", "submodels"]

TOWERS = ("image", "text")


def build(encoded: Encoded, spec: Spec, config: Config) -> dict[str, Any]:
    image, text = (_tower(encoded.tokens[name], spec.size, name) for name in TOWERS)
    logits = keras.layers.Dense(len(spec.labels), name="head_logits")(ops.sum(image * text, axis=-1, keepdims=True))
    return {"probabilities": keras.layers.Softmax(name="probabilities")(logits)}


def _tower(tokens: Tokens, size: int, name: str) -> Any:
    real = ops.expand_dims(ops.cast(tokens.mask, "float32"), -1)
    mean = ops.sum(tokens.values * real, axis=1) / ops.maximum(ops.sum(real, axis=1), 1.0)
    vector = keras.layers.Dense(size, name=f"{name}_vector")(mean)
    return keras.layers.UnitNormalization(name=f"{name}_embedding")(vector)


def submodels(model: keras.Model, spec: Spec) -> Mapping[str, SubmodelOutputs]:
    return {
        f"{name}_tower": SubmodelOutputs(
            {"embedding": model.get_layer(f"{name}_embedding").output}, (name,), Embedding(spec.size)
        )
        for name in TOWERS
    }
