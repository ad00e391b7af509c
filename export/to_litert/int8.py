"""Static int8 for LiteRT by ai-edge-quantizer, on the float32 file: convolutions, dense layers, embeddings, by choice.

All else stays in float: a LayerNormalization's variance, the masks of attention and its softmax do not survive 256
steps (the converter's own static int8 takes everything and costs easy-VQA 61 points), and int8 is no faster there.
Convolutions are quantised per channel, dense layers per tensor, as LiteRT's specification of int8 operators has it:
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
from export.to_litert.embeddings import embeddings, quantize_embeddings
from export.to_litert.flatbuffer import OPERATIONS, read_model, weighted_layers
from mmkeras.core.errors import ExportError, nearest, require

__all__ = ["LiteRTQuantizer", "weights_only"]


class LiteRTQuantizer:
    """Writes int8 forms of one float32 LiteRT file. Implements `export.quantization.layers.Quantizer`."""

    def __init__(self, float32: Path, inputs: Mapping[str, np.ndarray]) -> None:
        """Run the calibration samples (N, ...) through the float32 file and keep the range of every tensor.

        The file has static batch 1 and one signature ``serving_default``.

        Raises:
            ExportError: there is nothing to quantise, or no sample.
            DependencyError: ai-edge-quantizer is missing.
        """
        self._float32 = float32
        self.layers = _layers(float32)
        self._embeddings = _embeddings_of(self.layers)
        count = len(next(iter(inputs.values()))) if inputs else 0
        if not count:
            raise ExportError("Static int8 needs calibration samples, got none. Give the data a training split.")
        # The quantiser's own ranges are a moving average, which cuts what is beyond the average sample.
        self._ranges = {
            name: {"min": np.float32(low), "max": np.float32(high)}
            for name, (low, high) in measure_ranges(float32, inputs).items()
        }

    @property
    def ranges(self) -> dict[str, tuple[float, float]]:
        """Smallest and largest calibrated value of every tensor that has a range, by the tensor's name."""
        return {name: (float(found["min"]), float(found["max"])) for name, found in self._ranges.items()}

    def write(self, path: Path, keep: Iterable[str] = ()) -> None:
        """Write a file in which every layer is int8 but those in ``keep``. Inputs and outputs stay as they are."""
        kept = frozenset(keep)
        known = [layer.name for layer in self.layers]
        if unknown := sorted(kept.difference(known)):
            raise ExportError(f"No layer is called {unknown[0]!r}; {nearest(unknown[0], known)}")
        if kept.issuperset(known):
            raise ExportError("Every layer would stay in float: that file is the float32 one.")
        content = self._float32.read_bytes()
        if not kept.union(self._embeddings).issuperset(known):
            with _quiet():
                content = bytes(self._recipe(kept).quantize(self._ranges).quantized_model)
        path.write_bytes(compact(quantize_embeddings(content, self._embeddings - kept)))

    def _recipe(self, keep: frozenset[str]) -> Any:
        quantizer = _quantizer(self._float32)
        qtyping = require("ai_edge_quantizer.qtyping", "export")
        for layer in self.layers:
            if layer.name in keep or layer.name in self._embeddings:
                continue
            dense = layer.operation == "FULLY_CONNECTED"
            quantizer.add_static_config(
                # Scopes are the output's name and a semicolon.
                regex=f"^{re.escape(layer.name)};?$",
                operation_name=qtyping.TFLOperationName[layer.operation],
                activation_num_bits=8,
                weight_num_bits=8,
                weight_granularity=getattr(qtyping.QuantGranularity, "TENSORWISE" if dense else "CHANNELWISE"),
            )
        return quantizer


def weights_only(float32: Path, path: Path) -> None:
    """Write int8 weights that become float when the file is loaded: small, near exact, no faster.

    Weights of convolutions and dense layers have one scale for each channel, embeddings one each.
    """
    layers = _layers(float32)
    tables = _embeddings_of(layers)
    only_tables = len(tables) == len(layers)
    content = float32.read_bytes() if only_tables else _int8_weights(float32)
    path.write_bytes(compact(quantize_embeddings(content, tables)))


def _embeddings_of(layers: Iterable[QuantizedLayer]) -> frozenset[str]:
    return frozenset(layer.name for layer in layers if layer.operation not in OPERATIONS)


def _int8_weights(float32: Path) -> bytes:
    quantizer = _quantizer(float32)
    qtyping = require("ai_edge_quantizer.qtyping", "export")
    for operation in OPERATIONS:
        quantizer.add_weight_only_config(regex=".*", operation_name=qtyping.TFLOperationName[operation], num_bits=8)
    with _quiet():
        return bytes(quantizer.quantize().quantized_model)


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
    """Keep the quantiser's progress bars and sizes from the terminal: the export shows its own.

    It calibrates with an interpreter that keeps every tensor, and that warns of the memory it takes.
    """
    with (
        contextlib.redirect_stdout(io.StringIO()),
        contextlib.redirect_stderr(io.StringIO()),
        warnings.catch_warnings(),
    ):
        warnings.filterwarnings("ignore", message=".*experimental_preserve_all_tensors")
        yield
