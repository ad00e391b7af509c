"""Faults of the preprocessing on the host: on a device, or already while the export verifies."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any

import numpy as np

from tests.mutants.kind import HostChange, Kind

__all__ = ["KINDS", "Tensors", "presence_changed", "preprocessed"]

Tensors = dict[str, np.ndarray]


@contextmanager
def preprocessed(kind: str, change: Callable[[Any, Any, Callable[[Any], Tensors]], Tensors]) -> Iterator[None]:
    """Let a modality's spec preprocess otherwise: called with the spec, the raw value and its own preprocessing."""
    from mmkeras.core.components import find

    cls = find("modalities", kind, "spec").Spec
    own = cls.preprocess
    try:
        cls.preprocess = lambda self, value: change(self, value, lambda given: own(self, given))
        yield
    finally:
        cls.preprocess = own


def _pixels(change: Callable[[np.ndarray], np.ndarray]) -> HostChange:
    def after(spec: Any, value: Any, own: Callable[[Any], Tensors]) -> Tensors:
        return {name: np.ascontiguousarray(change(v)).astype(np.uint8) for name, v in own(value).items()}

    return HostChange(lambda: preprocessed("image", after))


def _resized(filter: str, *, integer: bool = True) -> HostChange:
    """Scale whole levels with one of Pillow's filters."""

    def instead(spec: Any, value: Any, own: Callable[[Any], Tensors]) -> Tensors:
        from PIL import Image

        from mmkeras.media.image.pixels import read_rgb

        image = read_rgb(value).resize((spec.width, spec.height), getattr(Image.Resampling, filter))
        return {spec.name: np.asarray(image)}

    return HostChange(lambda: preprocessed("image", instead))


def _without_antialias(spec: Any, value: Any, own: Callable[[Any], Tensors]) -> Tensors:
    from mmkeras.media.image.pixels import read_rgb

    pixels = np.asarray(read_rgb(value), np.float64)
    axes = [
        np.clip((np.arange(n) + 0.5) * size / n - 0.5, 0, size - 1)
        for n, size in zip((spec.height, spec.width), pixels.shape, strict=False)
    ]
    for axis, at in enumerate(axes):
        low = np.floor(at).astype(int)
        share = (at - low).reshape([-1, 1, 1] if axis == 0 else [1, -1, 1])
        high = np.minimum(low + 1, pixels.shape[axis] - 1)
        pixels = pixels.take(low, axis) * (1 - share) + pixels.take(high, axis) * share
    return {spec.name: np.rint(pixels).astype(np.uint8)}


def presence_changed(kind: str, change: Callable[[np.ndarray], np.ndarray]) -> HostChange:
    """Return a host that gives the model another presence of all modalities of a kind."""
    return HostChange(partial(_presence, kind, change))


def _text(change: Callable[[str], str]) -> HostChange:
    return HostChange(lambda: preprocessed("text", lambda spec, value, own: own(change(value))))


def _tokens(change: Callable[[Any, np.ndarray, np.ndarray], tuple[np.ndarray, np.ndarray]]) -> HostChange:
    def after(spec: Any, value: Any, own: Callable[[Any], Tensors]) -> Tensors:
        ids, mask = own(value).values()
        return dict(zip((t.name for t in spec.tensors), change(spec, ids, mask), strict=True))

    return HostChange(lambda: preprocessed("text", after))


def _from_the_end(spec: Any, value: Any, own: Callable[[Any], Tensors]) -> Tensors:
    """Cut long texts at their beginning."""
    import dataclasses

    ids, mask = dataclasses.replace(spec, max_length=64).preprocess_whole(value)
    room = spec.max_length
    if int(mask.sum()) <= room:
        return own(value)
    kept = ids[: int(mask.sum())]
    kept = np.concatenate([kept[:1], kept[1:][-(room - 1) :]])
    return {t.name: v for t, v in zip(spec.tensors, (kept, np.ones(room, np.int32)), strict=True)}


@contextmanager
def _cut_at_the_beginning() -> Iterator[None]:
    from mmkeras.core.components import find

    cls = find("modalities", "text", "spec").Spec
    own = cls.preprocess
    cls.preprocess_whole = lambda self, value: tuple(own(self, value).values())
    try:
        with preprocessed("text", _from_the_end):
            yield
    finally:
        del cls.preprocess_whole


