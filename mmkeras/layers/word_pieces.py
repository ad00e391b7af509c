"""WordPiece in the TensorFlow graph, for words that are split and cleaned already."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

from mmkeras.core.errors import require

__all__ = ["word_pieces"]


@lru_cache(maxsize=8)
def word_pieces(vocabulary: tuple[str, ...], unknown: str) -> Any:
    """Return the tokenizer of tensorflow_text from words to ids; ``unknown`` is the token of a word without pieces."""
    import tensorflow as tf

    text = require("tensorflow_text", "train")
    # Inside tf.data the first call is made while a graph is built; the tokenizer must not belong to that graph.
    with tf.init_scope():
        return text.FastWordpieceTokenizer(
            list(vocabulary), token_out_type=tf.int32, unknown_token=unknown, no_pretokenization=True
        )
