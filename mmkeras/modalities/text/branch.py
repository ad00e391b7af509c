"""The text encoder: BERT from keras_nlp, from scratch or pretrained, projected to the common width."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import keras
import keras_nlp

from mmkeras.core.errors import ConfigError
from mmkeras.layers.features import drop_features
from mmkeras.layers.keras_files import check_preset
from mmkeras.layers.tokens import Branch, Tokens
from mmkeras.modalities.text.pooling import PiecesToWords, roles_of
from mmkeras.modalities.text.presets import from_preset, preset_path
from mmkeras.modalities.text.spec import Config, Spec

__all__ = ["build"]


def build(spec: Spec, config: Config, width: int) -> Branch:
    """Build the encoder as a nested model ``<name>_branch``: ``<name>_encoder`` (BERT), then a projection.

    With ``frozen`` the encoder is not trainable and has no dropout; the projection still learns.

    Returns:
        Inputs ``<name>_token_ids`` and ``<name>_padding_mask`` int32 (B, max_length); tokens (B, max_length, width)
        with the padding mask; one token (B, 1, width) with the pooling ``mean``, and one for each of max_length - 2
        words, with their mask, with ``words``.

    Raises:
        ConfigError: the preset can't be loaded or doesn't fit the spec's vocabulary or length.
        DataError: a local preset would run code, or has files outside of its folder.
    """
    name = f"{spec.name}_branch"
    # In this scope every variable has a path below <name>_branch, by which learning rates are chosen.
    with keras.name_scope(name):
        encoder = _encoder(spec, config)
        encoder.trainable = not config.frozen

        # === Branch model ===
        token_ids = keras.Input((spec.max_length,), dtype="int32", name="token_ids")
        padding_mask = keras.Input((spec.max_length,), dtype="int32", name="padding_mask")
        segment_ids = keras.ops.zeros_like(token_ids)
        encoded = encoder({"token_ids": token_ids, "padding_mask": padding_mask, "segment_ids": segment_ids})
        encoded = drop_features(encoded, config.feature_dropout, spec.name)
        outputs = keras.layers.Dense(width, name="projection")(encoded)
        if config.pooling == "words":
            words = PiecesToWords(spec.max_words, len(spec.vocabulary), name="words")
            outputs = words(outputs, token_ids, padding_mask)
            words.roles.assign(roles_of(spec.vocabulary))
        branch = keras.Model({"token_ids": token_ids, "padding_mask": padding_mask}, outputs, name=name)

        # === Functional model ===
        inputs = {t.name: keras.Input(t.shape, dtype=t.dtype, name=t.name) for t in spec.tensors}
        ids, mask = inputs.values()
        values = branch({"token_ids": ids, "padding_mask": mask})
        if config.pooling == "words":
            return Branch(inputs, Tokens(*values))
        if config.pooling == "mean":
            mask = keras.ops.ones_like(values[:, :, 0], dtype="int32")
        return Branch(inputs, Tokens(values, mask))


def _encoder(spec: Spec, config: Config) -> keras.Model:
    """Return BERT up to its sequence output: the pooling layer behind it would get no gradient."""
    dropout = 0.0 if config.frozen else config.dropout
    if config.preset:
        path = preset_path(config.preset)
        if Path(path).is_dir():
            check_preset(path)
        backbone = from_preset("BertBackbone", path, dropout=dropout)
    else:
        backbone = keras_nlp.models.BertBackbone(
            vocabulary_size=len(spec.vocabulary),
            num_layers=config.layers,
            num_heads=config.heads,
            hidden_dim=config.hidden,
            intermediate_dim=config.intermediate,
            dropout=dropout,
            max_sequence_length=spec.max_length,
        )
    if backbone.max_sequence_length < spec.max_length:
        raise ConfigError(
            f"max_length is {spec.max_length}, but the preset {config.preset!r} takes at most "
            f"{backbone.max_sequence_length} tokens. Lower max_length."
        )
    if backbone.vocabulary_size < len(spec.vocabulary):
        raise ConfigError(
            f"The vocabulary has {len(spec.vocabulary)} tokens, but the preset {config.preset!r} has "
            f"{backbone.vocabulary_size}. Leave `vocabulary` empty to use the preset's own."
        )
    values = backbone.output["sequence_output"]
    if config.pooling == "mean":
        values = _mean(values, backbone.input["padding_mask"])
    return keras.Model(backbone.input, values, name=f"{spec.name}_encoder")


def _mean(values: Any, mask: Any) -> Any:
    """Return the mean (B, 1, D) of the real tokens; a product of matrices, because int8 has no division of tokens."""
    real = keras.ops.cast(mask, values.dtype)
    shares = real / keras.ops.maximum(keras.ops.sum(real, axis=1, keepdims=True), 1.0)
    return keras.ops.matmul(keras.ops.expand_dims(shares, 1), values)
