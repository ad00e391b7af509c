"""Static int8 in ONNX: QDQ files for TensorRT 8.6 to 11 and tensorrt-rtx, and files with int8 weights only.

`OnnxQuantizer` measures the activations once and then writes a file for any choice of layers in a fraction of a second.
Conv, MatMul and Gemm with constant weights are computed in int8. Operations between them, such as attention scores,
softmax, normalisation and masks, stay float32: a single scale is too coarse for their values.

`weights_only` stores the weights in int8, a quarter of their bytes, and computes in float32. It needs no samples.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from export.quantization.layers import QuantizedLayer
from export.to_onnx.pairs import SMALL, embedding_nodes, quantise_nodes, weighted_nodes
from export.to_onnx.ranges import measure_magnitudes
from mmkeras.core.errors import ExportError, nearest, require

__all__ = ["OnnxQuantizer", "weights_only"]


class OnnxQuantizer:
    """Writes QDQ int8 files of one float32 ONNX file. Implements `export.quantization.layers.Quantizer`."""

    def __init__(self, float32: Path, calibration: Mapping[str, np.ndarray], work: Path) -> None:
        """Find the layers of a file of opset 13 or later, and run N calibration samples, arrays (N, ...) by input name.

        ``work`` is a folder for a temporary copy of the file.

        Raises:
            ExportError: nothing can be quantised, the samples do not fit the model, or a tensor is not finite on them.
            DependencyError: onnx or onnxruntime is missing.
        """
        onnx = require("onnx", "export")
        self._proto = onnx.load(float32)
        self._nodes = {node.layer.name: node for node in weighted_nodes(self._proto)}
        if not self._nodes:
            raise ExportError(
                f"There is nothing to quantise: no Conv, MatMul or Gemm has {SMALL} constant weights or more."
            )
        self.layers: tuple[QuantizedLayer, ...] = tuple(node.layer for node in self._nodes.values())
        """Layers that can be quantised, in the order of the graph."""
        activations = list(dict.fromkeys(node.activation for node in self._nodes.values()))
        magnitudes = measure_magnitudes(float32, activations, calibration, work)
        self.limits: dict[str, float] = {name: magnitudes[name].limit() for name in activations}
        """Largest magnitude that int8 represents, by name of the activation; larger values are cut to it."""

    def write(self, path: Path, keep: Iterable[str] = ()) -> None:
        """Write a file in which every layer is int8, except the layers named in ``keep``, which stay in float32."""
        kept = set(keep)
        if unknown := sorted(kept - self._nodes.keys()):
            raise ExportError(f"No layer is called {unknown[0]!r}; {nearest(unknown[0], self._nodes)}")
        chosen = [node for name, node in self._nodes.items() if name not in kept]
        if not chosen:
            raise ExportError(f"All {len(kept)} layers are kept in float: nothing would be int8. Export float32.")
        _save(quantise_nodes(self._proto, chosen, self.limits), path)


def weights_only(float32: Path, path: Path) -> None:
    """Write a file with int8 weights and float32 activations from a float32 file of opset 13 or later.

    Weights of Conv, MatMul and Gemm get one scale per output channel, embeddings one per row. TensorRT accepts such a
    file from 10 on.

    Raises:
        ExportError: there are no weights to quantise.
        DependencyError: onnx is missing.
    """
    proto = require("onnx", "export").load(float32)
    nodes = (*weighted_nodes(proto), *embedding_nodes(proto))
    if not nodes:
        raise ExportError(f"There is nothing to quantise: no dense layer or table has {SMALL} weights or more.")
    _save(quantise_nodes(proto, nodes, None, stored=True), path)


def _save(proto: Any, path: Path) -> None:
    onnx = require("onnx", "export")
    onnx.checker.check_model(proto)
    onnx.save(proto, path)
