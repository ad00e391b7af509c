"""Hides words of the text and learns to say which they were, with a head that is dropped after the stage."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import keras
from keras import ops

from mmkeras.layers.draws import uniform
from mmkeras.training.methods._contract import StageContext, Tensors, TrainingMethod


@dataclass(frozen=True)
class Method(TrainingMethod):
    """Masked words (BERT)."""

    share: float = 0.3
    """Share of the words that are hidden."""

    def model(self, built: keras.Model, context: StageContext) -> keras.Model:
        words = len(context.specs["text"].vocabulary)  # type: ignore[attr-defined]
        tokens = built.get_layer("text_null_token").output[0]
        head = keras.layers.Dense(words, activation="softmax", name="pretrain_words")
        return keras.Model(built.input, {"words": head(tokens)}, name="pretrain")

    def losses(self, context: StageContext) -> Any:
        def hook(outputs: Any, targets: Any, inputs: Any, context: Any) -> dict[str, Any]:
            crossed = keras.losses.sparse_categorical_crossentropy(targets["words"], outputs["words"])
            hidden = ops.cast(targets["hidden"], crossed.dtype)
            return {"words": ops.sum(hidden * crossed, axis=-1) / (1.0 + ops.sum(hidden, axis=-1))}

        return hook

    def batch(self, inputs: Tensors, targets: Tensors, weights: Any, context: StageContext, seed: Any) -> Any:
        import tensorflow as tf

        words = inputs["text_token_ids"]
        hidden = uniform(tf.shape(words), seed) < self.share
        return {**inputs, "text_token_ids": tf.where(hidden, 4, words)}, {"words": words, "hidden": hidden}, weights
