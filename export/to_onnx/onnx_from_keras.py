"""ONNX from Keras: opset 17 (the largest that TensorRT 8.6 accepts), a named batch dimension, the model's inputs.

int8-dynamic quantises the weights of MatMul, Gemm and Gather (embeddings) per channel, and activations at run time.
Weights below `SMALL` elements stay float32. Convolutions stay float32 too: on a CPU, ONNX Runtime's ConvInteger is far
slower than the float convolution. The file of a convolutional model is therefore larger than LiteRT's.

int8 is the static QDQ form that TensorRT compiles, int8-weights has float activations: see `export.to_onnx.int8`.
float16 has float32 islands: see `export.to_onnx.float16`.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from export.formats import Format, Job
from export.quantization.costs import Costs
from export.source import Source
from export.to_onnx.float16 import Float16Quantizer
from export.to_onnx.int8 import OnnxQuantizer, weights_only
from export.to_onnx.pairs import SMALL
from export.verification.constants.onnx_constants import onnx_constants
from export.verification.scenarios import ScenarioInputs, scenarios
from mmkeras.core.errors import ExportError, require

if TYPE_CHECKING:
    import keras

__all__ = ["FORMAT", "OPSET", "check", "convert", "erfc_handler", "float32", "float32_graph", "quiet"]

OPSET = 17
ISLAND_SAMPLES = 32
"""Samples, in each scenario, on which float16's islands are measured."""
BATCH = "batch"
"""Name of the dynamic dimension."""


def convert(job: Job, precision: str, path: Path) -> Costs | None:
    """Write one ONNX file; return the costs where a search chose the layers that stay in float32.

    Raises:
        ExportError: an operation has no ONNX form, or the file is not valid or has other inputs than the model.
        DependencyError: tf2onnx, onnx or onnxruntime is missing.
    """
    onnx = require("onnx", "export")
    base = float32(job)
    costs = None
    with quiet():
        if precision == "int8":
            quantizer = OnnxQuantizer(base, job.calibration.inputs, job.work)
            costs = job.search(quantizer, FORMAT.name, precision, path)
        elif precision == "float16":
            halves = Float16Quantizer(base, _samples(job.source), job.work)
            try:
                costs = job.search(halves, FORMAT.name, precision, path)
            except ExportError:
                # There are no samples to search with, or no choice holds the limits: the verification decides.
                halves.write(path)
        else:
            WRITERS[precision](base, path)
    check(onnx.load(path), job.source.model)
    return costs


def float32(job: Job) -> Path:
    """Return the float32 file of a job, written on first use."""
    path = job.work / "float32.onnx"
    if not path.exists():
        with quiet():
            proto = float32_graph(job.source.model)
        check(proto, job.source.model)
        require("onnx", "export").save(proto, path)
    return path


def check(proto: Any, model: keras.Model) -> None:
    """Run the ONNX checker and compare the graph's inputs and outputs with the model's: names, order, types and shapes.

    Raises:
        ExportError: the file is not valid, or its inputs or outputs are not the model's.
    """
    onnx = require("onnx", "export")
    try:
        onnx.checker.check_model(proto, full_check=True)
    except (onnx.checker.ValidationError, onnx.shape_inference.InferenceError) as error:
        raise ExportError(f"onnx.checker refuses the file: {str(error).splitlines()[0]}") from error
    for kind, values, expected in (
        ("inputs", proto.graph.input, {i.name: i for i in model.inputs}),
        ("outputs", proto.graph.output, _outputs(model)),
    ):
        want = [(name, t.dtype, [BATCH, *t.shape[1:]]) for name, t in expected.items()]
        got = []
        for value in values:
            tensor = value.type.tensor_type
            dtype = str(onnx.helper.tensor_dtype_to_np_dtype(tensor.elem_type))
            got.append((value.name, dtype, [d.dim_param or d.dim_value for d in tensor.shape.dim]))
        if kind == "outputs":
            want, got = sorted(want), sorted(got)
        if want != got:
            raise ExportError(f"The ONNX graph's {kind} are not the model's: expected {want}, got {got}.")


def erfc_handler(ctx: Any, node: Any, name: str, args: Any) -> None:
    """Write Erfc, which exact gelu uses and ONNX lacks, as 1 - Erf; for tf2onnx's ``custom_op_handlers``."""
    del args
    node.type = "Erf"
    one = ctx.make_const(f"{name}_one", np.array(1.0, np.float32))
    difference = ctx.insert_new_node_on_output("Sub", node.output[0], name=f"{name}_complement")
    ctx.replace_inputs(difference, [one.output[0], node.output[0]])


