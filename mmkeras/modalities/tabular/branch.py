"""The encoder of a row: a token for each column, then transformer layers over them.

Source: Gorishniy et al. 2021, Revisiting Deep Learning Models for Tabular Data (FT-Transformer, arXiv:2106.11959). Its
[CLS] token is left to the fusion, which reads the tokens of every modality.
"""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
from keras import layers, ops

from mmkeras.core.errors import ConfigError
from mmkeras.layers.mixing import mix
from mmkeras.layers.tokens import Branch, Tokens
from mmkeras.modalities.tabular.spec import Config, Spec

__all__ = ["NumberTokens", "build"]


@keras.saving.register_keras_serializable("mmkeras")
class NumberTokens(layers.Layer):
    """Turns features (B, F) and flags of missing columns (B, N) into tokens (B, N, width).

    The token of a column is the sum of its features, each times a learned vector, and a learned bias; a missing column,
    whose features are 0, has another bias.

    Args:
        owners: the column, 0 to N - 1, of each of the F features.
        width: of a token.
    """

    def __init__(self, owners: list[int], width: int, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.owners = list(owners)
        self.width = width

    def build(self, input_shape: Any) -> None:
        """Create the vectors (F, width) and the two biases (N, width)."""
        del input_shape
        columns = max(self.owners) + 1
        self.vectors = self._weight(len(self.owners), "vectors")
        self.bias = self._weight(columns, "bias")
        self.missing = self._weight(columns, "missing")

    def _weight(self, rows: int, name: str) -> Any:
        # An initializer of its own for each: one that is used again gives the same values again.
        scale = keras.initializers.RandomUniform(-(self.width**-0.5), self.width**-0.5)
        return self.add_weight(shape=(rows, self.width), initializer=scale, name=name)

    def call(self, inputs: Any) -> Any:
        """Make the tokens."""
        features, missing = inputs
        parts = ops.expand_dims(features, -1) * ops.cast(self.vectors, features.dtype)
        columns = max(self.owners) + 1
        if columns < len(self.owners):
            belongs = np.equal(np.arange(columns)[:, None], np.array(self.owners)[None])
            parts = ops.matmul(ops.convert_to_tensor(belongs.astype("float32"), parts.dtype), parts)
        flag = ops.expand_dims(missing, -1)
        bias, other = ops.cast(self.bias, parts.dtype), ops.cast(self.missing, parts.dtype)
        return parts + (1.0 - flag) * bias + flag * other

    def get_config(self) -> dict[str, Any]:
        """Return the constructor's arguments."""
        return {**super().get_config(), "owners": self.owners, "width": self.width}


def build(spec: Spec, config: Config, width: int) -> Branch:
    """Build the encoder as a nested model ``<name>_branch``.

    Returns:
        The inputs of ``spec.tensors``; tokens (B, columns, width) in the order of ``spec.columns``, all real.

    Raises:
        ConfigError: heads that do not divide the width.
    """
    if config.layers and width % config.heads:
        raise ConfigError(f"{spec.name}.heads: expected a divisor of the width {width}, got {config.heads}")
    dropout = 0.0 if config.frozen else config.dropout
    shapes = {tensor.name: tensor for tensor in spec.tensors}
    given = {name: keras.Input(tensor.shape, dtype=tensor.dtype, name=name) for name, tensor in shapes.items()}
    parts = []
    if spec.features:
        numbers, missing = given[f"{spec.name}_numbers"], given[f"{spec.name}_missing"]
        parts.append(NumberTokens(spec.owners.tolist(), width, name=f"{spec.name}_number_tokens")([numbers, missing]))
    if spec.categories:
        table = layers.Embedding(int(spec.offsets[-1]), width, name=f"{spec.name}_category_tokens")
        parts.append(table(given[f"{spec.name}_categories"]))
    x = parts[0] if len(parts) == 1 else ops.concatenate(parts, axis=1)
    # One column has nothing to attend to but itself.
    for number in range(1, config.layers + 1 if len(spec.columns) > 1 else 1):
        x = mix(x, None, config.heads, width, f"{spec.name}_{number}", dropout)
    x = layers.LayerNormalization(name=f"{spec.name}_norm")(x)
    encoder = keras.Model(given, x, name=f"{spec.name}_branch")
    encoder.trainable = not config.frozen
    inputs = {name: keras.Input(tensor.shape, dtype=tensor.dtype, name=name) for name, tensor in shapes.items()}
    values = encoder(inputs)
    return Branch(inputs, Tokens(values, ops.ones_like(values[:, :, 0], dtype="int32")))
