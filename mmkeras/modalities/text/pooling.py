"""Pools word pieces to words inside the graph."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import keras
import numpy as np
from keras import layers, ops

from mmkeras.media.text.vocabulary import CLS, CONTINUED, PAD, SEP

__all__ = ["PiecesToWords", "roles_of"]


def roles_of(vocabulary: Sequence[str]) -> np.ndarray:
    """Return float32 (V, 2): whether a token begins a word, and whether it is part of one."""
    part = np.array([token not in (CLS, SEP, PAD) for token in vocabulary], np.float32)
    begins = part * np.array([not token.startswith(CONTINUED) or token == CONTINUED for token in vocabulary])
    return np.stack([begins, part], axis=1).astype(np.float32)


@keras.saving.register_keras_serializable("mmkeras")
class PiecesToWords(layers.Layer):
    """Means of the pieces of each word.

    Inputs: values (B, T, D), token ids int32 (B, T) and padding mask int32 (B, T). Outputs: values (B, W, D), zeros
    beyond the last word, and the mask of the words, int32 (B, W).

    Args:
        words: W.
        tokens: size V of the vocabulary.
    """

    def __init__(self, words: int, tokens: int, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.words, self.tokens = words, tokens

    def build(self, input_shape: Any) -> None:
        """Create the table of `roles_of`, which is set after building and saved with the weights."""
        self.roles = self.add_weight(
            shape=(self.tokens, 2), initializer="zeros", trainable=False, name="roles", dtype="float32"
        )

    def call(self, values: Any, token_ids: Any, padding_mask: Any) -> tuple[Any, Any]:
        """Return the words and their mask."""
        roles = ops.take(self.roles, token_ids, axis=0) * ops.expand_dims(ops.cast(padding_mask, "float32"), -1)
        begins, part = ops.cast(roles[:, :, 0], "int32"), roles[:, :, 1]
        number = ops.cumsum(begins, axis=1) - 1
        places = np.arange(self.words, dtype=np.int32).reshape(1, -1, 1)
        own = ops.cast(ops.equal(ops.expand_dims(number, 1), places), "float32") * ops.expand_dims(part, 1)
        # A product with a row of shares, because int8 has no division of tokens.
        count = ops.sum(own, axis=2, keepdims=True)
        shares = own / ops.maximum(count, 1.0)
        mask = ops.cast(ops.greater(count[:, :, 0], 0.5), "int32")
        return ops.matmul(ops.cast(shares, values.dtype), values), mask

    def compute_output_shape(self, values_shape: Any, token_ids_shape: Any, padding_mask_shape: Any) -> Any:
        """Return the shapes of the words and their mask."""
        return (values_shape[0], self.words, values_shape[-1]), (values_shape[0], self.words)

    def compute_output_spec(self, values: Any, token_ids: Any, padding_mask: Any) -> Any:
        """Return shapes and dtypes of the outputs."""
        words, mask = self.compute_output_shape(values.shape, token_ids.shape, padding_mask.shape)
        return keras.KerasTensor(words, dtype=values.dtype), keras.KerasTensor(mask, dtype="int32")

    def get_config(self) -> dict[str, Any]:
        """Return the constructor's arguments."""
        return {**super().get_config(), "words": self.words, "tokens": self.tokens}
