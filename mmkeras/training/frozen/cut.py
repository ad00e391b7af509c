"""Cuts a branch of a functional model behind its frozen part."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import keras
from keras.src.models.functional import operation_fn

__all__ = ["Cut", "cut_branch", "flat", "frozen_model", "inputs_behind", "run"]


@dataclass(frozen=True)
class Cut:
    """Where a branch is cut: behind its frozen part."""

    frozen: keras.Function
    """From the inputs of the branch to the outputs of its frozen part."""
    rest: keras.Function
    """From there to the outputs of the branch."""
    inputs: tuple[str, ...]
    """Names of the model's inputs, in the order of ``frozen``."""
    outputs: tuple[Any, ...]
    """Symbolic outputs of the branch in the model's graph."""


def frozen_model(model: keras.Model, name: str) -> keras.Model | str | None:
    """Return the frozen part of a branch, why only a part of it is frozen, or None if it is trained."""
    branch = next((layer for layer in model.layers if layer.name == f"{name}_branch"), None)
    if not isinstance(branch, keras.Model):
        return None
    nested = [layer for layer in branch.layers if isinstance(layer, keras.Model) and layer.weights]
    if len(nested) != 1:
        return None
    inside = nested[0]._flatten_layers(include_self=False)
    # A model says of itself only what was set, not what its layers do.
    own = [layer for layer in inside if layer.weights and not isinstance(layer, keras.Model)]
    trained = [layer for layer in own if layer.trainable]
    if not trained:
        return nested[0]
    return "only a part of it is frozen" if len(trained) < len(own) else None


def cut_branch(model: keras.Model, name: str, frozen: keras.Model) -> Cut | str:
    """Cut a branch behind its frozen part, or return why it cannot be cut."""
    branch = model.get_layer(f"{name}_branch")
    outer, inner = _node(model, branch), _node(branch, frozen)
    known = {id(tensor) for tensor in model.inputs}
    if outer is None or inner is None or not all(id(tensor) in known for tensor in outer.input_tensors):
        return "the branch is called several times, or on other tensors than the inputs"
    if any(getattr(layer, "_seed_generators", None) for layer in frozen._flatten_layers()):
        return "it is random in training (dropout)"
    before = keras.Function(branch.inputs, list(inner.output_tensors))
    if any(getattr(operation, "trainable_variables", ()) for operation in before.operations):
        return "a trained layer stands before it"
    if inputs_behind(branch, {id(tensor) for tensor in inner.output_tensors}):
        return "the layers behind it read the input too"
    # Not keras.Model: it adds calls to the layers, and the model could not be saved any more.
    rest = keras.Function(list(inner.output_tensors), branch.outputs)
    return Cut(before, rest, tuple(each.name for each in outer.input_tensors), tuple(outer.output_tensors))


def _node(model: keras.Model, layer: keras.layers.Layer) -> Any:
    """Return the one call of a layer in a model's graph; None if there are several."""
    own = {id(node) for nodes in model._nodes_by_depth.values() for node in nodes}
    found = [node for node in layer._inbound_nodes if id(node) in own]
    return found[0] if len(found) == 1 else None


def inputs_behind(model: keras.Model, stops: set[int]) -> set[str]:
    """Return the names of a model's inputs that its outputs depend on other than through the tensors in ``stops``."""
    todo, seen, found = list(model.outputs), set(stops), set()
    while todo:
        tensor = todo.pop()
        if id(tensor) in seen:
            continue
        seen.add(id(tensor))
        operation, node_index, _ = tensor._keras_history
        node = operation._inbound_nodes[node_index]
        if node.is_input:
            found.add(tensor.name)
        todo += node.input_tensors
    return found


def run(function: keras.Function, inputs: Sequence[Any], training: bool | None) -> Any:
    """Compute a part of a model as the model does; `keras.Function.call` leaves dropout off in training."""
    return function._run_through_graph(
        list(inputs), operation_fn=lambda operation: operation_fn(operation, training=training)
    )


def flat(values: Any) -> list[Any]:
    """Return one tensor or several as a list."""
    return list(values) if isinstance(values, list | tuple) else [values]
