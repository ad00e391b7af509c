"""The text encoder: BERT from keras_nlp, from scratch or pretrained, projected to the common width."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import keras
import keras_nlp

from mmkeras.core.errors import ConfigError
from mmkeras.layers.keras_files import check_preset
from mmkeras.layers.tokens import Branch, Tokens
from mmkeras.modalities.text.presets import preset_path
from mmkeras.modalities.text.spec import Config, Spec

__all__ = ["build"]


def build(spec: Spec, config: Config, width: int) -> Branch:
    """Build the encoder as a nested model ``<name>_branch``: ``<name>_encoder`` (BERT), then a projection.

    With ``frozen`` the encoder is not trainable and has no dropout; the projection still learns.

    Returns:
        Inputs ``<name>_token_ids`` and ``<name>_padding_mask`` int32 (B, max_length); tokens (B, max_length, width)
        with the padding mask.

    Raises:
        ConfigError: the preset can't be loaded or doesn't fit the spec's vocabulary or length.
        DataError: a local preset would run code or reaches out of its folder.
    """
    dropout = 0.0 if config.frozen else config.dropout
    # The scope gives every variable a path below <name>_branch, by which learning rates are chosen.
    with keras.name_scope(f"{spec.name}_branch"):
        return _branch(spec, dataclasses.replace(config, dropout=dropout), width)


def _branch(spec: Spec, config: Config, width: int) -> Branch:
    encoder = _encoder(spec, config)
    encoder.trainable = not config.frozen

    # === Branch model ===
    token_ids = keras.Input((spec.max_length,), dtype="int32", name="token_ids")
    padding_mask = keras.Input((spec.max_length,), dtype="int32", name="padding_mask")
    encoded = encoder(
        {
            "token_ids": token_ids,
            "padding_mask": padding_mask,
            "segment_ids": keras.ops.zeros_like(token_ids),
        }
    )
    projected = keras.layers.Dense(width, name="projection")(encoded)
    branch = keras.Model({"token_ids": token_ids, "padding_mask": padding_mask}, projected, name=f"{spec.name}_branch")

    # === Functional model ===
    inputs = {tensor.name: keras.Input(tensor.shape, dtype=tensor.dtype, name=tensor.name) for tensor in spec.tensors}
    ids, mask = inputs.values()
    return Branch(inputs, Tokens(branch({"token_ids": ids, "padding_mask": mask}), mask))


def _encoder(spec: Spec, config: Config) -> keras.Model:
    """Return BERT up to its sequence output; the pooled output would be a layer that never learns."""
    backbone = _from_preset(config) if config.preset else _from_scratch(spec, config)
    if backbone.max_sequence_length < spec.max_length:
        raise ConfigError(
            f"max_length is {spec.max_length}, but the preset {config.preset!r} reads at most "
            f"{backbone.max_sequence_length} tokens. Lower max_length."
        )
    if backbone.vocabulary_size < len(spec.vocabulary):
        raise ConfigError(
            f"The vocabulary has {len(spec.vocabulary)} tokens, but the preset {config.preset!r} embeds "
            f"{backbone.vocabulary_size}. Leave `vocabulary` empty to take the preset's own."
        )
    return keras.Model(backbone.input, backbone.output["sequence_output"], name=f"{spec.name}_encoder")


def _from_scratch(spec: Spec, config: Config) -> Any:
    return keras_nlp.models.BertBackbone(
        vocabulary_size=len(spec.vocabulary),
        num_layers=config.layers,
        num_heads=config.heads,
        hidden_dim=config.hidden,
        intermediate_dim=config.intermediate,
        dropout=config.dropout,
        max_sequence_length=spec.max_length,
    )


def _from_preset(config: Config) -> Any:
    path = preset_path(config.preset)
    if Path(path).is_dir():
        check_preset(path)
    try:
        return keras_nlp.models.BertBackbone.from_preset(path, dropout=config.dropout)
    except Exception as error:  # keras_nlp raises whatever its downloaders and parsers raise.
        raise ConfigError(
            f"The text preset {config.preset!r} can't be loaded: {error}. Expected a BERT preset name of "
            "keras_nlp (with access to its hub), or a local folder with config.json and weights in Keras or "
            "Hugging Face layout (which also needs the safetensors package)."
        ) from error
