"""Static int8 in ONNX: QDQ files for TensorRT 8.6 to 11 and tensorrt-rtx, and files with int8 weights alone.

`OnnxQuantizer` measures once how large every activation becomes and then writes a file for any choice of layers in a
fraction of a second. Conv, MatMul and Gemm with constant weights are computed in int8. What lies between them, such as
attention scores, softmax, normalisation and masks, stays float32: one scale for such a tensor ruins it.

`weights_only` keeps the weights in int8 and computes in float32. It needs no samples, and the weights take a quarter of
their bytes.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from export.quantization.layers import QuantizedLayer
from export.to_onnx.pairs import SMALL, WeightedNode, embedding_nodes, quantise_nodes, weighted_nodes
from export.to_onnx.ranges import measure_magnitudes
from mmkeras.core.errors import ExportError, nearest, require

__all__ = ["OnnxQuantizer", "weights_only"]


class OnnxQuantizer:
    """Writes QDQ int8 files of one float32 ONNX file. A `export.quantization.layers.Quantizer`."""

    def __init__(
        self,
        float32: Path,
        calibration: Mapping[str, np.ndarray],
        work: Path,
        step: Callable[[int, int], None] = lambda done, total: None,
    ) -> None:
        """Find the layers of a file of opset 13 or later, and run N calibration samples, arrays (N, ...) by input name.

        ``work`` is a folder for a temporary copy of the file; ``step`` is called with the samples done and N.

        Raises:
            ExportError: nothing can be quantised, the samples do not fit the model, or a tensor is not finite on them.
            DependencyError: onnx or onnxruntime is missing.
        """
        onnx = require("onnx", "export")
        self._proto = onnx.load(float32)
        self._nodes = {node.layer.name: node for node in _found(self._proto)}
        self.layers: tuple[QuantizedLayer, ...] = tuple(node.layer for node in self._nodes.values())
        """What can be quantised, in the order of the graph."""
        activations = list(dict.fromkeys(node.activation for node in self._nodes.values()))
        magnitudes = measure_magnitudes(float32, activations, calibration, work, step)
        self.limits: dict[str, float] = {name: magnitudes[name].limit() for name in activations}
        """Largest size that int8 keeps, by name of the activation; larger values are cut to it."""

    def write(self, path: Path, keep: Iterable[str] = ()) -> None:
        """Write a file in which every layer is int8 but those named in ``keep``, which stay in float32."""
        kept = set(keep)
        unknown = sorted(kept - self._nodes.keys())
        if unknown:
            raise ExportError(
                f"There is no layer {unknown[0]!r} to keep in float32: {nearest(unknown[0], self._nodes)}"
            )
        chosen = [node for name, node in self._nodes.items() if name not in kept]
        if not chosen:
            raise ExportError(f"All {len(kept)} layers are kept in float: nothing would be int8. Export float32.")
        _save(quantise_nodes(self._proto, chosen, self.limits), path)


def weights_only(float32: Path, path: Path) -> None:
    """Write a file whose weights are int8 numbers and whose activations are float32, from one of opset 13 or later.

    Weights of Conv, MatMul and Gemm get one scale for each output channel, embeddings one for each word. TensorRT takes
    such a file from 10 on.

    Raises:
        ExportError: there are no weights to quantise.
        DependencyError: onnx is missing.
    """
    proto = require("onnx", "export").load(float32)
    nodes = (*weighted_nodes(proto), *embedding_nodes(proto))
    if not nodes:
        raise ExportError(f"There is nothing to quantise: no dense layer or table has {SMALL} weights or more.")
    _save(quantise_nodes(proto, nodes, None, stored=True), path)


def _found(proto: Any) -> tuple[WeightedNode, ...]:
    nodes = weighted_nodes(proto)
    if not nodes:
        raise ExportError(
            f"There is nothing to quantise: no Conv, MatMul or Gemm has {SMALL} constant weights or more."
        )
    return nodes


def _save(proto: Any, path: Path) -> None:
    onnx = require("onnx", "export")
    onnx.checker.check_model(proto)
    onnx.save(proto, path)
