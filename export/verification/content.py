"""Checks the types in a file against its precision: a float32 file named int8 would pass every numeric gate.

The file itself is read, without an engine.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from pathlib import Path

from export.to_onnx.pairs import pairs_problem
from mmkeras.runtime.differences.contents import Contents
from mmkeras.runtime.differences.read import read_contents

__all__ = ["content_problem"]

_WEIGHTED = ("CONV_2D", "DEPTHWISE_CONV_2D", "FULLY_CONNECTED")
_DYNAMIC = ("DynamicQuantizeLinear", "MatMulInteger", "ConvInteger")


def content_problem(path: Path, format: str, precision: str) -> str:
    """Return how a file's types contradict its precision; empty where they fit or the format is not checked.

    Raises:
        DataError: the file is not of its format, or truncated.
    """
    rules = {"tflite": _TFLITE, "onnx": _ONNX}.get(format, {})
    contents = read_contents(path, format) if precision in rules else None
    if contents is None or rules[precision](contents):
        return pairs_problem(path) if (format, precision) == ("onnx", "int8") else ""
    types = ", ".join(f"{size:,} bytes of {name}" for name, size in contents.types.most_common(3))
    return f"does not have the types of a file in {precision}: its constants are {types}"


def _any(counts: Counter[str], *names: str) -> bool:
    return any(counts[name] for name in names)


def _tflite_weights(contents: Contents) -> bool:
    """Return whether most weights are dequantised before use, so that operations compute in float."""
    weighted = sum(contents.operators[name] for name in _WEIGHTED)
    return 2 * contents.operators["DEQUANTIZE"] >= weighted


_Rule = Callable[[Contents], bool]
_TFLITE: dict[str, _Rule] = {
    "float32": lambda c: not _any(c.types, "int8", "float16"),
    "float16": lambda c: _any(c.types, "float16") and not _any(c.types, "int8"),
    "int8-weights": lambda c: _any(c.types, "int8") and not _any(c.operators, "QUANTIZE") and _tflite_weights(c),
    "int8-dynamic": lambda c: _any(c.types, "int8") and not _any(c.operators, "QUANTIZE") and not _tflite_weights(c),
    "int8": lambda c: _any(c.types, "int8") and _any(c.operators, "QUANTIZE"),
    "int8-full": lambda c: _any(c.types, "int8"),
}
_ONNX: dict[str, _Rule] = {
    "float32": lambda c: (
        not _any(c.types, "int8", "uint8", "float16") and not _any(c.operators, "QuantizeLinear", *_DYNAMIC)
    ),
    "float16": lambda c: _any(c.types, "float16"),
    "int8-weights": lambda c: (
        _any(c.types, "int8")
        and _any(c.operators, "DequantizeLinear")
        and not _any(c.operators, "QuantizeLinear", *_DYNAMIC)
    ),
    "int8-dynamic": lambda c: _any(c.operators, *_DYNAMIC),
    "int8": lambda c: _any(c.operators, "QuantizeLinear"),
}
