"""The head that judges single pairs: words read the other tower's tokens by cross-attention."""

from __future__ import annotations

from typing import Any

import keras
from keras import layers, ops

from mmkeras.layers.batch import LossContext

__all__ = ["PairScores", "hardest"]


def hardest(first: Any, second: Any, count: int) -> Any:
    """Return the rows int32 (B, 2 K), in the batch of all replicas, of the closest wrong partners of each sample.

    The first K are items of the first tower for the sample's item of the second, the others the other way round.
    Copies of the partner are among them: the loss must leave them out.

    Args:
        first: vectors (B, D) of the first tower on this replica.
        second: vectors (B, D) of the second tower.
        count: K.
    """
    context = LossContext(weights=None)
    rows = []
    own = ops.expand_dims(context.places(first), 1)
    for queries, gallery in ((second, first), (first, second)):
        every = context.gather(gallery)
        scores = ops.matmul(queries, ops.transpose(every))
        number = ops.shape(every)[0]
        itself = ops.expand_dims(ops.arange(0, number, dtype="int32"), 0) == own
        # In a batch of fewer samples the sample itself fills the places; the loss leaves it out.
        scores = ops.where(itself, -4.0, ops.stop_gradient(scores))
        found = ops.argsort(-scores, axis=1)[:, :count]
        short = ops.broadcast_to(own, (ops.shape(own)[0], count))
        rows.append(ops.concatenate([ops.cast(found, "int32"), short], axis=1)[:, :count])
    return ops.concatenate(rows, axis=1)


@keras.saving.register_keras_serializable("mmkeras")
class PairScores(layers.Layer):
    """The logit (B, 1) that two inputs belong together, from the tokens and vectors of both.

    The tokens of the second modality read those of the first by cross-attention (Vaswani et al. 2017). In training the
    result is (B, 1 + 2 K): behind the logit of the pair those of the sample with each wrong partner that `hardest`
    names (hard negatives as in ALBEF, Li et al. 2021, arXiv:2107.07651, the closest ones in place of a draw).

    Args:
        depth: cross-attention layers.
        heads: attention heads.
        hard: K, the wrong partners on each side.
        dropout: share dropped of the attention and of each step.
    """

    def __init__(self, depth: int, heads: int, hard: int = 2, dropout: float = 0.0, **kwargs: Any) -> None:
        # The vectors stay as they are in mixed precision: by them the loss must find the same wrong partners.
        super().__init__(**{"autocast": False, **kwargs})
        self.depth, self.heads, self.hard, self.dropout = depth, heads, hard, dropout

    def build(
        self,
        first_shape: Any,
        first_valid_shape: Any,
        second_shape: Any,
        second_valid_shape: Any,
        first_vector_shape: Any,
        second_vector_shape: Any,
    ) -> None:
        """Create the layers for tokens of a common width (B, N, D)."""
        width = first_shape[-1]
        self.memory_norm = layers.LayerNormalization(name="memory_norm")
        self.memory_norm.build(first_shape)
        self.steps: list[list[layers.Layer]] = []
        for number in range(1, self.depth + 1):
            norm = layers.LayerNormalization(name=f"norm_{number}")
            # Without biases: that of the keys changes nothing, and an optimizer moves it by rounding errors alone.
            read = layers.MultiHeadAttention(
                self.heads, width // self.heads, dropout=self.dropout, use_bias=False, name=f"cross_{number}"
            )
            inner_norm = layers.LayerNormalization(name=f"inner_norm_{number}")
            inner = layers.Dense(2 * width, name=f"inner_{number}")
            outer = layers.Dense(width, name=f"outer_{number}")
            drop = layers.Dropout(self.dropout, name=f"dropout_{number}") if self.dropout else layers.Identity()
            for layer in (norm, inner_norm, inner, drop):
                layer.build(second_shape)
            read.build(second_shape, first_shape)
            outer.build((*second_shape[:-1], 2 * width))
            self.steps.append([norm, read, inner_norm, inner, outer, drop])
        self.norm = layers.LayerNormalization(name="norm")
        self.norm.build((second_shape[0], width))
        self.logit = layers.Dense(1, dtype=keras.config.floatx(), name="logit")
        self.logit.build((second_shape[0], width + first_vector_shape[-1]))

    def call(
        self,
        first: Any,
        first_valid: Any,
        second: Any,
        second_valid: Any,
        first_vector: Any,
        second_vector: Any,
        training: bool | None = None,
    ) -> Any:
        """Return the logits.

        Args:
            first: tokens of the first modality (B, N, D).
            first_valid: int32 (B, N), 1 for real tokens.
            second: tokens of the second modality (B, M, D).
            second_valid: int32 (B, M).
            first_vector: of length 1, (B, size).
            second_vector: of length 1, (B, size).
            training: whether wrong partners are judged too.
        """
        first, second = (ops.cast(tokens, self.compute_dtype) for tokens in (first, second))
        firsts, seconds = [first, first_valid, first_vector], [second, second_valid, second_vector]
        own = self._judged(firsts, seconds, training)
        if not training:
            return own
        context, found = LossContext(weights=None), [own]
        rows = hardest(first_vector, second_vector, self.hard)
        everyone = [[context.gather(part) for part in side] for side in (firsts, seconds)]
        for column in range(2 * self.hard):
            side = int(column >= self.hard)
            taken = [ops.take(part, rows[:, column], axis=0) for part in everyone[side]]
            found.append(self._judged(taken, seconds, training) if side == 0 else self._judged(firsts, taken, training))
        return ops.concatenate(found, axis=1)

    def _judged(self, firsts: Any, seconds: Any, training: bool | None) -> Any:
        first, first_valid, first_vector = firsts
        x, mask, second_vector = seconds
        real = ops.expand_dims(ops.cast(mask, "bool"), -1)
        seen = ops.expand_dims(ops.cast(first_valid, "bool"), 1)
        memory = self.memory_norm(ops.where(ops.expand_dims(ops.cast(first_valid, "bool"), -1), first, 0.0))
        x = ops.where(real, x, 0.0)
        for norm, read, inner_norm, inner, outer, drop in self.steps:
            x = x + drop(read(norm(x), memory, attention_mask=seen, training=training), training=training)
            x = x + drop(outer(ops.gelu(inner(inner_norm(x)), approximate=True)), training=training)
        kept = ops.cast(real, x.dtype)
        pooled = ops.sum(x * kept, axis=1) / ops.maximum(ops.sum(kept, axis=1), 1.0)
        agreed = first_vector * second_vector
        return self.logit(ops.concatenate([ops.cast(self.norm(pooled), agreed.dtype), agreed * 8.0], axis=-1))

    def compute_output_spec(self, first: Any, *others: Any, training: bool | None = None) -> keras.KerasTensor:
        """Return a tensor of the shape outside of training, (B, 1)."""
        return keras.KerasTensor((first.shape[0], 1), dtype=self.logit.dtype_policy.compute_dtype)

    def get_config(self) -> dict[str, Any]:
        """Return the constructor's arguments."""
        own = {"depth": self.depth, "heads": self.heads, "hard": self.hard, "dropout": self.dropout}
        return {**super().get_config(), **own}
