"""Static int8 for LiteRT by ai-edge-quantizer: any choice of the float32 file's convolutions, dense layers, embeddings.

All other operations stay in float: 256 steps are too coarse for a LayerNormalization's variance and for attention's
masks and softmax (the converter's own static int8 quantises everything and costs easy-VQA 61 points), and int8 is no
faster there. Convolutions are quantised per channel, dense layers per tensor, as LiteRT specifies its int8 operators:
https://ai.google.dev/edge/litert/conversion/tensorflow/quantization/quantization_spec
"""

from __future__ import annotations

import contextlib
import io
import re
import warnings
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from export.calibration.ranges import measure_ranges
from export.quantization.layers import QuantizedLayer
from export.to_litert.compact import compact
from export.to_litert.dead_channels import biases_of, keep_biases
from export.to_litert.embeddings import embeddings, quantize_embeddings
from export.to_litert.flatbuffer import OPERATIONS, read_model, weighted_layers
from mmkeras.core.errors import ExportError, nearest, require

__all__ = ["LiteRTQuantizer", "weights_only"]


class LiteRTQuantizer:
    """Writes int8 forms of one float32 LiteRT file. Implements `export.quantization.layers.Quantizer`."""

    def __init__(self, float32: Path, inputs: Mapping[str, np.ndarray]) -> None:
        """Run the calibration samples (N, ...) through the float32 file and measure the range of every tensor.

        The file has static batch 1 and one signature ``serving_default``.

        Raises:
            ExportError: there are no layers to quantise, or no samples.
            DependencyError: ai-edge-quantizer is missing.
        """
        self._float32 = float32
        self.layers = _layers(float32)
        self._embeddings = _embeddings_of(self.layers)
        self._biases = biases_of(float32.read_bytes())
        self.ranges: dict[str, tuple[float, float]] = measure_ranges(float32, inputs)
        """Smallest and largest value of every activation on the calibration samples, by the tensor's name."""

    def write(self, path: Path, keep: Iterable[str] = ()) -> None:
        """Write a file in which every layer is int8 except those in ``keep``. Inputs and outputs do not change."""
        kept = frozenset(keep)
        known = [layer.name for layer in self.layers]
        if unknown := sorted(kept.difference(known)):
            raise ExportError(f"No layer is called {unknown[0]!r}; {nearest(unknown[0], known)}")
        if kept.issuperset(known):
            raise ExportError("Every layer would stay in float: that is the float32 file.")
        content = self._float32.read_bytes()
        if not kept.union(self._embeddings).issuperset(known):
            # Own ranges: the quantiser's are a moving average, which cuts values beyond the average sample.
            ranges = {n: {"min": np.float32(low), "max": np.float32(high)} for n, (low, high) in self.ranges.items()}
            with _quiet():
                content = bytes(self._recipe(kept).quantize(ranges).quantized_model)
            content = keep_biases(content, self._biases)
        path.write_bytes(compact(quantize_embeddings(content, self._embeddings - kept)))

    def _recipe(self, keep: frozenset[str]) -> Any:
        quantizer = _quantizer(self._float32)
        qtyping = require("ai_edge_quantizer.qtyping", "export")
        for layer in self.layers:
            if layer.name in keep or layer.name in self._embeddings:
                continue
            dense = layer.operation == "FULLY_CONNECTED"
            quantizer.add_static_config(
                # The quantiser matches the output's name followed by a semicolon.
                regex=f"^{re.escape(layer.name)};?$",
                operation_name=qtyping.TFLOperationName[layer.operation],
                activation_num_bits=8,
                weight_num_bits=8,
                weight_granularity=getattr(qtyping.QuantGranularity, "TENSORWISE" if dense else "CHANNELWISE"),
            )
        return quantizer


def weights_only(float32: Path, path: Path) -> None:
    """Write int8 weights that are dequantised when the file is loaded: small, near exact, no faster.

    Weights of convolutions and dense layers have one scale per channel, embeddings one scale each.
    """
    layers = _layers(float32)
    tables = _embeddings_of(layers)
    content = float32.read_bytes()
    if len(tables) < len(layers):
        quantizer = _quantizer(float32)
        qtyping = require("ai_edge_quantizer.qtyping", "export")
        for operation in OPERATIONS:
            quantizer.add_weight_only_config(regex=".*", operation_name=qtyping.TFLOperationName[operation], num_bits=8)
        with _quiet():
            content = bytes(quantizer.quantize().quantized_model)
    path.write_bytes(compact(quantize_embeddings(content, tables)))


def _embeddings_of(layers: Iterable[QuantizedLayer]) -> frozenset[str]:
    return frozenset(layer.name for layer in layers if layer.operation not in OPERATIONS)


def _quantizer(float32: Path) -> Any:
    return require("ai_edge_quantizer.quantizer", "export").Quantizer(str(float32))


def _layers(float32: Path) -> tuple[QuantizedLayer, ...]:
    """Return embeddings, then convolutions and dense layers with constant weights in the order of the graph."""
    content = float32.read_bytes()
    model = read_model(content)
    found = list(embeddings(content))
    for graph in model.subgraphs:
        found += [layer for _, layer in weighted_layers(model, graph)]
    if not found:
        raise ExportError(
            f"{float32.name}: there is nothing to quantise: no embedding and no {', '.join(OPERATIONS)} with weights."
        )
    return tuple(found)


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Hide the quantiser's output, and its warnings about the memory of kept tensors and biases that do not fit."""
    with (
        contextlib.redirect_stdout(io.StringIO()),
        contextlib.redirect_stderr(io.StringIO()),
        warnings.catch_warnings(),
    ):
        warnings.filterwarnings("ignore", message=".*experimental_preserve_all_tensors")
        # A bias that does not fit, see `export.to_litert.dead_channels`.
        warnings.filterwarnings("ignore", message="invalid value encountered in cast", category=RuntimeWarning)
        yield
