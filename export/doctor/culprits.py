"""Finds the layers that make a conversion fail, by converting smaller and smaller parts of the model."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import keras

from export.doctor.cures import broken
from export.doctor.scopes import Scopes
from export.doctor.verdicts import Examination, Finding, Verdict
from export.doctor.verdicts import reason as reason_of

__all__ = ["MOST", "Culprit", "blame", "culprits"]

MOST = 60


@dataclass(frozen=True)
class Culprit:
    """A layer, or a few layers in a row, that cannot be converted."""

    layers: tuple[str, ...]
    kinds: tuple[str, ...]
    reason: str
    """The converter's error for them alone."""


def culprits(
    model: keras.Model, problem: Callable[[keras.Model], str], say: Callable[[str], None] = lambda text: None
) -> list[Culprit]:
    """Bisect a model until the layers are left that cannot be converted by themselves.

    ``problem`` tries to convert a model with a dict of inputs and a dict of outputs, and returns an error message or an
    empty text. The result is empty where every part works alone, or the model is not functional.
    """
    return _Search(problem, say).of(model, "")


def blame(
    result: Examination,
    model: keras.Model,
    problem: Callable[[keras.Model], str],
    reason: str,
    scopes: Scopes,
    say: Callable[[str], None],
    *,
    what: str = "the conversion fails",
    error: bool = True,
) -> None:
    """Add a finding for each culprit, or for the whole model with the ``reason`` where there is none."""
    say(f"{result.target}: looking for the layer that cannot be converted")
    found = culprits(model, problem, say)
    for each in found:
        text = reason_of(scopes.plain(each.reason))
        result.add(Finding(Verdict.BREAKS, error, each.layers, (), f"{what}: {text}", broken(text, each.kinds)))
    if not found:
        text = reason_of(scopes.plain(reason))
        layers = scopes.of(reason.replace("\n", ";"))
        cure = broken(text, [scopes.kind(path) for path in layers])
        message = f"{what} for the whole model, but for no part of it alone: {text}"
        result.add(Finding(Verdict.BREAKS, error, layers, (), message, cure))


class _Search:
    def __init__(self, problem: Callable[[keras.Model], str], say: Callable[[str], None]) -> None:
        self._problem, self._say = problem, say
        self._tried = 0

    def of(self, model: Any, prefix: str) -> list[Culprit]:
        if not isinstance(model, keras.src.models.Functional):
            return []
        nodes = _nodes(model)
        return self._within(model, nodes, 0, len(nodes), prefix, "the whole model")

    def _within(
        self, model: Any, nodes: Sequence[Any], first: int, last: int, prefix: str, reason: str
    ) -> list[Culprit]:
        """Return the culprits among the nodes from first up to last, which fail together."""
        if last - first == 1:
            operation = nodes[first].operation
            path = f"{prefix}{operation.name}"
            inner = self.of(operation, f"{path}/")
            return inner or [Culprit((path,), (type(operation).__name__,), reason)]
        middle = (first + last) // 2
        found = []
        for start, end in ((first, middle), (middle, last)):
            if why := self._try(model, nodes, start, end):
                found += self._within(model, nodes, start, end, prefix, why)
        return found or self._together(model, nodes, first, last, prefix, reason)

    def _together(
        self, model: Any, nodes: Sequence[Any], first: int, last: int, prefix: str, reason: str
    ) -> list[Culprit]:
        """Return the shortest sequence of nodes that fails although each half works."""
        while last - first > 2 and (why := self._try(model, nodes, first, last - 1)):
            last, reason = last - 1, why
        while last - first > 2 and (why := self._try(model, nodes, first + 1, last)):
            first, reason = first + 1, why
        if last - first == len(nodes):
            return []
        row = [node.operation for node in nodes[first:last]]
        kinds = tuple(type(operation).__name__ for operation in row)
        return [Culprit(tuple(f"{prefix}{operation.name}" for operation in row), kinds, reason)]

    def _try(self, model: Any, nodes: Sequence[Any], first: int, last: int) -> str:
        if self._tried >= MOST:
            return ""
        self._tried += 1
        self._say(f"looking for the layer: part {self._tried}, {last - first} layers")
        try:
            part = _part(model, nodes[first:last])
        except Exception as error:  # a layer may raise anything when it is called
            return str(error) or type(error).__name__
        return self._problem(part) if part is not None else ""


def _nodes(model: Any) -> list[Any]:
    """Return the calls of a functional model's layers and operations in topological order."""
    by_depth = model._nodes_by_depth
    return [node for depth in sorted(by_depth, reverse=True) for node in by_depth[depth] if not node.is_input]


def _part(model: Any, nodes: Sequence[Any]) -> keras.Model | None:
    """Return some of the calls as a model of their own, or None where they have no inputs."""
    made = {id(tensor): tensor for node in nodes for tensor in node.output_tensors}
    read = {id(tensor): tensor for node in nodes for tensor in node.input_tensors}
    inputs = [tensor for key, tensor in read.items() if key not in made]
    # Outputs of the part: values that other nodes or nobody reads, and outputs of the model.
    others = {id(t) for node in _nodes(model) if node not in nodes for t in node.input_tensors}
    wanted = others | {id(tensor) for tensor in model.outputs}
    outputs = [tensor for key, tensor in made.items() if key in wanted or key not in read]
    if not inputs:
        return None
    fresh = [keras.Input(batch_shape=t.shape, dtype=t.dtype, name=f"input_{i}") for i, t in enumerate(inputs)]
    results = keras.Model(inputs, outputs)(fresh)
    results = results if isinstance(results, list | tuple) else [results]
    return keras.Model(
        {tensor.name: tensor for tensor in fresh},
        # An output that is an unchanged input would have no operation.
        {f"output_{i}": tensor for i, tensor in enumerate(results)},
    )
