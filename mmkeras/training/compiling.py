"""Compiles the model of a stage."""

from __future__ import annotations

import keras

from mmkeras.model import learning_rate_factors
from mmkeras.training.objective import Objective, graph_of
from mmkeras.training.optimizer import build_optimizer, variable_factors
from mmkeras.training.stages import Stage

__all__ = ["compile_model"]


def compile_model(model: keras.Model, stage: Stage, steps: int, *, jit_compile: bool = False) -> Objective | None:
    """Compile the model of a stage with its losses and its optimizer, whose schedule has ``steps`` training steps.

    Returns:
        The model's objective if the method has a loss hook or extra outputs; else None, and Keras computes the losses.
    """
    method, context, graph = stage.method, stage.context, graph_of(model)
    losses = method.losses(context)
    here = {layer.name for layer in graph.layers}
    factors = {name: factor for name, factor in learning_rate_factors(stage.config.model).items() if name in here}
    model.compile(
        optimizer=build_optimizer(stage.config.train, steps, variable_factors(model, factors)),
        loss=None if callable(losses) else losses,
        jit_compile=jit_compile,
    )
    extra = method.extra_outputs(graph, context)
    if extra is None and not callable(losses):
        return None
    return Objective(model, losses, context.class_counts, extra)
