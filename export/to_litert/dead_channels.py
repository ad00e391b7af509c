"""Keeps the bias of channels whose weights are almost zero in static int8.

A bias is stored in steps of the input's scale times the scale of the channel's weights, in 32 bits. Pretrained networks
have dead channels: all weights below 1e-8, and a constant output, which is the bias. The smallest scale of the weights
makes such a bias larger than 32 bits hold, and the quantiser's cast to 32 bits turns it into the smallest number.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from export.to_litert.flatbuffer import read_model, weighted_layers, write_model
from mmkeras.core.errors import ExportError

__all__ = ["biases_of", "keep_biases"]

_LARGEST = 2**30
"""Steps of a bias whose channel gets a larger scale: half of what 32 bits hold."""


def biases_of(content: bytes) -> list[tuple[int, np.ndarray | None]]:
    """Return the number of weights and the float32 bias of each layer of a float32 file, in the order of the graph."""
    model = read_model(content)
    found: list[tuple[int, np.ndarray | None]] = []
    for graph in model.subgraphs:
        for operator, layer in weighted_layers(model, graph):
            bias = _values(model, graph, operator.inputs, 2)
            found.append((layer.weights, None if bias is None else bias.view(np.float32)))
    return found


def keep_biases(content: bytes, biases: Sequence[tuple[int, np.ndarray | None]]) -> bytes:
    """Return a static int8 file in which every bias fits.

    The weights of a channel whose bias does not fit get a larger scale, so that the bias has 2**30 steps.

    Args:
        content: the int8 file.
        biases: `biases_of` the float32 file that it was made from.

    Raises:
        ExportError: the files have other layers.
    """
    model = read_model(content)
    layers = [(graph, *each) for graph in model.subgraphs for each in weighted_layers(model, graph)]
    if [layer.weights for _, _, layer in layers] != [weights for weights, _ in biases]:
        raise ExportError(
            f"static int8: expected the {len(biases)} layers of the float32 file with as many weights each, got "
            f"{len(layers)} others. The installed ai-edge-quantizer is not that of constraints.txt"
        )
    changed = [
        _keep(model, graph, operator, bias)
        for (graph, operator, _), (_, bias) in zip(layers, biases, strict=True)
        if bias is not None
    ]
    return write_model(model) if any(changed) else content


def _keep(model: Any, graph: Any, operator: Any, bias: np.ndarray) -> bool:
    """Change the scales of channels whose bias does not fit; return whether there is one."""
    given, weights, stored = (graph.tensors[index] for index in operator.inputs[:3])
    codes, sums = _values(model, graph, operator.inputs, 1), _values(model, graph, operator.inputs, 2)
    scale, step = _scale(weights), _scale(given)
    if codes is None or sums is None or step is None or scale is None or scale.size != bias.size:
        return False  # in float, or with one scale for all channels, which a dead one does not make small
    cut = np.abs(bias) > _LARGEST * scale * step
    if not cut.any():
        return False
    wider = np.where(cut, np.abs(bias) / (_LARGEST * step), scale)
    shape = [1] * len(weights.shape)
    shape[weights.quantization.quantizedDimension] = scale.size
    numbers = codes.view(np.int8).reshape(list(weights.shape)) * (scale / wider).reshape(shape)
    _store(model, weights, np.round(numbers).astype(np.int8), wider)
    kept = np.where(cut, np.round(bias / (wider * step)), sums.view(np.int32)).astype(np.int32)
    _store(model, stored, kept, wider * step)
    return True


def _scale(tensor: Any) -> np.ndarray | None:
    found = None if tensor.quantization is None else tensor.quantization.scale
    return None if found is None or len(found) == 0 else np.asarray(found, np.float64)


def _values(model: Any, graph: Any, inputs: Any, place: int) -> np.ndarray | None:
    """Return the bytes of an operator's constant input; None where it has none."""
    if len(inputs) <= place or inputs[place] < 0:
        return None
    data = model.buffers[graph.tensors[inputs[place]].buffer].data
    return None if data is None or len(data) == 0 else np.asarray(data, np.uint8)


def _store(model: Any, tensor: Any, numbers: np.ndarray, scale: np.ndarray) -> None:
    # A buffer of its own: others may share the one of before.
    buffer = type(model.buffers[0])()
    buffer.data = np.frombuffer(numbers.tobytes(), np.uint8)
    tensor.buffer = len(model.buffers)
    model.buffers.append(buffer)
    tensor.quantization.scale = scale.astype(np.float32)
