"""Faults before the model, inside the file: it computes on other inputs than it was given."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from tests.mutants.kind import Arrays, Kind, Scene, Signal

__all__ = ["KINDS"]

IMAGE, IDS, MASK = "image", "text_token_ids", "text_padding_mask"
Change = Callable[[np.ndarray], np.ndarray]


def _on(name: str, change: Change) -> Signal:
    def inputs(arrays: Arrays, scene: Scene) -> Arrays:
        return {**arrays, name: np.ascontiguousarray(change(arrays[name])).astype(arrays[name].dtype)}

    return Signal(inputs=inputs)


def _levels(change: Change) -> Signal:
    return _on(IMAGE, lambda pixels: np.clip(np.rint(change(pixels.astype(np.float64))), 0, 255))


def _shifted(pixels: int) -> Signal:
    return _on(IMAGE, lambda image: np.roll(image, (pixels, pixels), (1, 2)))


def _coarse(image: np.ndarray) -> np.ndarray:
    """Half the resolution: every 2 x 2 pixels are their mean."""
    batch, height, width, channels = image.shape
    blocks = np.float64(image).reshape(batch, height // 2, 2, width // 2, 2, channels)
    return np.rint(blocks.mean((2, 4)).repeat(2, 1).repeat(2, 2))


def _blurred(image: np.ndarray) -> np.ndarray:
    values = np.float64(image)
    return np.rint((values + np.roll(values, 1, 1) + np.roll(values, 1, 2) + np.roll(values, (1, 1), (1, 2))) / 4)


def _reversed_tokens(arrays: Arrays, scene: Scene) -> Arrays:
    ids = arrays[IDS].copy()
    for row, mask in zip(ids, arrays[MASK], strict=True):
        length = int(mask.sum())
        row[1 : length - 1] = row[1 : length - 1][::-1].copy()
    return {**arrays, IDS: ids}


def _first_tokens(count: int) -> Signal:
    def inputs(arrays: Arrays, scene: Scene) -> Arrays:
        keep = np.arange(arrays[MASK].shape[1]) < count
        return {**arrays, IDS: arrays[IDS] * keep, MASK: arrays[MASK] * keep}

    return Signal(inputs=inputs)


def _previous(name: str) -> Signal:
    def inputs(arrays: Arrays, scene: Scene) -> Arrays:
        values = arrays[name]
        before = scene.state.get(name, values[-1:])
        scene.state[name] = values[-1:].copy()
        return {**arrays, name: np.concatenate([before, values[:-1]])}

    return Signal(inputs=inputs)


def _presence(name: str, change: Change) -> Signal:
    return _on(f"{name}_present", change)


def _each(change: Change) -> dict[str, Signal]:
    return {name: _presence(name, change) for name in ("image", "text")}


def _filled(mask: np.ndarray) -> np.ndarray:
    return np.ones_like(mask)


def _tied(arrays: Arrays, scene: Scene) -> Arrays:
    """A presence that reaches the other branch, too."""
    both = arrays["image_present"] * arrays["text_present"]
    return {**arrays, "image_present": both, "text_present": both}


KINDS = (
    Kind(
        "branch-blind",
        "a branch sees the same values in every sample, although its modality is there",
        {"image": _on(IMAGE, np.zeros_like), "image grey": _on(IMAGE, lambda v: np.full_like(v, 128))}
        | {"text": _on(IDS, np.zeros_like)},
    ),
    Kind("presence-ignored", "a modality always counts as there", _each(np.ones_like)),
    Kind("presence-inverted", "a modality counts as there where it is missing", _each(lambda v: 1 - v)),
    Kind("presence-never", "a modality always counts as missing", _each(np.zeros_like)),
    Kind("presence-tied", "one missing modality makes both missing", {"": Signal(inputs=_tied)}),
    Kind("padding-mask-ignored", "padding is read as words", {"": _on(MASK, _filled)}),
    Kind("padding-mask-short", "the last word is masked", {"": _on(MASK, lambda m: np.roll(m, -1, 1) * m)}),
    Kind("token-ids-off-by-one", "every word is the next word of the vocabulary", {"": _on(IDS, lambda v: v + 1)}),
    Kind("token-order", "the words are read backwards", {"": Signal(inputs=_reversed_tokens)}),
    Kind("tokens-cut", "words after the first few are lost", {"5": _first_tokens(5), "8": _first_tokens(8)}),
    Kind(
        "stale-input",
        "a modality of the sample before",
        {"image": _previous(IMAGE), "text": _previous(IDS)},
    ),
    Kind("channels-reversed", "BGR in place of RGB", {"": _on(IMAGE, lambda v: v[..., ::-1])}),
    Kind("channels-swapped", "green and blue are exchanged", {"": _on(IMAGE, lambda v: v[..., [0, 2, 1]])}),
    Kind(
        "mean-shifted",
        "pixels are lighter by so many levels",
        {str(by): _levels(lambda v, b=by: v + b) for by in (8, 32, -32)},  # type: ignore[misc]
    ),
    Kind(
        "contrast",
        "pixels are divided by another standard deviation",
        {str(by): _levels(lambda v, b=by: 128 + (v - 128) * b) for by in (0.8, 0.5, 1.5)},  # type: ignore[misc]
    ),
    Kind("pixel-range", "0..1 where the network expects -1..1", {"": _levels(lambda v: 127.5 + v / 2)}),
    Kind("pixel-signed", "bytes are read as signed", {"": _on(IMAGE, lambda v: v ^ 128)}),
    Kind("gamma", "linear light in place of sRGB", {"": _levels(lambda v: 255 * (v / 255) ** 2.2)}),
    Kind("picture-transposed", "rows are columns", {"": _on(IMAGE, lambda v: v.transpose(0, 2, 1, 3))}),
    Kind("picture-mirrored", "left is right", {"": _on(IMAGE, lambda v: v[:, :, ::-1])}),
    Kind("picture-upside-down", "top is bottom", {"": _on(IMAGE, lambda v: v[:, ::-1])}),
    Kind("picture-shifted", "the picture stands so many pixels off", {str(by): _shifted(by) for by in (1, 4)}),
    Kind("picture-grey", "colours are lost", {"": _on(IMAGE, lambda v: v.mean(-1, keepdims=True).repeat(3, -1))}),
    Kind("picture-coarse", "half the resolution", {"": _on(IMAGE, _coarse)}),
    Kind("picture-blurred", "a 2 x 2 mean", {"": _on(IMAGE, _blurred)}),
    Kind("picture-4-bits", "16 levels in place of 256", {"": _on(IMAGE, lambda v: v & 0xF0)}),
)
