"""Gives every operation of a converted graph the Keras layers that it came from."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Hashable, Iterable, Sequence
from dataclasses import dataclass

from export.doctor.scopes import Scopes

__all__ = ["Step", "origins"]

_STEPS = 8


@dataclass(frozen=True)
class Step:
    """One operation of any format."""

    names: tuple[str, ...]
    """Its own name and those of what it makes, whichever the format has."""
    inputs: tuple[Hashable, ...]
    """What it reads, constants left out."""
    outputs: tuple[Hashable, ...]
    """What it makes."""
    constants: tuple[str, ...] = ()
    """Names of the constants that it reads: a weight tells its layer where the operation does not."""
    makes: tuple[str, ...] = ()
    """Layers that make an output of the model, where the operation makes that output."""


def origins(steps: Sequence[Step], scopes: Scopes) -> list[tuple[str, ...]]:
    """Return the paths of the layers of every operation.

    An operation whose name tells no layer was added by the converter, or was renamed because it makes an output of the
    model. Its weights or that output may tell; else it gets the layers of the nearest operation that has them, those
    that read it first.

    Args:
        steps: all operations of a graph.
        scopes: of the trace that the graph was made from.
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
