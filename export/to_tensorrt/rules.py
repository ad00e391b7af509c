"""The rules of the operator check for TensorRT: each rule yields the problems of a graph for one version's parser.

Operators, types and opsets: the table of 8.5 with the additions of the 8.6 changelog (docs/Changelog.md there), and the
table of 9.2, which 10.0 starts from. Operators that later versions of 10 added are left out, so that a file that passes
runs on every 10. TensorRT 11 and tensorrt-rtx accept at least what 10 accepts.

Source: docs/operators.md of github.com/onnx/onnx-tensorrt, and the errors of tensorrt-rtx's parser.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from export.to_onnx.facts import Facts, Node
from export.to_onnx.islands import ENTRY

__all__ = ["Found", "Parser", "VERSIONS", "found"]


@dataclass(frozen=True)
class Parser:
    """The limits of one version's parser."""

    operators: frozenset[str]
    opset: int
    floats_only: frozenset[str]
    takes_bool: frozenset[str]
    has_int64: bool
    """Whether 64-bit integers are kept; else they are cut to 32 bits."""


def _set(text: str) -> frozenset[str]:
    return frozenset(text.split())


_FLOATS = _set("""
    Acos Acosh Asin Asinh Atan Atanh BatchNormalization Ceil Celu Clip Conv ConvTranspose Cos Cosh CumSum Einsum Elu Erf
    Exp Floor Gemm GlobalAveragePool GlobalLpPool GlobalMaxPool GridSample HardSigmoid HardSwish InstanceNormalization
    LRN LayerNormalization LeakyRelu Log LogSoftmax LpNormalization LpPool MatMul MaxPool MeanVarianceNormalization
    PRelu Pow Reciprocal Resize RoiAlign Round Selu Sigmoid Sin Sinh Softmax Softplus Softsign Sqrt Tan Tanh
    ThresholdedRelu Upsample
""")
_ONLY_FLOATS_IN_8 = _set("""
    ReduceL1 ReduceL2 ReduceLogSum ReduceLogSumExp ReduceMax ReduceMean ReduceMin ReduceProd ReduceSum ReduceSumSquare
    Relu ReverseSequence
""")
_BOOL = _set("""
    And Cast Concat Constant Expand EyeLike Flatten Gather GatherElements GatherND Identity If Loop Not OneHot Or
    Reshape Shape Size Slice Split Squeeze Tile Transpose Trilu Unsqueeze Where Xor
""")
_OTHERS = _set("""
    Abs Add ArgMax ArgMin AveragePool ConstantOfShape DepthToSpace DequantizeLinear Div Dropout Equal GRU Greater
    GreaterOrEqual GroupNormalization ImageScaler IsInf IsNaN LSTM Less LessOrEqual Max Mean Min Mod Mul Neg
    NonMaxSuppression NonZero Pad ParametricSoftplus QuantizeLinear RNN RandomNormal RandomNormalLike RandomUniform
    RandomUniformLike Range ScaledTanh Scan Scatter ScatterElements ScatterND Shrink Sign SpaceToDepth Sub Sum TopK
""")
_SINCE_9 = _set("CastLike Hardmax")

VERSIONS = {
    "8.6": Parser(
        operators=_FLOATS | _ONLY_FLOATS_IN_8 | _BOOL | _OTHERS,
        opset=17,
        floats_only=_FLOATS | _ONLY_FLOATS_IN_8,
        takes_bool=_BOOL,
        has_int64=False,
    ),
    "10": Parser(
        operators=_FLOATS | _ONLY_FLOATS_IN_8 | _BOOL | _OTHERS | _SINCE_9,
        opset=20,
        floats_only=_FLOATS | _set("Hardmax"),
        takes_bool=_BOOL | _set("CastLike ReverseSequence"),
        has_int64=True,
    ),
}

