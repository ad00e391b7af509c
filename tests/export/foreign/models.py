"""Tiny models of one network in the formats of several tools, with faults on request.

The network: a convolution, an average pool, a dense layer and a softmax on a picture of 16 x 16 pixels. The Keras model
reads NHWC on 0..1; the ONNX file reads NCHW, as PyTorch's exporter writes it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import keras
import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

CLASSES = ("blue", "green", "red")


def keras_model() -> keras.Model:
    image = keras.Input((16, 16, 3), name="image")
    maps = keras.layers.Conv2D(
        4, 3, padding="same", activation="relu", kernel_initializer=keras.initializers.GlorotUniform(1), name="conv"
    )(image)
    pooled = keras.layers.Flatten()(keras.layers.AveragePooling2D(4)(maps))
    init = keras.initializers.RandomNormal(stddev=2.0, seed=2)
    logits = keras.layers.Dense(3, kernel_initializer=init, name="dense")(pooled)
    model = keras.Model(image, keras.layers.Softmax(name="probabilities")(logits))
    # Zero-mean decisions: otherwise one class wins on every picture.
    kernel = model.get_layer("dense").get_weights()[0]
    model.get_layer("dense").set_weights([kernel - kernel.mean(axis=0), np.zeros(3)])
    return model


def onnx_file(path: Path, model: keras.Model, **faults: Any) -> Path:
    """Write the network as ONNX.

    Faults: ``bgr``, ``reshaped`` (for transposed), ``scale`` and ``shift`` of the input, ``logits``, ``order`` of the
    classes, ``weight`` added to one weight, ``nan``, ``constant``, ``background`` class, ``times`` the output,
    ``twice``: a second output before the first. ``quantised_by`` and ``restored_by``: scales of a QuantizeLinear and
    a DequantizeLinear after the softmax. ``sides``: names for height and width.
    """
    conv, bias = model.get_layer("conv").get_weights()
    dense, offset = model.get_layer("dense").get_weights()
    conv = conv.copy()
    if faults.get("bgr"):
        conv = conv[:, :, ::-1]
    conv[0, 0, 0, 0] += faults.get("weight", 0.0)
    order = list(faults.get("order", (0, 1, 2)))
    dense, offset = dense[:, order], offset[order]
    if faults.get("background"):
        dense = np.concatenate([np.zeros((len(dense), 1), np.float32), dense], axis=1)
        offset = np.concatenate([[-30.0], offset])
    if faults.get("nan"):
        offset = offset * np.nan
    if faults.get("constant"):
        dense = dense * 0
    weights = {"w": np.transpose(conv, (3, 2, 0, 1)), "b": bias, "d": dense, "o": offset}
    node, nodes, current = helper.make_node, [], "image"
    if "scale" in faults or "shift" in faults:
        weights |= {"scale": np.array(faults.get("scale", 1.0)), "shift": np.array(faults.get("shift", 0.0))}
        nodes += [node("Mul", [current, "scale"], ["scaled"]), node("Add", ["scaled", "shift"], ["shifted"])]
        current = "shifted"
    if faults.get("reshaped"):
        nodes += [
            node("Reshape", [current, "nhwc"], ["rows"]),
            node("Transpose", ["rows"], ["back"], perm=[0, 3, 1, 2]),
        ]
        current = "back"
    nodes += [
        node("Conv", [current, "w", "b"], ["conv"], pads=[1, 1, 1, 1]),
        node("Relu", ["conv"], ["relu"]),
        node("AveragePool", ["relu"], ["pooled"], kernel_shape=[4, 4], strides=[4, 4]),
        node("Transpose", ["pooled"], ["channels_last"], perm=[0, 2, 3, 1]),
        node("Flatten", ["channels_last"], ["flat"]),
        node("Gemm", ["flat", "d", "o"], ["logits"]),
        node("Softmax", ["logits"], ["softmax"], axis=1),
    ]
    result = "logits" if faults.get("logits") else "softmax"
    if "quantised_by" in faults:
        weights |= {name: np.array(faults[name]) for name in ("quantised_by", "restored_by")}
        nodes += [node("QuantizeLinear", [result, "quantised_by", "zero"], ["q"])]
        nodes += [node("DequantizeLinear", ["q", "restored_by", "zero"], ["dq"])]
        result = "dq"
    nodes.append(node("Mul", [result, "times"], ["probabilities"]))
    weights["times"] = np.array(faults.get("times", 1.0))
    arrays = [numpy_helper.from_array(np.asarray(value, np.float32), name) for name, value in weights.items()]
    arrays.append(numpy_helper.from_array(np.array([-1, 16, 16, 3], np.int64), "nhwc"))
    arrays.append(numpy_helper.from_array(np.array(0, np.int8), "zero"))
    outputs = ["probabilities"]
    if faults.get("twice"):
        nodes.append(node("Add", ["probabilities", "probabilities"], ["double"]))
        outputs = ["double", "probabilities"]
    graph = helper.make_graph(
        nodes,
        "net",
        [helper.make_tensor_value_info("image", TensorProto.FLOAT, ["N", 3, *faults.get("sides", (16, 16))])],
        [helper.make_tensor_value_info(name, TensorProto.FLOAT, ["N", dense.shape[1]]) for name in outputs],
        arrays,
    )
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9), str(path))
    return path


def rows_onnx(path: Path, outputs: Sequence[str], expression: Callable[[], list[Any]], inputs: dict[str, int]) -> Path:
    """Write an ONNX file of inputs (N, size) by name, from nodes."""
    graph = helper.make_graph(
        expression(),
        "rows",
        [helper.make_tensor_value_info(name, TensorProto.FLOAT, ["N", size]) for name, size in inputs.items()],
        [helper.make_tensor_value_info(name, TensorProto.FLOAT, None) for name in outputs],
    )
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9), str(path))
    return path


def tflite_file(path: Path, model: keras.Model, pictures: np.ndarray | None = None) -> Path:
    """Convert with TensorFlow: float32, or uint8 in and out with pictures (N, 16, 16, 3) on 0..1 to calibrate on."""
    import tensorflow as tf

    archive = keras.export.ExportArchive()
    archive.track(model)
    spec = [tf.TensorSpec((1, 16, 16, 3), tf.float32, name="image")]
    archive.add_endpoint("serve", lambda image: {"probabilities": model(image)}, spec)
    folder = path.with_suffix("")
    archive.write_out(str(folder), verbose=False)
    converter = tf.lite.TFLiteConverter.from_saved_model(str(folder))
    if pictures is not None:
        converter.optimizations = [tf.lite.Optimize.DEFAULT]
        converter.representative_dataset = lambda: ({"image": each[None]} for each in pictures)
        converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS_INT8]
        converter.inference_input_type = converter.inference_output_type = tf.uint8
    path.write_bytes(converter.convert())
    return path
