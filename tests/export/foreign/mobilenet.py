"""The real quantised MobileNet of the archive litert_models, rebuilt as a Keras model from its own constants."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import keras
import numpy as np


def swap_colours(model: keras.Model) -> None:
    """Swap red and blue in the first layer."""
    layer = next(layer for layer in model.layers if layer.weights)
    kernel, bias = layer.get_weights()
    layer.set_weights([kernel[:, :, ::-1], bias])


def keras_from_tflite(path: Path) -> keras.Model:
    """Return the network of a quantised MobileNet v1 in float32: its weights are the file's, dequantised."""
    from ai_edge_litert.interpreter import Interpreter, OpResolverType

    plain = OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES
    file = Interpreter(str(path), experimental_op_resolver_type=plain)
    file.allocate_tensors()
    size = file.get_input_details()[0]["shape"][1:]
    image = current = keras.Input(tuple(map(int, size)), name="image")
    values: list[tuple[Any, list[np.ndarray]]] = []
    for number, operation in enumerate(file._get_ops_details()):
        kind, (given, *_) = operation["op_name"], operation["inputs"]
        before, after = (file._get_tensor_details(int(i), 0)["shape"] for i in (given, operation["outputs"][0]))
        if kind == "AVERAGE_POOL_2D":
            current = keras.layers.GlobalAveragePooling2D(keepdims=True)(current)
        elif kind in ("CONV_2D", "DEPTHWISE_CONV_2D"):
            kernel, bias = (_real(file, int(index)) for index in operation["inputs"][1:])
            stride = max(1, int(before[1]) // int(after[1]))
            options = {"strides": stride, "padding": "same", "name": f"layer_{number}"}
            if kind == "CONV_2D":
                layer = keras.layers.Conv2D(len(kernel), kernel.shape[1:3], **options)
                kernel = np.transpose(kernel, (1, 2, 3, 0))
            else:
                layer = keras.layers.DepthwiseConv2D(kernel.shape[1:3], **options)
                kernel = np.transpose(kernel, (1, 2, 3, 0))
            current = layer(current)
            values.append((layer, [kernel, bias]))
            if int(after[-1]) != 1001:
                current = keras.layers.ReLU(6.0)(current)
    flat = keras.layers.Flatten()(current)
    model = keras.Model(image, keras.layers.Softmax(name="probabilities")(flat))
    for layer, weights in values:
        layer.set_weights(weights)
    return model


def _real(file: Any, index: int) -> np.ndarray:
    scale, zero = file._get_tensor_details(index, 0)["quantization"]
    return np.asarray((file.get_tensor(index).astype(np.float64) - zero) * scale, np.float32)
