"""Which Keras layer every operation of a graph came from: layers leave their number in TensorFlow's name scopes.

The scopes that Keras opens itself are not enough: plain operations between layers (``x + y`` in a functional model)
have none, and a layer's name with a counter behind it may be another layer's name.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

__all__ = ["Layer", "Scopes", "recorded"]

_MARK = re.compile(r"layer\.(\d+)\.(?:_\d+)?/")


@dataclass(frozen=True)
class Layer:
    """A layer, or a plain operation of a functional model."""

    path: str
    """Names from the outermost to its own, joined by ``/``; empty for the model itself."""
    kind: str
    """Its class."""


class Scopes:
    """The layers that were called while a graph was traced."""

    def __init__(self) -> None:
        self.layers: list[Layer] = []
        self._numbers: dict[str, int] = {}
        self._open: list[str] = []

    def of(self, name: str) -> tuple[str, ...]:
        """Return the paths of the layers that an operation's or tensor's name tells; converters join names by ``;``."""
        found = [self.layers[int(marks[-1])].path for part in name.split(";") if (marks := _MARK.findall(part))]
        return tuple(dict.fromkeys(path for path in found if path))

    def kind(self, path: str) -> str:
        """Return the class of a layer; empty for one that was not called."""
        return self.layers[self._numbers[path]].kind if path in self._numbers else ""

    @staticmethod
    def plain(text: str) -> str:
        """Return a text without the numbers, as Keras alone would have named things."""
        return _MARK.sub("", text)

    @contextmanager
    def entered(self, operation: Any) -> Iterator[None]:
        """Name everything that is traced within after a layer."""
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
