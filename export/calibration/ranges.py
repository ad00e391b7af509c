"""The ranges of a float32 LiteRT file's activations, sample by sample: what static int8 divides into 256 steps.

Smallest and largest value are taken over all samples. ai-edge-quantizer's own default is a moving average that has
forgotten all but the last few dozens of samples, and cuts what is beyond the average sample: on camera and radar that
cost 2.7 points of mAP where these ranges cost 0.06.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from export.quantization.layers import QuantizedLayer
from export.to_litert.flatbuffer import read_model, schema
from export.to_litert.operations import OPERATIONS, SIGNATURE, weighted_layers
from mmkeras.core.errors import ExportError, require

__all__ = ["Activation", "activation_values", "activations", "extremes", "measure_ranges"]

Ranges = Mapping[str, tuple[float, float]]
"""Smallest and largest value by tensor name."""


@dataclass(frozen=True)
class Activation:
    """A float tensor that a layer with weights reads or writes."""

    name: str
    """Its name in the file."""
    index: int
    """Its place in the interpreter."""
    layer: QuantizedLayer
    """The layer that writes it or, for what no such layer writes, the first that reads it."""
    written: bool
    """Whether that layer writes it."""


def activations(path: Path) -> tuple[Activation, ...]:
    """Return the inputs and outputs of convolutions and dense layers with constant weights, in the order of the graph.

    Raises:
        ExportError: the file has none.
    """
    model = read_model(path.read_bytes())
    graph = model.subgraphs[0]
    written: dict[int, Activation] = {}
    read: dict[int, Activation] = {}
    for operator, layer in weighted_layers(model, graph):
        source, target = int(operator.inputs[0]), int(operator.outputs[0])
        read.setdefault(source, Activation(graph.tensors[source].name.decode(), source, layer, False))
        written[target] = Activation(graph.tensors[target].name.decode(), target, layer, True)
    found = tuple({**read, **written}.values())
    floats = tuple(each for each in found if graph.tensors[each.index].type == schema().TensorType.FLOAT32)
    if not floats:
        raise ExportError(f"{path.name}: has no activations to measure: no {', '.join(OPERATIONS)} with weights.")
    return floats


def measure_ranges(path: Path, inputs: Mapping[str, np.ndarray]) -> dict[str, tuple[float, float]]:
    """Return the smallest and largest value of every activation over all samples, by tensor name.

    Args:
        path: a float32 LiteRT file with static batch 1.
        inputs: samples (N, ...) by input name.

    Raises:
        ExportError: nothing to measure, or no sample.
    """
    found = activations(path)
    seen = extremes(path, inputs, found)
    lows, highs = seen[..., 0].min(axis=0), seen[..., 1].max(axis=0)
    return {a.name: (float(low), float(high)) for a, low, high in zip(found, lows, highs, strict=True)}


def extremes(path: Path, inputs: Mapping[str, np.ndarray], wanted: tuple[Activation, ...]) -> np.ndarray:
    """Return smallest and largest value float32 (N, activations, 2) of every sample.

    Raises:
        ExportError: no sample.
    """
    rows = [[(value.min(), value.max()) for value in values] for values in activation_values(path, inputs, wanted)]
    if not rows:
        raise ExportError("Ranges need samples to be measured on, got none. Give the data a training split.")
    return np.asarray(rows, np.float32)


def activation_values(
    path: Path, inputs: Mapping[str, np.ndarray], wanted: tuple[Activation, ...]
) -> Iterator[list[np.ndarray]]:
    """Run samples one by one and yield the values of each one's activations, in their order."""
    litert = require("ai_edge_litert.interpreter", "export")
    with warnings.catch_warnings():
        # It says that this is for debugging and takes memory: looking inside is what is wanted.
        warnings.filterwarnings("ignore", message=".*experimental_preserve_all_tensors", category=UserWarning)
        interpreter: Any = litert.Interpreter(str(path), num_threads=2, experimental_preserve_all_tensors=True)
    interpreter.allocate_tensors()
    indices = {
        name: detail["index"]
        for name, detail in interpreter.get_signature_runner(SIGNATURE).get_input_details().items()
    }
    count = len(next(iter(inputs.values()))) if inputs else 0
    for row in range(count):
        for name, index in indices.items():
            interpreter.set_tensor(index, inputs[name][row : row + 1])
        interpreter.invoke()
        yield [interpreter.get_tensor(each.index) for each in wanted]