def float32_graph(model: keras.Model) -> Any:
    """Convert a functional model to a float32 graph of opset `OPSET` with its inputs in order and any batch size."""
    import tensorflow as tf

    tf2onnx = require("tf2onnx", "export")
    require("tf2onnx.convert", "export")
    names = [i.name for i in model.inputs]

    def forward(*tensors: Any) -> dict[str, Any]:
        return dict(model(dict(zip(names, tensors, strict=True)), training=False))

    # Positional specs keep the order of the inputs; a dict would sort them.
    signature = [tf.TensorSpec((None, *i.shape[1:]), i.dtype, name=i.name) for i in model.inputs]
    with _constants_as_numpy(model):
        proto, _ = tf2onnx.convert.from_function(
            tf.function(forward, autograph=False),
            input_signature=signature,
            opset=OPSET,
            custom_op_handlers={"Erfc": (erfc_handler, [])},
        )
    # Shapes of inner values have names such as unk__12; checker and runtime infer these shapes again.
    del proto.graph.value_info[:]
    shapes = {name: tensor.shape for name, tensor in (*zip(names, model.inputs, strict=True), *_outputs(model).items())}
    for value in (*proto.graph.input, *proto.graph.output):
        dims = value.type.tensor_type.shape.dim
        # Some operations, such as slices, lose sizes that the model has; the verification checks those of real outputs.
        for dim, size in zip(dims, shapes.get(value.name, ()), strict=False):
            if size and not dim.dim_value:
                dim.dim_value = size
        if dims:
            dims[0].dim_param = BATCH
    return proto


def _outputs(model: keras.Model) -> dict[str, Any]:
    return model.output if isinstance(model.output, dict) else {o.name: o for o in model.outputs}


@contextmanager
def _constants_as_numpy(model: keras.Model) -> Iterator[None]:
    """Replace Normalization's mean and variance by numpy arrays: as eager tensors they become inputs of the graph."""
    import keras

    changed = [layer for layer in model._flatten_layers() if isinstance(layer, keras.layers.Normalization)]
    kept = [(layer.mean, layer.variance) for layer in changed]
    try:
        for layer in changed:
            layer.mean, layer.variance = np.asarray(layer.mean), np.asarray(layer.variance)
        yield
    finally:
        for layer, (mean, variance) in zip(changed, kept, strict=True):
            layer.mean, layer.variance = mean, variance


def _write_int8_dynamic(base: Path, path: Path) -> None:
    onnx = require("onnx", "export")
    quantization = require("onnxruntime.quantization", "export")
    graph = onnx.load(base).graph
    weights = {w.name: math.prod(w.dims) for w in graph.initializer}
    small = [n.name for n in graph.node if any(weights.get(name, SMALL) < SMALL for name in n.input)]
    quantization.quantize_dynamic(
        base,
        path,
        op_types_to_quantize=["MatMul", "Gemm", "Gather"],
        weight_type=quantization.QuantType.QInt8,
        per_channel=True,
        nodes_to_exclude=small,
    )
    # Otherwise a float32 file under this name would pass every gate.
    if not any(w.data_type == onnx.TensorProto.INT8 for w in onnx.load(path).graph.initializer):
        raise ExportError(f"There is nothing to quantise: no dense or embedding weight has {SMALL} elements or more.")


WRITERS: dict[str, Callable[[Path, Path], object]] = {
    # Unlike shutil.copyfile, this takes one file as source and target.
    "float32": lambda base, path: path.write_bytes(base.read_bytes()),
    "int8-dynamic": _write_int8_dynamic,
    "int8-weights": weights_only,
}
"""Writers of the precisions that need only the float32 file."""


def _samples(source: Source) -> dict[str, np.ndarray]:
    """Return inputs (N, ...) of evenly spaced samples, in every scenario."""
    step = max(1, len(source.samples) // ISLAND_SAMPLES)
    inputs = ScenarioInputs(source.specs, [sample.values for sample in source.samples[::step][:ISLAND_SAMPLES]])
    every = [inputs.inputs(scenario) for scenario in scenarios(source.specs)]
    return {name: np.concatenate([each[name] for each in every]) for name in every[0]}


@contextmanager
def quiet() -> Iterator[None]:
    """Silence tf2onnx and the quantiser, which log over the progress bars; their results are checked afterwards."""
    loggers = [logging.getLogger(name) for name in ("", "tf2onnx", "onnxruntime")]
    levels = [logger.level for logger in loggers]
    try:
        for logger in loggers:
            logger.setLevel(logging.CRITICAL)
        yield
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)


FORMAT = Format(
    "onnx",
    suffix=".onnx",
    precisions=(*WRITERS, "float16", "int8"),
    # Honest files of a pretrained EfficientNet-Lite0 differ by 1.3e-5: ONNX Runtime adds in another order.
    tolerance=3e-5,
    convert=convert,
    ladder=("int8", "int8-weights", "int8-dynamic", "float16", "float32"),
    float32=float32,
    constants=onnx_constants,
)
"""Found by `export.formats`."""
