"""Text in TFRecords and in tf.data: stored as UTF-8, tokenized in the graph, masked at random in training."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from mmkeras.core.errors import ConfigError, DataError
from mmkeras.layers.draws import uniform
from mmkeras.layers.word_pieces import word_pieces
from mmkeras.media.text.characters import KEEP, MAX_WORD_BYTES, NOTHING, PART_BYTES, SLOTS, check_text, pages, words
from mmkeras.media.text.vocabulary import CLS, MASK, PAD, SEP, UNK
from mmkeras.modalities.text.spec import Config, Spec

if TYPE_CHECKING:
    import tensorflow as tf

__all__ = ["augment", "decode", "encode", "raw"]


def encode(config: Config | Spec, value: Any) -> bytes:
    """Check that a raw text has words, and return its UTF-8 bytes."""
    check_text(value)
    if not words(value, config.lowercase):
        raise DataError(f"Expected a text with words, got {value!r:.80}.")
    return bytes(value.encode())


def raw(record: bytes) -> str:
    """Return the text of a record."""
    return record.decode()


def decode(spec: Spec, raw: tf.Tensor) -> dict[str, tf.Tensor]:
    """Tokenize texts () or (B,) in the graph; equals `Spec.preprocess`. Bytes that are not UTF-8 are left out.

    Returns:
        Token ids and padding mask, int32 (max_length,) or (B, max_length).
    """
    import tensorflow as tf

    longest = spec.max_length - 2
    batch = tf.reshape(raw, [-1])
    # A word has at least one token, so no more words are needed.
    split = _words(batch, spec.lowercase)[:, :longest]
    pieces = word_pieces(spec.vocabulary, UNK).tokenize(split).merge_dims(-2, -1)[:, :longest]
    rows = tf.shape(batch)[0]
    ends = [tf.fill([rows, 1], spec.ids[token]) for token in (CLS, SEP)]
    ragged = tf.concat([ends[0], pieces, ends[1]], axis=1)
    token_ids = ragged.to_tensor(spec.ids[PAD], shape=[None, spec.max_length])
    padding_mask = tf.sequence_mask(ragged.row_lengths(), spec.max_length, tf.int32)
    shape = [*raw.shape, spec.max_length]
    dynamic = tf.concat([tf.shape(raw), [spec.max_length]], axis=0)
    return {
        f"{spec.name}_token_ids": tf.ensure_shape(tf.reshape(token_ids, dynamic), shape),
        f"{spec.name}_padding_mask": tf.ensure_shape(tf.reshape(padding_mask, dynamic), shape),
    }


def augment(config: Config, spec: Spec, inputs: dict[str, tf.Tensor], seed: tf.Tensor) -> dict[str, tf.Tensor]:
    """Replace a share ``mask_rate`` of the tokens, except [CLS], [SEP] and [PAD], by [MASK].

    Inputs are the tensors of `decode`; others are passed through. The same seed, int32 (2,), masks the same positions.

    Raises:
        ConfigError: the vocabulary has no [MASK].
    """
    if config.mask_rate == 0:
        return inputs
    if MASK not in spec.ids:
        raise ConfigError(f"text: mask_rate is {config.mask_rate}, but the vocabulary has no {MASK}. Set it to 0.")
    import tensorflow as tf

    token_ids = inputs[f"{spec.name}_token_ids"]
    ends = (token_ids == spec.ids[CLS]) | (token_ids == spec.ids[SEP])
    real = tf.cast(inputs[f"{spec.name}_padding_mask"], tf.bool) & ~ends
    chosen = uniform(tf.shape(token_ids), seed) < config.mask_rate
    masked = tf.where(real & chosen, tf.constant(spec.ids[MASK], token_ids.dtype), token_ids)
    return {**inputs, f"{spec.name}_token_ids": masked}


def _words(batch: tf.Tensor, lowercase: bool) -> tf.RaggedTensor:
    """Split texts (B,) into normalised words (B, None): `characters.words` in the graph."""
    import tensorflow as tf

    page, slots = pages(lowercase)
    codes = tf.strings.unicode_decode(batch, "UTF-8", errors="replace")
    code = codes.flat_values
    row = tf.gather(tf.constant(page), code // 256)
    replaced = tf.gather_nd(tf.constant(slots), tf.stack([row, code % 256], axis=1))
    replaced = tf.where(replaced == KEEP, tf.expand_dims(code, 1), replaced)
    three = tf.RaggedTensor.from_row_splits(tf.reshape(replaced, [-1]), codes.row_splits * SLOTS, validate=False)
    clean = tf.ragged.boolean_mask(three, three >= 0)
    return tf.strings.split(tf.strings.unicode_encode(_cut(clean), "UTF-8"))


def _cut(texts: tf.RaggedTensor) -> tf.RaggedTensor:
    """Put a blank before each further part of a long word, in code points (B, None), like `characters.words`."""
    import tensorflow as tf

    code, rows = texts.flat_values, texts.value_rowids()
    blank = code == ord(" ")
    size = 1 + sum(tf.cast(code >= first, tf.int32) for first in (0x80, 0x800, 0x10000))
    size = tf.where(blank, 0, size)
    first = tf.concat([[True], blank[:-1] | (rows[1:] != rows[:-1])], 0)[: tf.size(code)]
    word = tf.cumsum(tf.cast(first, tf.int32)) - 1
    before = tf.cumsum(size, exclusive=True)
    at = before - tf.gather(tf.math.segment_min(before, word), word)
    cuttable = (tf.math.segment_sum(size, word) > MAX_WORD_BYTES) & (tf.math.segment_max(size, word) > 1)
    part = at // PART_BYTES
    new = tf.concat([[False], part[1:] > part[:-1]], 0)[: tf.size(code)] & ~first & ~blank & tf.gather(cuttable, word)
    spaced = tf.stack([tf.where(new, ord(" "), NOTHING), code], axis=1)
    pairs = tf.RaggedTensor.from_row_splits(tf.reshape(spaced, [-1]), texts.row_splits * 2, validate=False)
    return tf.ragged.boolean_mask(pairs, pairs >= 0)
