"""Gated sum of the modalities: a gate per feature weighs each modality."""

from __future__ import annotations

import keras
from keras import ops

from mmkeras.fusion._tokens import align, check, fused, masked_mean
from mmkeras.layers.tokens import Fused, Tokens

__all__ = ["GIVES", "fuse"]

GIVES = ("pooled",)


def fuse(tokens: dict[str, Tokens], *, layers: int = 1, dropout: float = 0.0) -> Fused:
    """Sum the modalities feature by feature with weights computed from all of them.

    The gated multimodal unit (Arevalo et al. 2017, https://arxiv.org/abs/1702.01992): a Dense layer with tanh projects
    each modality's mean token, and a softmax over the modalities weighs it. A missing modality is its null token.

    Args:
        tokens: modalities by name.
        layers: Dense layers with gelu after the sum.
        dropout: share dropped after each of them in training.
    """
    width = check(tokens, layers=layers, dropout=dropout)
    aligned = align(tokens, width)
    means = {name: masked_mean(each) for name, each in aligned.items()}
    features = [
        keras.layers.Dense(width, activation="tanh", name=f"fusion_{name}_feature")(mean)
        for name, mean in means.items()
    ]
    if len(features) == 1:
        return fused(aligned, features[0], layers, dropout)
    joined = keras.layers.Concatenate(name="fusion_concat")(list(means.values()))
    gates = keras.layers.Dense(len(features) * width, name="fusion_gate")(joined)
    gates = keras.layers.Reshape((len(features), width), name="fusion_gate_split")(gates)
    gates = keras.layers.Softmax(axis=1, name="fusion_gate_softmax")(gates)
    return fused(aligned, ops.sum(gates * ops.stack(features, axis=1), axis=1), layers, dropout)
