"""Finds the Keras layer of every operation of a graph: layers write their number into TensorFlow's name scopes.

Keras' own scopes are not enough: plain operations between layers (``x + y`` in a functional model) have none, and a
layer's name with a counter may equal another layer's name.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Hashable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

__all__ = ["Scopes", "Step", "origins", "recorded"]

_MARK = re.compile(r"layer\.(\d+)\.(?:_\d+)?/")
_STEPS = 8


class Scopes:
    """The layers, and the plain operations of functional models, that were called while a graph was traced."""

    def __init__(self) -> None:
        self.kinds: dict[str, str] = {}
        """Class of each layer by its path: names from the outermost to its own, joined by ``/``; "" is the model."""
        self._open: list[str] = []

    def of(self, name: str) -> tuple[str, ...]:
        """Return the paths of the layers in an operation's or tensor's name; converters join names by ``;``."""
        paths = list(self.kinds)
        found = [paths[int(marks[-1])] for part in name.split(";") if (marks := _MARK.findall(part))]
        return tuple(dict.fromkeys(path for path in found if path))

    def kind(self, path: str) -> str:
        """Return the class of a layer; empty for one that was not called."""
        return self.kinds.get(path, "")

    @staticmethod
    def plain(text: str) -> str:
        """Return a text without the layers' numbers."""
        return _MARK.sub("", text)

    @contextmanager
    def entered(self, operation: Any) -> Iterator[None]:
        """Name all operations that are traced within after a layer."""
        import tensorflow as tf

        path = "/".join([*self._open[1:], operation.name]) if self._open else ""
        self.kinds.setdefault(path, type(operation).__name__)
        number = list(self.kinds).index(path)
        self._open.append(operation.name)
        try:
            with tf.name_scope(f"layer.{number}."):
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
        if isinstance(self, keras.Layer):  # called from keras.Layer.__call__
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
    """Its own name and those of its outputs, as far as the format has them."""
    inputs: tuple[Hashable, ...]
    """Values that it reads, except constants."""
    outputs: tuple[Hashable, ...]
    constants: tuple[str, ...] = ()
    """Names of the constants that it reads: a weight's name may show the layer where the operation's does not."""
    makes: tuple[str, ...] = ()
    """Layers of the model's output that this operation writes."""


def origins(steps: Sequence[Step], scopes: Scopes) -> list[tuple[str, ...]]:
    """Return the paths of the layers of every operation.

    An operation without a layer in its name was added by the converter, or renamed because it writes an output of the
    model. That output or a weight may show the layer; else it gets the layers of the nearest operation that has some,
    readers first.
    """

    def layers(names: Iterable[str]) -> tuple[str, ...]:
        return tuple(dict.fromkeys(path for name in names for path in scopes.of(name)))

    named = [layers(step.names) or step.makes or layers(step.constants) for step in steps]
    readers, makers = defaultdict(list), {}
    for index, step in enumerate(steps):
        for value in step.inputs:
            readers[value].append(index)
        makers.update(dict.fromkeys(step.outputs, index))
    return [own or _nearest(index, steps, named, readers, makers) for index, own in enumerate(named)]


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
