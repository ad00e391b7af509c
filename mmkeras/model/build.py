"""Puts branches, fusion and head together into one functional Keras model."""

from __future__ import annotations

import contextlib
from typing import Any

import keras
from keras import layers, ops

from mmkeras.core.components import check_options, find
from mmkeras.core.config import ModelConfig, declared_modalities, modality_configs
from mmkeras.core.errors import ConfigError
from mmkeras.core.sharing import branches
from mmkeras.fusion._contract import fusion_of
from mmkeras.layers.keras_settings import check_keras
from mmkeras.layers.tokens import Branch, Encoded, KeepsScores, Tokens
from mmkeras.modalities import ModalitySpec, specs_of
from mmkeras.model.modules import head_of
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
    Where ``present`` is 0 the values have no influence on the result, whatever they hold, NaN included, and the mask
    is 1 for the first token alone; a map keeps all its cells, because dense tasks ask each of them.

    Args:
        keep_cells: the tokens are a map.
    """

    def __init__(self, keep_cells: bool = False, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.keep_cells = keep_cells

    def build(self, values_shape: Any, valid_shape: Any, present_shape: Any) -> None:
        """Create the token, shape (1, 1, D)."""
        del valid_shape, present_shape
        self.token = self.add_weight(
            shape=(1, 1, values_shape[-1]),
            initializer=keras.initializers.RandomNormal(stddev=0.02),
            name="token",
        )

    def call(self, values: Any, valid: Any, present: Any) -> tuple[Any, Any]:
        """Return values and mask with the null token put in where the modality is missing."""
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
        ConfigError: the model has no modality, or a modality cannot be specified yet (a vocabulary not trained).
    """
    return _specs(config, before_data=False)


def specs_before_data(config: ModelConfig) -> dict[str, ModalitySpec]:
    """Return the specs of a model's modalities as far as they are known without data, for its conversion.

    Raises:
        ConfigError: the model has no modality, or one that cannot be specified.
    """
    return _specs(config, before_data=True)


def _specs(config: ModelConfig, before_data: bool) -> dict[str, ModalitySpec]:
    built = modality_configs(config)
    if not built:
        raise ConfigError(
            f"{type(config).__name__} has no modality. Name one in the configuration, such as [model.image] with "
            'kind = "image", or give the class a field such as `image: image.Config`'
        )
    # The others may derive from a modality that the model is built without: a radar alone still has the camera's size.
    every = declared_modalities(config)
    early = specs_of({name: each for name, each in every.items() if name not in built}, before_data=True)
    specs = specs_of({name: early.get(name, each) for name, each in every.items()}, before_data=before_data)
    found = {name: specs[name] for name in built}
    _check_names(found)
    return found


def _check_names(specs: dict[str, ModalitySpec]) -> None:
    """Check that no two modalities have a tensor of one name, as ``left`` and ``left_present`` may have."""
    owners: dict[str, str] = {}
    for name, spec in specs.items():
        for tensor in (*spec.tensors, spec.present):
            if (other := owners.setdefault(tensor.name, name)) != name:
                raise ConfigError(f"model.{name}: {other} has an input {tensor.name!r}, too; give one another name")


def task_config(config: ModelConfig) -> Any:
    """Return the task's own configuration object, its options checked.

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
    """Check, before the data is converted, what a configuration says of the model.

    These are the names and options of fusion and task, and that whole samples can follow the augmentation.

    Raises:
        ConfigError: an unknown name or option, or the modalities and targets that cannot follow.
    """
    check_options(fusion_of(config.fusion.name).fuse, config.fusion.options, "model.fusion.options")
    own, specs = task_config(config), specs_before_data(config)
    task: TaskSpec | None = None
    with contextlib.suppress(ConfigError):  # such as labels that only the data knows
        task = own.spec(specs)
    check_moves(specs, modality_configs(config), task, config.task.name)


def build_model(config: ModelConfig) -> keras.Model:
    """Build the functional model that a configuration describes.

    Args:
        config: modalities, fusion and task; vocabulary and labels already resolved.

    Returns:
        A model from a dict of tensors (each modality's tensors and ``<name>_present`` (B,)) to a dict of outputs.

    Raises:
        ConfigError: a name, option or value that does not fit, or another backend than TensorFlow.
    """
    check_keras()
    keras.config.set_image_data_format("channels_last")
    specs = modality_specs(config)
    fusion = fusion_of(config.fusion.name)
    check_options(fusion.fuse, config.fusion.options, "model.fusion.options")
    head = head_of(config.task.name)
    task = task_config(config)

    inputs: dict[str, Any] = {}
    tokens: dict[str, Tokens] = {}
    read = _Branches(config, specs)
    for name, spec in specs.items():
        branch = read[name]
        present = keras.Input((), dtype=spec.present.dtype, name=spec.present.name)
        inputs |= {**branch.inputs, spec.present.name: present}
        tokens[name] = _or_null(name, branch.tokens, present)
    encoded = Encoded(tokens, fusion.fuse(tokens, **config.fusion.options), config.fusion.name)
    return keras.Model(inputs, head.build(encoded, task_spec(config), task), name="mmkeras")


class _Branches(dict[str, Branch]):
    """The branch of each modality, built when it is asked for; modalities that share weights have the layers of one."""

    def __init__(self, config: ModelConfig, specs: dict[str, ModalitySpec]) -> None:
        super().__init__()
        self._width, self._specs, self._configs = config.width, specs, modality_configs(config)
        self._built = {name: first for first, group in branches(config).items() for name in group}

    def __missing__(self, name: str) -> Branch:
        spec, first = self._specs[name], self._built[name]
        if name != first:
            self[name] = read_again(self[first], self._specs[first], spec)
        else:
            self[name] = find("modalities", spec.kind, "branch").build(spec, self._configs[name], self._width)
        return self[name]


def _or_null(name: str, tokens: Tokens, present: Any) -> Tokens:
    """Put the null token in where the modality is missing; its measurements become 0."""
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
    """Return a model with the same inputs whose outputs are attention weights by layer name.

    Returns:
        A model to a dict of float (B, heads, queries, keys), or None where the fusion does not attend.
    """
    scores = {
        layer.name: layer.output[1]
        for layer in model.layers
        if (isinstance(layer, layers.MultiHeadAttention) and isinstance(layer.output, list | tuple))
        or isinstance(layer, KeepsScores)
    }
    return keras.Model(model.inputs, scores, name="attention") if scores else None