Found = tuple[bool, "Node | str", str, str]
"""Whether it is an error, the node or the value's name, the problem, the cure."""
_OLDEST_OPSET = 9
# Position and name of the input that must be constant when the engine is built.
_CONSTANT = {
    "CumSum": (1, "axis"),
    "OneHot": (1, "depth"),
    "Slice": (3, "axes"),
    "Squeeze": (1, "axes"),
    "Unsqueeze": (1, "axes"),
}
_DATA_DEPENDENT = ("Compress", "NonMaxSuppression", "NonZero", "Unique")
_CONTROL = ("If", "Loop", "Scan")
_RESIZE = ("half_pixel", "pytorch_half_pixel", "tf_half_pixel_for_nn", "asymmetric", "align_corners")
_INTEGERS = ("int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64")
_NO_TYPES = ("complex64", "complex128", "object", "uint16", "uint32", "uint64", "int16")
_CURES = {
    "DynamicQuantizeLinear": "use a static int8 file (QDQ); int8-dynamic is for ONNX Runtime",
    "MatMulInteger": "use a static int8 file (QDQ); int8-dynamic is for ONNX Runtime",
    "ConvInteger": "use a static int8 file (QDQ)",
    "QLinearConv": "quantise with QuantFormat.QDQ",
    "QLinearMatMul": "quantise with QuantFormat.QDQ",
}


def found(facts: Facts, parser: Parser) -> Iterator[Found]:
    """Yield the problems of a graph for one version's parser."""
    yield from _file(facts, parser)
    yield from _interface(facts, parser)
    for node in facts.nodes:
        yield from _operator(node, parser)
        yield from _types(facts, node, parser)
        yield from _options(facts, node, parser)
        if not parser.has_int64:
            yield from _cut_integers(facts, node)


def _file(facts: Facts, parser: Parser) -> Iterator[Found]:
    if not _OLDEST_OPSET <= facts.opset <= parser.opset:
        cure = "export it with opset 17"
        yield True, "", f"opset {facts.opset}; accepted are {_OLDEST_OPSET} to {parser.opset}", cure
    if not parser.has_int64 and ENTRY in facts.notes:
        # The flag allows float16 in every layer; build-engine sets float32 layer by layer.
        layers = ", ".join(json.loads(facts.notes[ENTRY]))
        yield False, "", f"trtexec --fp16 may overflow in {layers}", "build it with mmkeras build-engine"


def _interface(facts: Facts, parser: Parser) -> Iterator[Found]:
    for name, shape in facts.inputs.items():
        loose = [axis for axis, size in enumerate(shape) if size < 0 and axis]
        if loose:
            yield True, name, f"dimensions {loose} of the input are dynamic", "fix every dimension but the batch"
        if facts.dtype(name) == "uint8" and any(user.operator != "Cast" for user in facts.users(name)):
            users = ", ".join(sorted({user.operator for user in facts.users(name)} - {"Cast"}))
            yield True, name, f"a uint8 input is read by {users}", "cast it to float32 first, in the model"
    for name in (*facts.inputs, *facts.outputs):
        if facts.dtype(name) == "int64" and not parser.has_int64:
            yield False, name, "it is int64, which becomes int32", "cast it to int32 in the model"


def _operator(node: Node, parser: Parser) -> Iterator[Found]:
    if node.domain not in ("", "ai.onnx"):
        cure = "write it with ONNX's own operators; TensorRT would need a plugin"
        yield True, node, f"{node.operator} is of the domain {node.domain}", cure
    elif node.operator not in parser.operators:
        cure = _CURES.get(node.operator, "replace the layer's operation")
        yield True, node, f"{node.operator} is not supported", cure
    if node.operator in _DATA_DEPENDENT:
        yield False, node, f"the shape of {node.operator} depends on the data", "do this on the host, after the model"
    if node.operator in _CONTROL:
        yield False, node, f"{node.operator} is control flow, which is slow and prevents CUDA graphs", "unroll it"


