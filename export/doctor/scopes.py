"""Which Keras layer every operation of a graph came from: layers leave their number in TensorFlow's name scopes.

The scopes that Keras opens itself are not enough: plain operations between layers (``x + y`` in a functional model)
have none, and a layer's name with a counter behind it may be another layer's name.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Hashable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

__all__ = ["Layer", "Scopes", "Step", "origins", "recorded"]

_MARK = re.compile(r"layer\.(\d+)\.(?:_\d+)?/")
_STEPS = 8


@dataclass(frozen=True)
class Layer:
    """A layer, or a plain operation of a functional model."""

    path: str
    """Names from the outermost to its own, joined by ``/``; empty for the model itself."""
    kind: str


class Scopes:
    """The layers that were called while a graph was traced."""

    def __init__(self) -> None:
        self.layers: list[Layer] = []
        self._numbers: dict[str, int] = {}
        self._open: list[str] = []

    def of(self, name: str) -> tuple[str, ...]:
        """Return the paths of the layers that an operation's or tensor's name shows; converters join names by ``;``."""
        found = [self.layers[int(marks[-1])].path for part in name.split(";") if (marks := _MARK.findall(part))]
        return tuple(dict.fromkeys(path for path in found if path))

    def kind(self, path: str) -> str:
        """Return the class of a layer; empty for one that was not called."""
        return self.layers[self._numbers[path]].kind if path in self._numbers else ""

    @staticmethod
    def plain(text: str) -> str:
        """Return a text without the numbers, with the names that Keras alone would give."""
        return _MARK.sub("", text)

    @contextmanager
    def entered(self, operation: Any) -> Iterator[None]:
        """Name all operations that are traced within after a layer."""
        import tensorflow as tf

        path = "/".join([*self._open[1:], operation.name]) if self._open else ""
        if path not in self._numbers:
            self._numbers[path] = len(self.layers)
            self.layers.append(Layer(path, type(operation).__name__))
        self._open.append(operation.name)
        try:
            with tf.name_scope(f"layer.{self._numbers[path]}."):
                yield
        finally:
            self._open.pop()


@contextmanager
def recorded() -> Iterator[Scopes]:
    """Record the layers of every model that is called within."""
    import keras

    scopes = Scopes()
    call_layer, call_operation = keras.Layer.__call__, keras.Operation.__call__

    def layer(self: Any, *args: Any, **kwargs: Any) -> Any:
        with scopes.entered(self):
            return call_layer(self, *args, **kwargs)

    def operation(self: Any, *args: Any, **kwargs: Any) -> Any:
        if isinstance(self, keras.Layer):  # a layer passes here too, on its way from above
            return call_operation(self, *args, **kwargs)
        with scopes.entered(self):
            return call_operation(self, *args, **kwargs)

    keras.Layer.__call__, keras.Operation.__call__ = layer, operation
    try:
        yield scopes
    finally:
        keras.Layer.__call__, keras.Operation.__call__ = call_layer, call_operation


@dataclass(frozen=True)
class Step:
    """One operation of any format."""

    names: tuple[str, ...]
    """Its own name and those of its outputs, whichever the format has."""
    inputs: tuple[Hashable, ...]
    """What it reads, except constants."""
    outputs: tuple[Hashable, ...]
    constants: tuple[str, ...] = ()
    """Names of the constants that it reads: a weight shows its layer where the operation does not."""
    makes: tuple[str, ...] = ()
    """Layers that make an output of the model, where this operation writes that output."""


def origins(steps: Sequence[Step], scopes: Scopes) -> list[tuple[str, ...]]:
    """Return the paths of the layers of every operation.

    An operation whose name shows no layer was added by the converter, or was renamed because it writes an output of the
    model. Its weights or that output may show it; else it gets the layers of the nearest operation that has them, those
    that read it first.
    """
    named = [_told(step.names, scopes) or step.makes or _told(step.constants, scopes) for step in steps]
    readers, makers = defaultdict(list), {}
    for index, step in enumerate(steps):
        for value in step.inputs:
            readers[value].append(index)
        makers.update(dict.fromkeys(step.outputs, index))
    return [own or _nearest(index, steps, named, readers, makers) for index, own in enumerate(named)]


def _told(names: Iterable[str], scopes: Scopes) -> tuple[str, ...]:
    return tuple(dict.fromkeys(path for name in names for path in scopes.of(name)))


def _nearest(
    index: int,
    steps: Sequence[Step],
    named: Sequence[tuple[str, ...]],
    readers: dict[Hashable, list[int]],
    makers: dict[Hashable, int],
) -> tuple[str, ...]:
    near, seen = [index], {index}
    for _ in range(_STEPS):
        following = [reader for each in near for value in steps[each].outputs for reader in readers.get(value, ())]
        following += [makers[value] for each in near for value in steps[each].inputs if value in makers]
        near = [each for each in dict.fromkeys(following) if each not in seen]
        seen.update(near)
        for each in near:
            if named[each]:
                return named[each]
    return ()
