"""Opens SavedModels and ``.keras`` files with TensorFlow."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from export.foreign.model import Model, Tensor
from export.to_saved_model.endpoints import TENSOR_ENDPOINT
from mmkeras.core.errors import ConfigError, DataError, nearest

__all__ = ["KerasModel", "SavedModel"]


class SavedModel(Model):
    """One signature of a SavedModel."""

    def __init__(self, path: Path, signature: str = "") -> None:
        """Load it.

        Raises:
            ConfigError: no such signature, or several and none is ``serving_default``.
            DataError: it cannot be loaded.
        """
        super().__init__(path, "saved_model")
        import tensorflow as tf

        with contextlib.suppress(ImportError):
            import tensorflow_text  # noqa: F401  # registers the operations of its tokenizers
        try:
            self._loaded = tf.saved_model.load(str(path))
        except Exception as error:  # TensorFlow raises nearly anything on a damaged graph
            raise DataError(f"{path}: cannot be loaded as a SavedModel: {_short(error)}") from error
        self._name = self._chosen(signature)
        endpoint = self._loaded.signatures[self._name]
        self.inputs = tuple(_tensor(name, spec) for name, spec in endpoint.structured_input_signature[1].items())
        shapes = [spec.shape for spec in endpoint.structured_input_signature[1].values()]
        self.batch = shapes[0][0] if shapes and shapes[0].rank else None
        self.notes.append(f"signature {self._name!r}")

    def _chosen(self, wanted: str) -> str:
        names = sorted(self._loaded.signatures)
        if wanted:
            if wanted not in names:
                raise ConfigError(f"--signature: {self.path} has no {wanted!r}; {nearest(wanted, names)}")
            return wanted
        if not names:
            raise DataError(
                f"{self.path}: a SavedModel without signatures. Save it with tf.saved_model.save(..., signatures=...) "
                "or with model.export()"
            )
        # Bundles of this project have an endpoint of raw bytes as serving_default, which is not what is compared here.
        for name in (TENSOR_ENDPOINT, "serving_default"):
            if name in names:
                return name
        if len(names) > 1:
            raise ConfigError(f"{self.path} has several signatures; choose one with --signature: {', '.join(names)}")
        return names[0]

    def run(self, inputs: dict[str, np.ndarray]) -> Mapping[str, Any]:
        """Run a batch."""
        import tensorflow as tf

        # Through `_loaded`, which has to stay alive: a signature alone does not keep its variables.
        endpoint = self._loaded.signatures[self._name]
        try:
            found = endpoint(**{name: tf.constant(value) for name, value in inputs.items()})
        except Exception as error:
            raise DataError(f"{self.path}: TensorFlow failed on these inputs: {_short(error)}") from error
        return {name: value.numpy() for name, value in found.items()}


class KerasModel(Model):
    """A ``.keras`` file, loaded in safe mode: no code in it is run."""

    def __init__(self, path: Path) -> None:
        """Load it.

        Raises:
            DataError: it is damaged, holds code, or is a model without known inputs.
        """
        super().__init__(path, "keras")
        import tensorflow as tf

        from mmkeras.layers.keras_files import load_model

        self._model = load_model(path)
        if not getattr(self._model, "inputs", None):
            raise DataError(f"{path}: a Keras model without known inputs: call it once on data before it is saved")
        structure = self._model.input
        self._names = list(structure) if isinstance(structure, dict) else [each.name for each in self._model.inputs]
        tensors = [structure[name] for name in self._names] if isinstance(structure, dict) else self._model.inputs
        self.inputs = tuple(_tensor(name, each) for name, each in zip(self._names, tensors, strict=True))
        self.batch = tensors[0].shape[0]
        kinds = {type(layer).__name__ for layer in self._model._flatten_layers(include_self=False)}
        self.rescales = bool(kinds & {"Rescaling", "Normalization"})
        self._call = tf.function(lambda inputs: self._model(inputs, training=False), reduce_retracing=True)
        self._as_dict, self._alone = isinstance(structure, dict), not isinstance(structure, dict | list | tuple)

    def run(self, inputs: dict[str, np.ndarray]) -> Mapping[str, Any]:
        """Run a batch."""
        import tensorflow as tf

        tensors = {name: tf.constant(inputs[name]) for name in self._names}
        given: Any = tensors if self._as_dict else list(tensors.values())
        try:
            found = self._call(given[0] if self._alone else given)
        except Exception as error:
            raise DataError(f"{self.path}: Keras failed on these inputs: {_short(error)}") from error
        if isinstance(found, dict):
            return {name: value.numpy() for name, value in found.items()}
        several = found if isinstance(found, list | tuple) else [found]
        return {name: value.numpy() for name, value in zip(self._model.output_names, several, strict=True)}


def _tensor(name: str, spec: Any) -> Tensor:
    dtype = spec.dtype if isinstance(spec.dtype, str) else spec.dtype.name
    return Tensor(name, tuple(spec.shape[1:]), dtype)


def _short(error: BaseException) -> str:
    return " ".join(str(error).split())[:300]