@contextmanager
def _presence(kind: str, change: Callable[[np.ndarray], np.ndarray]) -> Iterator[None]:
    from mmkeras.core.components import find

    cls = find("modalities", kind, "spec").Spec
    own = cls.inputs
    try:
        cls.inputs = lambda self, value: {
            name: change(v) if name == self.present.name else v for name, v in own(self, value).items()
        }
        yield
    finally:
        cls.inputs = own


@contextmanager
def _case_kept() -> Iterator[None]:
    import dataclasses

    with preprocessed(
        "text", lambda spec, value, own: _preprocess_as(dataclasses.replace(spec, lowercase=False), value)
    ):
        yield


def _preprocess_as(spec: Any, value: Any) -> Tensors:
    from mmkeras.media.text.characters import words
    from mmkeras.media.text.vocabulary import pieces

    room = spec.max_length - 2
    unknown = spec.ids["[UNK]"]
    inner = [piece for word in words(value, spec.lowercase) for piece in pieces(word, spec.ids, unknown)][:room]
    ids = np.zeros(spec.max_length, np.int32)
    ids[: len(inner) + 2] = [spec.ids["[CLS]"], *inner, spec.ids["[SEP]"]]
    mask = (np.arange(spec.max_length) < len(inner) + 2).astype(np.int32)
    return {t.name: v for t, v in zip(spec.tensors, (ids, mask), strict=True)}


_HOST: tuple[tuple[str, str, dict[str, HostChange]], ...] = (
    ("host-channels-reversed", "BGR in place of RGB", {"": _pixels(lambda v: v[..., ::-1])}),
    (
        "host-filter",
        "pictures are scaled by another filter",
        {name.lower(): _resized(name) for name in ("NEAREST", "BOX", "BICUBIC", "LANCZOS", "HAMMING")},
    ),
    (
        "host-antialias-off",
        "bilinear without antialiasing",
        {"": HostChange(lambda: preprocessed("image", _without_antialias))},
    ),
    ("host-rounded-twice", "pixels are rounded between rows and columns", {"": _resized("BILINEAR")}),
    (
        "host-mean-shifted",
        "pixels are lighter by so many levels",
        {str(by): _pixels(lambda v, b=by: np.clip(v.astype(int) + b, 0, 255)) for by in (1, 2, 16)},  # type: ignore[misc]
    ),
    ("host-grey", "pictures lose their colours", {"": _pixels(lambda v: v.mean(-1, keepdims=True).repeat(3, -1))}),
    ("host-transposed", "rows are columns", {"": _pixels(lambda v: v.transpose(1, 0, 2))}),
    ("host-mirrored", "left is right", {"": _pixels(lambda v: v[:, ::-1])}),
    ("host-range", "0..1 in place of 0..255", {"": _pixels(lambda v: v / 255)}),
    ("host-case-kept", "capitals are not made small", {"": HostChange(_case_kept)}),
    ("host-cut-at-the-beginning", "long texts lose their beginning", {"": HostChange(_cut_at_the_beginning)}),
    ("host-marks-lost", "question marks are lost", {"": _text(lambda text: text.replace("?", ""))}),
    ("host-blank-lost", "the last word is lost", {"": _text(lambda text: text.rpartition(" ")[0])}),
    ("host-ids-off-by-one", "every word is the next of the vocabulary", {"": _tokens(lambda s, i, m: (i + m, m))}),
    ("host-mask-full", "padding counts as words", {"": _tokens(lambda s, i, m: (i, np.ones_like(m)))}),
    (
        "host-class-token-lost",
        "[CLS] is missing",
        {"": _tokens(lambda s, i, m: (np.append(i[1:], 0).astype(i.dtype), np.append(m[1:], 0).astype(m.dtype)))},
    ),
    (
        "host-presence-inverted",
        "a modality that is there counts as missing",
        {kind: presence_changed(kind, lambda v: np.asarray(1 - v, v.dtype)) for kind in ("image", "text")},
    ),
    (
        "host-presence-ignored",
        "a missing modality counts as there",
        {kind: presence_changed(kind, np.ones_like) for kind in ("image", "text")},
    ),
)

KINDS = tuple(
    Kind(name, f"{what}, {when}", plants, place=place)
    for place, when in (("device", "on the device"), ("export", "while the export verifies, and on the device"))
    for name, what, plants in _HOST
)
