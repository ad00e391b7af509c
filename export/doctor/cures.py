"""The rewrites that remove what targets do not support. Tests apply them: the doctor then finds nothing.

The tables map an operation's name to its rewrite. TensorFlow and ONNX have the same name for most operations.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping

__all__ = ["INT64", "broken", "flex", "island", "rewrite", "wide"]

INT64 = "keras.Input(..., dtype='int32'), or ops.cast(x, 'int32') as the first operation"
"""The rewrite for 64-bit integers."""

_HOST = "do this on the host, before or after the model"
_ONE_HOT = "ops.matmul with a one_hot of the ids: ops.sum(ops.one_hot(ids, n), axis) counts, a matmul sums"
_ARGMAX = "ops.argmax of floats compares bits: use ops.top_k(x, 1)[1], or do it on the host"
_SAME = "resize to a whole multiple with layers.UpSampling2D, or by 'bilinear' or 'nearest' without antialiasing"
_BUCKETS = "count the bounds below: ops.sum(ops.cast(ops.expand_dims(x, -1) >= bounds, 'float32'), -1)"
_LOOKUP = "look up and hash on the host (the modality's spec) and give the model int32 ids"
_PYTHON = "an exported file cannot run Python: write it with keras.ops"
_FOURIER = "transform on the host, or ops.matmul with a constant matrix of cosines and sines"

_ANYWHERE = {
    "Acos": "ops.arctan2(ops.sqrt(1 - x * x), x)",
    "Acosh": "ops.log(x + ops.sqrt(x * x - 1))",
    "Asin": "ops.arctan2(x, ops.sqrt(1 - x * x))",
    "Asinh": "ops.log(x + ops.sqrt(x * x + 1))",
    "Atan": "ops.arctan2(x, ops.ones_like(x))",
    "Atanh": "0.5 * (ops.log(1 + x) - ops.log(1 - x))",
    "Bitcast": _ARGMAX,
    "BitwiseAnd": _ARGMAX,
    "Bucketize": _BUCKETS,
    "Cosh": "0.5 * (ops.exp(x) + ops.exp(-x))",
    "Cumprod": "ops.exp(ops.cumsum(ops.log(x))) where x is positive; else multiply the slices",
    "DenseBincount": _ONE_HOT,
    "Unique": _ONE_HOT,
    "Compress": _ONE_HOT,
    "Expm1": "ops.exp(x) - 1; for the celu activation, elu",
    "Log1p": "ops.log(1 + x)",
    "Sinh": "0.5 * (ops.exp(x) - ops.exp(-x))",
    "Tan": "ops.sin(x) / ops.cos(x)",
    "ResizeBicubic": _SAME,
    "ScaleAndTranslate": _SAME,
    "ImageProjectiveTransformV3": "warp the picture on the host, in the modality's spec",
    "StringToHashBucketFast": _LOOKUP,
    "AsString": _LOOKUP,
    "LookupTableFindV2": _LOOKUP,
    "FFT": _FOURIER,
    "RFFT": _FOURIER,
    "Complex": _FOURIER,
    "Real": _FOURIER,
    "Imag": _FOURIER,
    "PyFunc": _PYTHON,
    "EagerPyFunc": _PYTHON,
    "XlaDynamicUpdateSlice": "ops.concatenate of the part before, the new part and the part after it",
    "StatefulPartitionedCall": "a grouped convolution: one Conv2D per group on slices, or DepthwiseConv2D",
}
_FLEX = {
    "Erf": "ops.tanh(1.1283792 * x + 0.100911 * x * x * x), with an error of at most 1e-3; gelu is built in",
    "Erfc": "gelu with approximate=True",
    "StridedSlice": "x[:, None] becomes ops.expand_dims(x, 1)",
    "Mul": "compute in float32: LiteRT has no arithmetic in float16 or float64",
}
_ISLAND = {
    "NEG": "subtract: ops.subtract(a, b) for a + (-b), or multiply by -1",
    "SQUARE": "ops.multiply(x, x)",
    "POW": "multiply x by itself; for 2 ** x, ops.exp(0.6931472 * x)",
    "ELU": "relu or relu6",
    "CUMSUM": "ops.matmul with a triangular matrix of ones",
    "SELECT_V2": "multiply by a mask of ones and zeros",
    "ZEROS_LIKE": "multiply by a constant mask",
    "NOT_EQUAL": "remove NaN on the host instead of testing for it in the model",
    "CEIL": _HOST,
    "FLOOR": _HOST,
    "ROUND": _HOST,
    "SIGN": "ops.clip(x * 1e3, -1, 1), or on the host",
    "SIN": "compute it on the host and give the model the result",
    "COS": "compute it on the host and give the model the result",
    "FLOOR_DIV": "multiply by the reciprocal and leave rounding to the host",
    "FLOOR_MOD": _HOST,
    "CONV_3D": "Conv2D on every slice (layers.TimeDistributed), or leave it in float",
    "CONV_3D_TRANSPOSE": "Conv2DTranspose on every slice, or leave it in float",
    "WHILE": "unroll the loop (unroll=True)",
    "IF": "compute both sides and choose with ops.where",
}
_NORMALIZED = {
    "LayerNormalization": "harmless for a few values; else write it out: x = x - ops.mean(x, -1, "
    "keepdims=True), then x * ops.rsqrt(ops.mean(x * x, -1, keepdims=True) + epsilon) * gamma + beta",
    "GroupNormalization": "BatchNormalization, which is folded into the layer before it",
    "RMSNormalization": "ops.multiply(x, x) instead of ops.square, then ops.mean and ops.rsqrt",
    "UnitNormalization": "ops.multiply(x, x) instead of ops.square, then ops.sum and ops.rsqrt",
}
_MASKING = {
    *("AdditiveAttention", "Attention", "CachedMultiHeadAttention", "GroupedQueryAttention", "MultiHeadAttention"),
    "Softmax",
}
_RECURRENT = ("LSTM", "GRU", "SimpleRNN", "RNN", "Bidirectional", "ConvLSTM2D")


def flex(operation: str) -> str:
    """Return the rewrite for an operation, by TensorFlow's name, that LiteRT does not have."""
    return rewrite(operation, {**_ANYWHERE, **_FLEX})


