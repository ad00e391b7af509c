"""Other ways to give one side its inputs, for the search of the one that explains a difference."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import combinations
from typing import Any

import numpy as np

from export.foreign.feeds import Feed, Feeds, Numbers, Picture
from export.foreign.model import Tensor
from export.foreign.picture import COLOURS, LAYOUTS, RESIZES, SCALES, PictureSpec

__all__ = ["MOST_CHANGES", "Variant", "variants"]

MOST_CHANGES = 3
"""Properties of a picture that are changed at the same time."""
_WORDS = {"colours": "in {} order", "scale": "on the scale {}", "resize": "resized by {}", "layout": "as {}"}
_TWISTS = {
    "reshaped": "with its dimensions reshaped in place of transposed",
    "swapped": "with rows and columns swapped",
}


@dataclass(frozen=True)
class Variant:
    """One way to give a side its inputs."""

    side: str
    feeds: Feeds
    what: str
    """In words, after ``when its input image is given``."""
    name: str
    """Name of the input."""
    declare: str
    """Option that declares it; empty where it cannot be declared, because the file itself is wrong."""
    changes: int = 1


@dataclass(frozen=True)
class _Twisted(PictureSpec):
    """A picture whose dimensions a converter has confused."""

    twist: str = ""

    def arrange(self, pixels: np.ndarray) -> np.ndarray:
        if self.twist == "swapped":
            return super().arrange(np.swapaxes(pixels, 0, 1))
        other = PictureSpec(**_fields(self) | {"layout": "nhwc" if self.layout == "nchw" else "nchw"})
        return np.ascontiguousarray(other.arrange(pixels)).reshape(self.shape)


def _fields(spec: PictureSpec) -> dict[str, Any]:
    return {field.name: getattr(spec, field.name) for field in dataclasses.fields(PictureSpec)}


def variants(feeds: Feeds, changes: int) -> Iterator[Variant]:
    """Yield every variant with so many changed properties, the file's before the reference's."""
    for side in ("file", "reference"):
        for place, feed in enumerate(feeds.feeds):

            def made(other: Feed, place: int = place) -> Feeds:
                return dataclasses.replace(feeds, feeds=(*feeds.feeds[:place], other, *feeds.feeds[place + 1 :]))

            if isinstance(feed, Picture):
                yield from _pictures(feed, side, changes, made)
            elif isinstance(feed, Numbers) and changes == 1:
                yield from _numbers(feed, side, made)
    if changes == 1:
        yield from _exchanged(feeds)


def _pictures(feed: Picture, side: str, changes: int, made: Callable[[Feed], Feeds]) -> Iterator[Variant]:
    spec, tensor = feed.specs[side], feed.tensors[side]
    choices: dict[str, list[str]] = {"resize": list(RESIZES)}
    if spec.colours != "grey":
        choices["colours"] = [name for name in COLOURS if name != "grey"]
    if tensor.scale or np.dtype(tensor.dtype).kind == "f":
        choices["scale"] = list(SCALES)
    if len(set(spec.shape)) == 1:
        choices["layout"] = list(LAYOUTS)
    option = "--file-input" if side == "file" else "--reference-input"
    for names in combinations(choices, changes):
        for values in _products([[v for v in choices[name] if v != getattr(spec, name)] for name in names]):
            given: dict[str, Any] = dict(zip(names, values, strict=True))
            other = dataclasses.replace(spec, **given)
            if other.scale != "custom":
                other = dataclasses.replace(other, mean=(), std=())
            what = " and ".join(
                _WORDS[n].format(v.upper() if n == "colours" else v) for n, v in zip(names, values, strict=True)
            )
            declare = f"{option} {tensor.name}={other.option(spec)}"
            feeds = made(dataclasses.replace(feed, specs={**feed.specs, side: other}))
            yield Variant(side, feeds, what, tensor.name, declare, changes)
    if changes == 1:
        for twist, what in _TWISTS.items():
            if twist == "swapped" and spec.size[0] != spec.size[1]:
                continue
            other = _Twisted(**_fields(spec), twist=twist)
            feeds = made(dataclasses.replace(feed, specs={**feed.specs, side: other}))
            yield Variant(side, feeds, what, tensor.name, "")


def _products(lists: list[list[str]]) -> Iterator[tuple[str, ...]]:
    if not lists:
        yield ()
        return
    for value in lists[0]:
        for rest in _products(lists[1:]):
            yield (value, *rest)


@dataclass(frozen=True)
class _Changed(Numbers):
    """Numbers of which one side gets a function."""

    side: str = ""
    function: Callable[[np.ndarray], np.ndarray] = np.asarray

    def inputs(self, value: np.ndarray, side: str) -> dict[str, np.ndarray]:
        return super().inputs(self.function(np.asarray(value)) if side == self.side else value, side)


def _numbers(feed: Numbers, side: str, made: Callable[[Feed], Feeds]) -> Iterator[Variant]:
    tensor: Tensor = feed.tensors[side]
    functions: dict[str, Callable[[np.ndarray], np.ndarray]] = {}
    if tensor.scale or np.dtype(tensor.dtype).kind == "f":
        functions["divided by 255"] = lambda value: value / 255
        functions["multiplied by 255"] = lambda value: value * 255
    if len(tensor.shape) == 3 and 3 in tensor.shape:
        functions["with its channels reversed (BGR for RGB)"] = _reversed
    for what, function in functions.items():
        other = _Changed(feed.name, feed.columns, feed.tensors, side, function)
        yield Variant(side, made(other), what, tensor.name, "")


def _reversed(value: np.ndarray) -> np.ndarray:
    axis = next((axis for axis in (-1, 0) if value.ndim == 3 and value.shape[axis] == 3), None)
    return value if axis is None else np.flip(value, axis)


def _exchanged(feeds: Feeds) -> Iterator[Variant]:
    """Yield the exchange of two inputs of the file that have the same shape."""
    single = [feed for feed in feeds.feeds if isinstance(feed, Picture | Numbers)]
    for one, other in combinations(single, 2):
        first, second = one.tensors["file"], other.tensors["file"]
        if type(one) is not type(other) or first.shape != second.shape:
            continue
        changed = {
            one.name: dataclasses.replace(one, tensors={**one.tensors, "file": second}),
            other.name: dataclasses.replace(other, tensors={**other.tensors, "file": first}),
        }
        made = dataclasses.replace(feeds, feeds=tuple(changed.get(feed.name, feed) for feed in feeds.feeds))
        partners = {pair.file: pair.reference for pair in feeds.pairs}
        declare = f"--pair {first.name}={partners[second.name]} {second.name}={partners[first.name]}"
        yield Variant("file", made, f"the values of {second.name}", first.name, declare)
