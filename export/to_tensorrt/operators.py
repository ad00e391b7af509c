"""What the ONNX parsers of TensorRT 8.6 and 10 document: operators, the types they take, the opsets.

Source: docs/operators.md and docs/Changelog.md of github.com/onnx/onnx-tensorrt: the table of 8.5 with what its 8.6
changelog adds, and the table of 9.2, which 10.0 starts from. Operators that later versions of 10 added are left out, so
that a file that passes runs on every 10. TensorRT 11 and tensorrt-rtx take at least what 10 takes.
"""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["VERSIONS", "Parser"]


@dataclass(frozen=True)
class Parser:
    """What one version's parser takes."""

    operators: frozenset[str]
    """Operators of ONNX's own domain."""
    opset: int
    """Latest opset."""
    floats_only: frozenset[str]
    """Operators that are documented for floating point data alone."""
    takes_bool: frozenset[str]
    """Operators that are documented for boolean data."""
    has_int64: bool
    """Whether 64-bit integers stay what they are; else they are cut to 32 bits."""


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
"""Parsers by version."""
