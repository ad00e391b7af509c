"""Changes inputs and outputs of layers while a model runs, without changing the model."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from typing import Any

from keras import layers

from mmkeras.training.quantization_aware.places import Place
from mmkeras.training.replaced import replaced

__all__ = ["Change", "watched"]

Change = Callable[[int, bool, Any], Any]
"""Called with the number of a place, whether the values are its output (else its input), and the values, float of any
shape. Returns the values to use."""


@contextmanager
def watched(model: Any, places: Sequence[Place], change: Change, *, outputs: bool) -> Iterator[None]:
    """Within the context, change the inputs and, if wanted, the outputs of a model's places with a function.

    Batch normalization uses its moving statistics, in training too: the exporters fold those.
    """
    with ExitStack() as stack:

        def replace(owner: Any, name: str, changed: Callable[..., Any], *arguments: Any) -> None:
            stack.enter_context(replaced(owner, name, functools.partial(changed, *arguments, getattr(owner, name))))

        for layer in model._flatten_layers():
            if isinstance(layer, layers.BatchNormalization):
                replace(layer, "call", _with_moving_statistics)
        for number, place in enumerate(places):
            replace(place.layer, "call", _changed_input, functools.partial(change, number, False))
            if outputs and place.activation_within:
                replace(place.layer, "activation", _changed_input, functools.partial(change, number, True))
            elif outputs:
                replace(place.end, "call", _changed_output, functools.partial(change, number, True))
        yield


def _changed_input(change: Callable[[Any], Any], call: Callable[..., Any], values: Any, *args: Any, **kw: Any) -> Any:
    return call(change(values), *args, **kw)


def _changed_output(change: Callable[[Any], Any], call: Callable[..., Any], *args: Any, **kw: Any) -> Any:
    return change(call(*args, **kw))


def _with_moving_statistics(call: Callable[..., Any], values: Any, training: Any = None, mask: Any = None) -> Any:
    return call(values, training=False, mask=mask)
