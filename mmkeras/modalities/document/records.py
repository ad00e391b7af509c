"""Pages in records and in the tf.data graph, and the augmentation of words and boxes.

TensorFlow is imported inside the functions that use it: processes that convert only need `encode`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from mmkeras.layers.draws import uniform
from mmkeras.layers.word_pieces import word_pieces
from mmkeras.media.document.shapes import SHAPES
from mmkeras.media.text.vocabulary import PAD, UNK
from mmkeras.modalities.document.numbers import BOX, FEATURES
from mmkeras.modalities.document.packet import LINE, PART, page_of, write_packet
from mmkeras.modalities.document.spec import Config, Spec

if TYPE_CHECKING:
    import tensorflow as tf

__all__ = ["augment", "decode", "encode", "remark"]

_BOXES = slice(BOX, BOX + 8)


def encode(config: Config | Spec, value: Any) -> bytes:
    """Check a page and return its record, see `packet`."""
    return write_packet(page_of(value), config.frame, config.lowercase)


def remark(config: Config | Spec, value: Any) -> str:
    """Return what is not used of a page."""
    more = len(page_of(value).words) > config.words
    return f"a page has more than {config.words} words; only the first are used for training" if more else ""


def decode(spec: Spec, raw: tf.Tensor) -> dict[str, tf.Tensor]:
    """Return the tensors of records () or (B,) in the graph; equals `Spec.preprocess`."""
    import tensorflow as tf

    raw = tf.convert_to_tensor(raw)
    single = raw.shape.rank == 0
    batch = tf.reshape(raw, (-1,))
    parts = tf.strings.split(batch, PART).to_tensor("", shape=(None, 5))
    size = 4 * spec.words
    numbers = tf.io.decode_raw(tf.io.decode_base64(parts[:, 1]), tf.float32, fixed_length=FEATURES * size)
    segments = tf.io.decode_raw(tf.io.decode_base64(parts[:, 2]), tf.int32, fixed_length=size)
    words = tf.strings.split(parts[:, 3], LINE)
    count = tf.minimum(words.row_lengths(), spec.words)
    inner = tf.strings.split(words[:, : spec.words].flat_values)
    found = word_pieces(spec.vocabulary, UNK).tokenize(inner).merge_dims(-2, -1)[:, : spec.pieces]
    ids = tf.cast(found.to_tensor(spec.ids[PAD], shape=(None, spec.pieces)), tf.int32)
    token_ids = tf.RaggedTensor.from_row_lengths(ids, count).to_tensor(
        spec.ids[PAD], shape=(None, spec.words, spec.pieces)
    )
    made = (
        token_ids,
        tf.reshape(numbers, (-1, spec.words, FEATURES)),
        segments,
        tf.sequence_mask(count, spec.words, tf.int32),
    )
    found_by_name = {}
    for tensor, value in zip(spec.tensors, made, strict=True):
        value = tf.ensure_shape(value, (None, *tensor.shape))
        found_by_name[tensor.name] = value[0] if single else value
    return found_by_name


def augment(config: Config, spec: Spec, inputs: dict[str, tf.Tensor], seed: tf.Tensor) -> dict[str, tf.Tensor]:
    """Mask a share of the words of a batch, and scale and move the boxes of each page.

    Other inputs are passed through. The same seed, int32 (2,), gives the same result.
    """
    if not config.augmentations():
        return inputs
    import tensorflow as tf

    token_ids, numbers = inputs[f"{spec.name}_token_ids"], inputs[f"{spec.name}_numbers"]
    real = inputs[f"{spec.name}_padding_mask"] > 0
    if config.word_dropout:
        chosen = (uniform(tf.shape(real), seed) < config.word_dropout) & real
        masked = tf.constant([[[spec.mask_id] + [spec.ids[PAD]] * (spec.pieces - 1)]], token_ids.dtype)
        token_ids = tf.where(chosen[..., None], masked, token_ids)
        lost = chosen & (uniform(tf.shape(real), seed + 1) < 0.5)
        shape = tf.range(FEATURES) < SHAPES
        numbers = tf.where(lost[..., None] & shape, 0.0, numbers)
    if config.jitter:
        count = tf.shape(numbers)[0]
        scale = 1.0 + config.jitter * uniform((count, 1, 2), seed + 2, -1.0, 1.0)
        moved = 0.5 * config.jitter * uniform((count, 1, 2), seed + 3, -1.0, 1.0)
        scale, moved = tf.tile(scale, (1, 1, 4)), tf.tile(moved, (1, 1, 4))
        boxes = (numbers[..., _BOXES] - 0.5) * scale + 0.5 + moved
        boxes *= tf.cast(real, boxes.dtype)[..., None]
        numbers = tf.concat([numbers[..., :BOX], boxes, numbers[..., BOX + 8 :]], axis=-1)
    return {**inputs, f"{spec.name}_token_ids": token_ids, f"{spec.name}_numbers": numbers}
