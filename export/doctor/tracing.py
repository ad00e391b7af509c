"""From a Keras model to a SavedModel without variables, with static batch 1: what the LiteRT converter is given.

An export writes the whole Keras model, which takes longer than the conversion; the operations that come out of the
converter are the same.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import keras

__all__ = ["output_makers", "save_frozen"]


def save_frozen(model: keras.Model, folder: Path) -> None:
    """Trace a model and write it with its weights as constants; inputs keep their names.

    Args:
        model: functional, with a dict of inputs and a dict of outputs.
        folder: of the SavedModel.
    """
    import tensorflow as tf
    from tensorflow.python.framework.convert_to_constants import convert_variables_to_constants_v2

    names = [tensor.name for tensor in model.inputs]

    def forward(*tensors: Any) -> dict[str, Any]:
        return dict(model(dict(zip(names, tensors, strict=True)), training=False))

    signature = [tf.TensorSpec((1, *i.shape[1:]), i.dtype, name=i.name) for i in model.inputs]
    traced = tf.function(forward, autograph=False, input_signature=signature).get_concrete_function()
    tf.saved_model.save(tf.Module(), str(folder), signatures=convert_variables_to_constants_v2(traced))


def output_makers(model: keras.Model) -> dict[str, str]:
    """Return the path of the layer that makes each output of what `save_frozen` wrote, by the output's name there.

    The converter names the operation before an output after that output, and not after its layer.
    """
    from keras.src.models import Functional

    found = {}
    # A function without variables has lost the names; the order is that of the sorted ones.
    for index, name in enumerate(sorted(model.output)):
        tensor, path = model.output[name], []
        while True:
            history = tensor._keras_history
            path.append(history.operation.name)
            if not isinstance(history.operation, Functional):
                break
            tensor = history.operation.outputs[history.tensor_index]
        found[f"output_{index}"] = "/".join(path)
    return found
