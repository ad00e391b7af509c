"""Keras head of the matching task: the two towers, their similarity, and the judgement of a pair."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import keras
from keras import ops

from mmkeras.core.components import find
from mmkeras.core.errors import ConfigError
from mmkeras.layers.batch import Losses
from mmkeras.layers.encoded import tokens_of
from mmkeras.layers.tokens import Encoded, Tokens
from mmkeras.tasks import SubmodelOutputs
from mmkeras.tasks.matching.losses import MatchingLoss
from mmkeras.tasks.matching.pairs import PairScores
from mmkeras.tasks.matching.spec import Config, Spec

__all__ = ["Temperature", "build", "losses", "submodels"]


def build(encoded: Encoded, spec: Spec, config: Config) -> dict[str, Any]:
    """Return the outputs of `Spec.outputs` from the tokens of both modalities; a fusion is not used.

    Raises:
        ConfigError: a modality is missing, or the number of heads does not divide the width.
    """
    tokens = [tokens_of(encoded, name, "model.task.options.towers") for name in spec.towers]
    width = int(tokens[0].values.shape[-1])
    if width % config.heads:
        raise ConfigError(f"model.task.options.heads: expected a divisor of the width {width}, got {config.heads}")
    first, second = (_tower(each, name, spec.size, config) for name, each in zip(spec.towers, tokens, strict=True))
    temperature = Temperature(
        config.temperature, config.loss == "sigmoid", dtype=keras.config.floatx(), name="head_temperature"
    )
    outputs = {
        f"{spec.towers[0]}_embedding": first,
        f"{spec.towers[1]}_embedding": second,
        "similarity": keras.layers.Identity(dtype=keras.config.floatx(), name="similarity")(temperature(first, second)),
    }
    if config.pairs:
        layer = PairScores(config.pairs, config.heads, config.hard_negatives, config.dropout, name="head_match_scores")
        logits = layer(*(part for each in tokens for part in (each.values, each.mask)), first, second)
        outputs["match"] = keras.layers.Activation("sigmoid", dtype=keras.config.floatx(), name="match")(logits)
    return outputs


def _tower(tokens: Tokens, name: str, size: int, config: Config) -> Any:
    """Return the vectors (B, size) of length 1 of one modality: its tokens, pooled by learned attention."""
    real = ops.expand_dims(ops.cast(tokens.mask, "bool"), -1)
    values = ops.where(real, tokens.values, 0.0)
    values = keras.layers.LayerNormalization(name=f"{name}_tower_norm")(values)
    if config.dropout:
        # The same features of all tokens: losses drawn for each token would be averaged away by the pooling.
        values = keras.layers.Dropout(config.dropout, noise_shape=(None, 1, None), name=f"{name}_tower_dropout")(values)
    width, count = int(values.shape[-1]), int(values.shape[1])
    each = keras.layers.Dense(width, name=f"{name}_tower_values")(values)
    if count == 1:  # attention over a single token would give it all the weight
        merged = each[:, 0]
    else:
        merged = _attended(values, each, real, config.heads, name)
    pooled = ops.gelu(merged, approximate=True)
    if config.dropout:
        pooled = keras.layers.Dropout(config.dropout, name=f"{name}_tower_pooled_dropout")(pooled)
    floatx = keras.config.floatx()
    vector = keras.layers.Dense(size, dtype=floatx, name=f"{name}_tower_vector")(pooled)
    # Not ops.square, which int8 converters leave in float.
    length = ops.rsqrt(ops.sum(ops.multiply(vector, vector), axis=-1, keepdims=True) + 1e-12)
    return keras.layers.Identity(dtype=floatx, name=f"{name}_embedding")(vector * length)


def _attended(values: Any, each: Any, real: Any, heads: int, name: str) -> Any:
    """Return the weighted means (B, D) of the tokens' values (B, N, D); each head has its own weights.

    A masked token has a weight of exactly 0, without a large negative number, which would take the range of an int8
    tensor.
    """
    scores = keras.layers.Dense(heads, use_bias=False, name=f"{name}_tower_scores")(values)
    shares = ops.softmax(scores, axis=1) * ops.cast(real, scores.dtype)
    shares = shares / (ops.sum(shares, axis=1, keepdims=True) + 1e-6)
    parts = ops.split(each, heads, axis=-1)
    weighted = [ops.sum(part * shares[:, :, head : head + 1], axis=1) for head, part in enumerate(parts)]
    return ops.concatenate(weighted, axis=-1)


def losses(spec: Spec, config: Config, class_counts: Mapping[str, int] | None = None) -> Losses:
    """Return the loss hook, `mmkeras.tasks.matching.losses.MatchingLoss`."""
    del class_counts
    return MatchingLoss(spec, config)


def submodels(model: keras.Model, spec: Spec) -> Mapping[str, SubmodelOutputs]:
    """Return ``<modality>_tower`` of both modalities."""
    embedding = find("tasks", "embedding", "spec").Spec(spec.size)
    return {
        f"{name}_tower": SubmodelOutputs({"embedding": model.get_layer(f"{name}_embedding").output}, (name,), embedding)
        for name in spec.towers
    }


@keras.saving.register_keras_serializable("mmkeras")
class Temperature(keras.layers.Layer):
    """The cosine similarity of two unit vectors (B, D), divided by a learned temperature, plus a learned bias: (B, 1).

    The vectors get no gradient from it: the loss compares each vector with those of the whole batch, and reads
    temperature and bias from this output, see `mmkeras.tasks.matching.losses.line_of`.

    Args:
        initial: first temperature.
        biased: whether there is a bias, which starts at -10 as in SigLIP.
    """

    def __init__(self, initial: float = 0.07, biased: bool = False, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.initial, self.biased = initial, biased

    def build(self, first_shape: Any, second_shape: Any) -> None:
        """Create the logarithm of the inverse temperature, and the bias."""
        start = keras.initializers.Constant(float(ops.convert_to_numpy(-ops.log(self.initial))))
        self.log_scale = self.add_weight(shape=(), initializer=start, name="log_scale")
        self.bias = None
        if self.biased:
            self.bias = self.add_weight(shape=(), initializer=keras.initializers.Constant(-10.0), name="bias")

    def call(self, first: Any, second: Any) -> Any:
        """Return the similarity (B, 1)."""
        cosine = ops.stop_gradient(ops.sum(first * second, axis=-1, keepdims=True))
        # At most 100, as in CLIP, where the training becomes unstable.
        scaled = cosine * ops.exp(ops.minimum(self.log_scale, 4.6052))
        return scaled if self.bias is None else scaled + self.bias

    def get_config(self) -> dict[str, Any]:
        """Return the constructor's arguments."""
        return {**super().get_config(), "initial": self.initial, "biased": self.biased}
