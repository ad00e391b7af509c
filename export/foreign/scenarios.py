"""Changes of the inputs that both sides are compared on too: an input that is missing, and pictures that are spoilt."""

from __future__ import annotations

import io
from collections.abc import Callable, Collection, Mapping
from functools import partial
from typing import Any

import numpy as np
from PIL import Image, ImageFilter

from export.foreign.feeds import Feed, Feeds, Frame, Modality, Picture
from export.foreign.measure import Change
from mmkeras.core.errors import ConfigError, nearest

__all__ = ["CORRUPTIONS", "scenarios"]

_LONGEST = 640
"""Longest side of a picture before it is spoilt, so that the effect does not depend on the camera's resolution."""


def _noise(image: Image.Image) -> Image.Image:
    pixels = np.asarray(image, np.float32)
    drawn = np.random.default_rng(pixels.size).normal(0, 25, pixels.shape)
    return Image.fromarray(np.clip(np.rint(pixels + drawn), 0, 255).astype(np.uint8))


def _blur(image: Image.Image) -> Image.Image:
    return image.filter(ImageFilter.GaussianBlur(max(image.size) / 100))


def _dark(image: Image.Image) -> Image.Image:
    return image.point(lambda level: level // 4)


def _jpeg(image: Image.Image) -> Image.Image:
    stream = io.BytesIO()
    image.save(stream, "JPEG", quality=10)
    return Image.open(stream).convert("RGB")


CORRUPTIONS: dict[str, Callable[[Image.Image], Image.Image]] = {
    "noise": _noise,
    "blur": _blur,
    "dark": _dark,
    "jpeg": _jpeg,
}
"""Gaussian noise of 25 levels; blur of 1 % of the longer side; a quarter of the light; JPEG of quality 10."""


def scenarios(feeds: Feeds, missing: Mapping[str, float], corruptions: Collection[str]) -> dict[str, Change]:
    """Return the changes by the name of the scenario: ``without_<input>``, ``<corruption>_<input>``.

    Raises:
        ConfigError: an input or a corruption that there is none of.
    """
    names = {pair.reference: pair.file for pair in feeds.pairs}
    known = {feed.name: feed for feed in feeds.feeds}
    found: dict[str, Change] = {}
    for name, fill in missing.items():
        feed = known.get(name) or known.get(names.get(name, ""))
        if feed is None:
            raise ConfigError(f"--missing {name}: no input is called {name!r}; {nearest(name, known)}")
        if isinstance(feed, Modality) and fill:
            raise ConfigError(
                f"--missing {name}: its spec says what stands in for a missing value; leave out ={fill:g}"
            )
        found[f"without_{feed.name}"] = _changed(feed.name, partial(_filled, feed, fill))
    unknown = [name for name in corruptions if name not in CORRUPTIONS]
    if unknown:
        raise ConfigError(f"--corruptions: {unknown[0]!r} is unknown; {nearest(unknown[0], CORRUPTIONS)}")
    for feed in feeds.feeds:
        if isinstance(feed, Picture):
            for name in corruptions:
                found[f"{name}_{feed.name}"] = _changed(feed.name, partial(_spoilt, name))
    return found


def _filled(feed: Feed, fill: float, value: Any) -> Any:
    return feed.missing(value, fill)


def _spoilt(name: str, frame: Frame) -> Frame:
    small = frame.image.copy()
    small.thumbnail((_LONGEST, _LONGEST))
    return Frame(CORRUPTIONS[name](small))


def _changed(name: str, change: Callable[[Any], Any]) -> Change:
    return lambda values: {**values, name: change(values[name])}
