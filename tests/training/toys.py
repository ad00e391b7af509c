"""Heads that only tests have, each with the loss hook: towers, an autoencoder, two losses."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import keras
from keras import ops

from mmkeras.layers.batch import LossContext
from mmkeras.layers.encoded import pooled, tokens_of
from mmkeras.layers.tokens import Encoded

Tensors = Mapping[str, Any]


def towers(encoded: Encoded, width: int = 4) -> dict[str, Any]:
    """Return a vector of length 1 (B, width) for each modality by itself."""
    outputs = {}
    for name in encoded.tokens:
        mean = ops.mean(tokens_of(encoded, name, "towers").values, axis=1)
        vector = keras.layers.Dense(width, name=f"head_{name}")(mean)
        outputs[f"{name}_embedding"] = keras.layers.UnitNormalization(name=f"{name}_embedding")(vector)
    return outputs


def contrastive(outputs: Tensors, targets: Tensors, inputs: Tensors, context: LossContext) -> dict[str, Any]:
    """Let each picture find its own text among those of the whole batch, and the other way round (CLIP)."""
    del targets, inputs
    image, text = outputs["image_embedding"], outputs["text_embedding"]
    # Samples of weight 0 fill up a batch: they are no negatives.
    hidden = ops.cast(context.gather(context.weights) <= 0, image.dtype) * -1e4
    places = context.places(image)
    parts = {}
    for name, own, others in (("image", image, text), ("text", text, image)):
        scores = 10.0 * ops.matmul(own, ops.transpose(context.gather(others))) + hidden
        parts[name] = keras.losses.sparse_categorical_crossentropy(places, scores, from_logits=True)
    return {name: 0.5 * part for name, part in parts.items()}


def uniformity(outputs: Tensors, targets: Tensors, inputs: Tensors, context: LossContext) -> dict[str, Any]:
    """Spread all vectors of the batch: one number for the batch, which no single sample has."""
    del targets, inputs
    every = ops.concatenate([context.gather(each) for each in outputs.values()], axis=0)
    return {"uniformity": ops.log(ops.mean(ops.exp(-2.0 * (2.0 - 2.0 * ops.matmul(every, ops.transpose(every))))))}


def autoencoder(encoded: Encoded, pixels: int) -> dict[str, Any]:
    """Return a picture (B, pixels) from the pooled vector."""
    return {"picture": keras.layers.Dense(pixels, name="picture")(pooled(encoded, "autoencoder"))}


def reconstruction(outputs: Tensors, targets: Tensors, inputs: Tensors, context: LossContext) -> dict[str, Any]:
    """Compare the output with the input; there is no target."""
    del targets, context
    picture = outputs["picture"]
    return {"picture": ops.mean(ops.square(picture - ops.cast(inputs["image"], picture.dtype)), axis=-1)}


def two_losses(outputs: Tensors, targets: Tensors, inputs: Tensors, context: LossContext) -> dict[str, Any]:
    """Two parts over two outputs of one head: how close the vectors are, and how well they are told apart."""
    apart = ops.sum(ops.square(outputs["image_embedding"] - outputs["text_embedding"]), axis=-1)
    return {"apart": apart, **contrastive(outputs, targets, inputs, context)}