def _types(facts: Facts, node: Node, parser: Parser) -> Iterator[Found]:
    # Values computed from shapes alone are integers on the host, whatever the operator.
    data = [name for name in node.inputs if name and not facts.is_shape(name)][:1]
    for name in data:
        dtype = facts.dtype(name)
        cure = "compute in float32 and cast before and after it"
        if dtype in _INTEGERS and node.operator in parser.floats_only:
            yield False, node, f"{node.operator} of {dtype} is documented for floats only", cure
        if dtype == "bool" and node.operator in parser.operators and node.operator not in parser.takes_bool:
            yield False, node, f"{node.operator} of bool is not documented", cure.replace("float32", "int32")
    for name in node.outputs:
        if facts.dtype(name) in _NO_TYPES:
            yield True, node, f"TensorRT has no type {facts.dtype(name)}", "use float32, float16, int32, int8 or bool"
        if facts.dtype(name) == "bfloat16" and not parser.has_int64:
            yield True, node, "8.6 has no type bfloat16", "export float32 or float16"


def _options(facts: Facts, node: Node, parser: Parser) -> Iterator[Found]:
    index, what = _CONSTANT.get(node.operator, (len(node.inputs), ""))
    if index < len(node.inputs) and node.inputs[index] and not facts.is_constant(node.inputs[index]):
        yield True, node, f"{what} of {node.operator} is computed", "make it a constant in the model"
    if node.operator in ("QuantizeLinear", "DequantizeLinear"):
        yield from _quantisation(facts, node)
        if not parser.has_int64 and node.operator == "DequantizeLinear" and facts.is_stored(node.inputs[0]):
            # 8.4 refuses them as "invalid weights type of Int8"; no document says that 8.6 accepts them.
            yield False, node, "weights are stored as int8", "use int8, which keeps float32 weights, or TensorRT 10"
    if node.operator == "Einsum" and "." in str(node.attributes.get("equation", "")) and not parser.has_int64:
        yield True, node, "Einsum with an ellipsis", "write the equation out, or use matmul"
    if node.operator == "MaxPool" and len(node.outputs) > 1:
        yield True, node, "MaxPool gives indices", "leave the indices out"
    if node.operator == "Resize":
        mode = str(node.attributes.get("coordinate_transformation_mode", "half_pixel"))
        if mode not in _RESIZE:
            yield True, node, f"Resize with {mode}", f"use one of {', '.join(_RESIZE)}"
        if node.attributes.get("mode") == "cubic" and not parser.has_int64:
            yield True, node, "Resize with cubic interpolation", "use nearest or linear"


def _quantisation(facts: Facts, node: Node) -> Iterator[Found]:
    cure = "quantise symmetrically to QInt8: ActivationSymmetric and WeightSymmetric"
    if len(node.inputs) > 2 and node.inputs[2]:
        zero = facts.constants.get(node.inputs[2])
        if zero is None:
            yield True, node, f"the zero point of {node.operator} is computed", cure
        elif np.any(zero):
            yield True, node, f"the zero point of {node.operator} is not 0", cure
    quantised = node.outputs[0] if node.operator == "QuantizeLinear" else node.inputs[0]
    dtype = facts.dtype(quantised)
    if dtype == "int32":
        yield True, node, "a bias is quantised to int32", "quantise with QuantizeBias=False"
    elif dtype not in ("", "int8"):
        yield True, node, f"{node.operator} with {dtype}", cure


def _cut_integers(facts: Facts, node: Node) -> Iterator[Found]:
    if node.operator == "Slice":
        return  # the largest integer means "to the end", also when it is cut
    for name in node.inputs:
        value = facts.constants.get(name)
        if value is not None and value.dtype == np.int64 and np.abs(value.astype(float)).max(initial=0) >= 2**31:
            message = "a constant does not fit into 32 bits and will be cut"
            yield False, node, message, "use smaller numbers in the model"
