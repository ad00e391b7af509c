"""Lets activations pass through a function while a model runs, without changing the model."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Protocol

from keras import layers

from mmkeras.training.quantization_aware.places import Place

__all__ = ["Seen", "watched"]

_MISSING = object()


class Seen(Protocol):
    """What an activation passes through."""

    def __call__(self, place: int, output: bool, values: Any) -> Any:
        """Return the values to go on with.

        Args:
            place: number of the place.
            output: whether they are the layer's output, not its input.
            values: float, any shape.
        """


@contextmanager
def watched(model: Any, places: Sequence[Place], seen: Seen, *, outputs: bool) -> Iterator[None]:
    """Within the context, let inputs and outputs of places pass through ``seen``; batch statistics stand still.

    Batch normalisation uses its moving statistics, in training too: those are what an exporter folds.

    Args:
        model: the model that the places are in.
        places: of `find_places`.
        seen: the function.
        outputs: whether outputs pass through it as well as inputs.
    """
    changed: list[tuple[dict[str, Any], str, Any]] = []

    def replace(owner: Any, name: str, changed_call: Callable[..., Any]) -> None:
        # In the instance's own dictionary: Keras would track an attribute that is set.
        own = vars(owner)
        changed.append((own, name, own.get(name, _MISSING)))
        own[name] = functools.partial(changed_call, getattr(owner, name))

    try:
        for layer in _normalizations(model._flatten_layers()):
            replace(layer, "call", _with_moving_statistics)
        for number, place in enumerate(places):
            replace(place.layer, "call", functools.partial(_changed_input, functools.partial(seen, number, False)))
            if not outputs:
                continue
            change = functools.partial(seen, number, True)
            if place.activation_within:
                replace(place.layer, "activation", functools.partial(_changed_input, change))
            else:
                replace(place.end, "call", functools.partial(_changed_output, change))
        yield
    finally:
        for own, name, value in reversed(changed):
            if value is _MISSING:
                del own[name]
            else:
                own[name] = value


def _normalizations(every: Iterable[Any]) -> list[Any]:
    found = {id(layer): layer for layer in every if isinstance(layer, layers.BatchNormalization)}
    return list(found.values())


def _changed_input(change: Callable[[Any], Any], call: Callable[..., Any], values: Any, *args: Any, **kw: Any) -> Any:
    return call(change(values), *args, **kw)


def _changed_output(change: Callable[[Any], Any], call: Callable[..., Any], *args: Any, **kw: Any) -> Any:
    return change(call(*args, **kw))


def _with_moving_statistics(call: Callable[..., Any], values: Any, training: Any = None, mask: Any = None) -> Any:
    del training
    return call(values, training=False, mask=mask)
