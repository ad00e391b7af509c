"""Counts the parameters and FLOPs of a model by branch."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import keras
from rich.table import Table

__all__ = ["Part", "parts", "summary_table"]


@dataclass(frozen=True)
class Part:
    """One part of a model."""

    name: str
    """``<modality> branch``, ``fusion and head`` or ``total``."""
    parameters: int
    """Weights, trainable or not."""
    trainable: int
    """Weights that training changes."""
    flops: int
    """Floating-point operations of one sample; a multiplication and an addition count as two."""


def parts(model: keras.Model) -> list[Part]:
    """Return the parts of a model from `build_model`, the total last."""
    branches = [layer for layer in model.layers if layer.name.endswith("_branch")]
    # A shared branch is called once for each of its modalities.
    calls = {branch.name: len(branch._inbound_nodes) for branch in branches}
    found = [Part(b.name.replace("_branch", " branch"), *_weights(b), calls[b.name] * _flops(b)) for b in branches]
    total = Part("total", *_weights(model), _flops(model))
    rest = Part(
        "fusion and head",
        total.parameters - sum(p.parameters for p in found),
        total.trainable - sum(p.trainable for p in found),
        total.flops - sum(p.flops for p in found),
    )
    return [*found, rest, total]


def summary_table(model: keras.Model) -> Table:
    """Return the parts as a table for the terminal."""
    rows = parts(model)
    total = rows[-1]
    table = Table("part", title="Model", title_justify="left")
    for heading in ("parameters", "share", "trainable", "MFLOPs", "share"):
        table.add_column(heading, justify="right")
    for part in rows:
        table.add_row(
            part.name,
            f"{part.parameters:,}",
            f"{part.parameters / max(1, total.parameters):.1%}",
            f"{part.trainable:,}",
            f"{part.flops / 1e6:,.1f}",
            f"{part.flops / max(1, total.flops):.1%}",
            end_section=part is rows[-2],
        )
    return table


def _weights(layer: Any) -> tuple[int, int]:
    return layer.count_params(), sum(math.prod(variable.shape) for variable in layer.trainable_weights)


def _flops(model: keras.Model) -> int:
    """Count with TensorFlow's profiler on the frozen graph of one sample."""
    import tensorflow as tf
    from tensorflow.python.framework.convert_to_constants import convert_variables_to_constants_v2
    from tensorflow.python.profiler import option_builder
    from tensorflow.python.profiler.model_analyzer import profile

    structure = model.input
    specification = tf.nest.map_structure(lambda t: tf.TensorSpec((1, *t.shape[1:]), t.dtype), structure)
    function = tf.function(lambda inputs: model(inputs, training=False)).get_concrete_function(specification)
    graph = convert_variables_to_constants_v2(function).graph
    options = (
        option_builder.ProfileOptionBuilder(option_builder.ProfileOptionBuilder.float_operation())
        .with_empty_output()
        .build()
    )
    return int(profile(graph, options=options).total_float_ops)