def rewrite(operation: str, table: Mapping[str, str] = _ANYWHERE) -> str:
    """Return the rewrite for an operation that ONNX does not have, or an operator that TensorRT does not have."""
    if operation in table:
        return table[operation]
    if re.match(r"Matrix|Det$|Cholesky|Qr$|Svd$|SelfAdjoint|Random|.*Decode", operation):
        return _HOST
    return f"write it with other operations of keras.ops, or {_HOST}"


def island(operators: Iterable[str], kinds: Iterable[str]) -> str:
    """Return the rewrite for operators in layers of some classes that stay in float."""
    known = [_NORMALIZED[kind] for kind in kinds if kind in _NORMALIZED]
    known = known or [f"{operator}: {_ISLAND[operator]}" for operator in operators if operator in _ISLAND]
    return "; ".join(dict.fromkeys(known)) or (
        "LiteRT has no int8 kernel for it here: use another operation, or leave it and measure on the device"
    )


def wide(kinds: Iterable[str]) -> str:
    """Return the rewrite for values in layers of some classes that are too large for int8."""
    moderate = "mask with a moderate number: scores + (mask - 1) * 8 instead of -1e9, and set masked values to 0"
    if set(kinds) & _MASKING:
        return f"Keras itself masks with -1e9 or less: give the layer no mask; {moderate}"
    return f"{moderate}; scale other large numbers down before the model"


def broken(reason: str, kinds: Iterable[str]) -> str:
    """Return the rewrite for layers of some classes whose conversion failed with a reason."""
    classes = set(kinds)
    if classes & set(_RECURRENT):
        return "unroll it (unroll=True), or replace the recurrence by a Conv1D or attention"
    if classes & {"Add"} or "BiasAdd" in reason:
        return "the sum is taken for a bias: ops.subtract(a, -b) instead of a + b"
    if "py_func" in reason.lower() or "numpy" in reason.lower():
        return _PYTHON
    return "replace the layer, or " + _HOST
