"""Builds one functional Keras model of branches, fusion and head."""

from __future__ import annotations

import contextlib
import functools
from typing import Any

import keras
from keras import layers, ops

from mmkeras.core.components import check_options, find
from mmkeras.core.config import ModelConfig
from mmkeras.core.errors import ConfigError
from mmkeras.core.modalities import branches, declared_modalities, modality_configs
from mmkeras.fusion._contract import fusion_of
from mmkeras.layers.keras_settings import check_keras
from mmkeras.layers.tokens import Branch, Encoded, KeepsScores, Tokens
from mmkeras.modalities import ModalitySpec, specs_of
from mmkeras.model.modules import branch_of, head_of
from mmkeras.model.shared import read_again
from mmkeras.tasks import TaskSpec
from mmkeras.tasks._moves import check_moves

__all__ = [
    "NullToken",
    "attention_model",
    "build_model",
    "check_model",
    "learning_rate_factors",
    "modality_specs",
    "specs_before_data",
    "task_config",
    "task_spec",
]


@keras.saving.register_keras_serializable("mmkeras")
class NullToken(layers.Layer):
    """Replaces the tokens of a missing modality by one learned token.

    Inputs: values float (B, N, D), valid int32 (B, N), present float (B,). (Keras reserves the name ``mask``.)
    Where ``present`` is 0, the values (even NaN) do not change the result, and the mask is 1 for the first token alone.
    The mask of a map is 1 for all cells, because dense tasks predict for every cell.

    Args:
        keep_cells: whether the tokens are a map.
    """

    def __init__(self, keep_cells: bool = False, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.keep_cells = keep_cells

    def build(self, values_shape: Any, valid_shape: Any, present_shape: Any) -> None:
        """Create the token, shape (1, 1, D)."""
        self.token = self.add_weight(
            shape=(1, 1, values_shape[-1]),
            initializer=keras.initializers.RandomNormal(stddev=0.02),
            name="token",
        )

    def call(self, values: Any, valid: Any, present: Any) -> tuple[Any, Any]:
        """Return values and mask, with the null token where the modality is missing."""
        row = ops.reshape(ops.greater(present, 0.5), (-1, 1))
        values = ops.where(ops.expand_dims(row, -1), values, ops.cast(self.token, values.dtype))
        if self.keep_cells:
            return values, ops.ones_like(valid)
        first = ops.cast(ops.equal(ops.cumsum(ops.ones_like(valid), axis=1), 1), valid.dtype)
        return values, ops.where(row, valid, first)

    def get_config(self) -> dict[str, Any]:
        """Return the constructor's arguments."""
        return {**super().get_config(), "keep_cells": self.keep_cells}


def modality_specs(config: ModelConfig) -> dict[str, ModalitySpec]:
    """Return the specs of a model's modalities by name.

    Raises:
        ConfigError: the model has no modality, or a spec needs facts of the data (a vocabulary that is not trained).
    """
    return _specs(config, before_data=False)


def specs_before_data(config: ModelConfig) -> dict[str, ModalitySpec]:
    """Return the specs of a model's modalities as far as they are known without data, for the conversion.

    Raises:
        ConfigError: the model has no modality, or a spec needs facts of the data.
    """
    return _specs(config, before_data=True)


def _specs(config: ModelConfig, before_data: bool) -> dict[str, ModalitySpec]:
    built = modality_configs(config)
    if not built:
        raise ConfigError(
            f"{type(config).__name__} has no modality. Name one in the configuration, such as [model.image] with "
            'kind = "image", or give the class a field such as `image: image.Config`'
        )
    # A spec may derive from a modality that the model is built without: a radar alone still has the camera's size.
    every = declared_modalities(config)
    early = specs_of({name: each for name, each in every.items() if name not in built}, before_data=True)
    specs = specs_of({name: early.get(name, each) for name, each in every.items()}, before_data=before_data)
    found = {name: specs[name] for name in built}
    owners: dict[str, str] = {}
    for name, spec in found.items():
        # Modalities called ``left`` and ``left_present`` would both have a tensor ``left_present``.
        for tensor in (*spec.tensors, spec.present):
            if (other := owners.setdefault(tensor.name, name)) != name:
                raise ConfigError(f"model.{name}: {other} has an input {tensor.name!r}, too; give one another name")
    return found


def task_config(config: ModelConfig) -> Any:
    """Return the task's own configuration object with checked options.

    Raises:
        ConfigError: unknown task, unknown options or wrong types.
    """
    own = find("tasks", config.task.name, "spec").Config
    check_options(own, config.task.options, "model.task.options")
    options = {k: tuple(v) if isinstance(v, list) else v for k, v in config.task.options.items()}
    return own(**options)


def task_spec(config: ModelConfig) -> TaskSpec:
    """Return the task's spec, derived from those of the modalities."""
    spec: TaskSpec = task_config(config).spec(specs_before_data(config))
    return spec


def check_model(config: ModelConfig) -> None:
    """Check the model's configuration before the data is converted.

    Checks the names and options of fusion and task, and that every modality and target supports the augmentation.

    Raises:
        ConfigError: an unknown name or option, or modalities and targets that cannot be augmented together.
    """
    check_options(fusion_of(config.fusion.name).fuse, config.fusion.options, "model.fusion.options")
    own, specs = task_config(config), specs_before_data(config)
    task: TaskSpec | None = None
    with contextlib.suppress(ConfigError):  # needs facts of the data, such as labels
        task = own.spec(specs)
    check_moves(specs, modality_configs(config), task, config.task.name)


def build_model(config: ModelConfig) -> keras.Model:
    """Build the functional model that a configuration describes.

    Args:
        config: modalities, fusion and task, with resolved vocabulary and labels.

    Returns:
        A model from a dict of tensors (each modality's tensors and ``<name>_present`` (B,)) to a dict of outputs.

    Raises:
        ConfigError: an unsuitable name, option or value, or a Keras backend other than TensorFlow.
    """
    check_keras()
    keras.config.set_image_data_format("channels_last")
    specs = modality_specs(config)
    fusion = fusion_of(config.fusion.name)
    check_options(fusion.fuse, config.fusion.options, "model.fusion.options")
    head = head_of(config.task.name)
    task = task_config(config)

    configs = modality_configs(config)
    owners = {name: owner for owner, group in branches(config).items() for name in group}

    @functools.cache
    def built(name: str) -> Branch:
        owner = owners[name]
        if name != owner:
            return read_again(built(owner), specs[owner], specs[name])
        return branch_of(specs[name].kind).build(specs[name], configs[name], config.width)

    inputs: dict[str, Any] = {}
    tokens: dict[str, Tokens] = {}
    for name, spec in specs.items():
        branch = built(name)
        present = keras.Input((), dtype=spec.present.dtype, name=spec.present.name)
        inputs |= {**branch.inputs, spec.present.name: present}
        tokens[name] = _or_null(name, branch.tokens, present)
    encoded = Encoded(tokens, fusion.fuse(tokens, **config.fusion.options), config.fusion.name)
    return keras.Model(inputs, head.build(encoded, task_spec(config), task), name="mmkeras")


def _or_null(name: str, tokens: Tokens, present: Any) -> Tokens:
    """Return the tokens, with the null token and measurements of 0 where the modality is missing."""
    null = NullToken(tokens.grid is not None, name=f"{name}_null_token")
    values, mask = null(tokens.values, tokens.mask, present)
    there = ops.reshape(ops.greater(present, 0.5), (-1, 1, 1))
    measured = None if tokens.measured is None else ops.where(there, tokens.measured, 0.0)
    position = tokens.position
    if position is not None and tokens.grid is None:
        position = ops.where(there, position, -1.0)
    return Tokens(values, mask, position, measured, tokens.grid, (name,))


def learning_rate_factors(config: ModelConfig) -> dict[str, float]:
    """Return the learning-rate factor by branch layer, for branches whose factor is not 1."""
    configs = modality_configs(config)
    return {
        f"{name}_branch": configs[name].learning_rate_factor
        for name in branches(config)
        if configs[name].learning_rate_factor != 1.0
    }


def attention_model(model: keras.Model) -> keras.Model | None:
    """Return a model from the same inputs to attention weights float (B, heads, queries, keys) by layer name.

    Returns:
        The model, or None if no layer computes attention.
    """
    scores = {
        layer.name: layer.output[1]
        for layer in model.layers
        if (isinstance(layer, layers.MultiHeadAttention) and isinstance(layer.output, list | tuple))
        or isinstance(layer, KeepsScores)
    }
    return keras.Model(model.inputs, scores, name="attention") if scores else None
