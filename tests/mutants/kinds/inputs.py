"""Faults before the model, inside the file: it computes on other inputs than it was given."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from tests.mutants.kind import Arrays, Kind, Scene, Signal

__all__ = ["KINDS", "Change", "changed", "previous", "tied"]

IMAGE, IDS, MASK = "image", "text_token_ids", "text_padding_mask"
Change = Callable[[np.ndarray], np.ndarray]


def changed(name: str, change: Change) -> Signal:
    """Change one input."""

    def inputs(arrays: Arrays, scene: Scene) -> Arrays:
        return {**arrays, name: np.ascontiguousarray(change(arrays[name])).astype(arrays[name].dtype)}

    return Signal(inputs=inputs)


def _levels(change: Change) -> Signal:
    return changed(IMAGE, lambda pixels: np.clip(np.rint(change(pixels.astype(np.float64))), 0, 255))


def _shifted(pixels: int) -> Signal:
    return changed(IMAGE, lambda image: np.roll(image, (pixels, pixels), (1, 2)))


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


def previous(*names: str) -> Signal:
    """Give inputs of the sample before."""

    def inputs(arrays: Arrays, scene: Scene) -> Arrays:
        moved = {}
        for name in names:
            before = scene.state.get(name, arrays[name][-1:])
            scene.state[name] = arrays[name][-1:].copy()
            moved[name] = np.concatenate([before, arrays[name][:-1]])
        return arrays | moved

    return Signal(inputs=inputs)


def tied(first: str, second: str) -> Signal:
    """Let the presence of each of two modalities reach the branch of the other, too."""

    def inputs(arrays: Arrays, scene: Scene) -> Arrays:
        both = arrays[f"{first}_present"] * arrays[f"{second}_present"]
        return {**arrays, f"{first}_present": both, f"{second}_present": both}

    return Signal(inputs=inputs)


def _presence(name: str, change: Change) -> Signal:
    return changed(f"{name}_present", change)


def _each(change: Change) -> dict[str, Signal]:
    return {name: _presence(name, change) for name in ("image", "text")}


def _filled(mask: np.ndarray) -> np.ndarray:
    return np.ones_like(mask)


KINDS = (
    Kind(
        "branch-blind",
        "a branch sees the same values in every sample, although its modality is there",
        {"image": changed(IMAGE, np.zeros_like), "image grey": changed(IMAGE, lambda v: np.full_like(v, 128))}
        | {"text": changed(IDS, np.zeros_like)},
    ),
    Kind("presence-ignored", "a modality always counts as there", _each(np.ones_like)),
    Kind("presence-inverted", "a modality counts as there where it is missing", _each(lambda v: 1 - v)),
    Kind("presence-never", "a modality always counts as missing", _each(np.zeros_like)),
    Kind("presence-tied", "one missing modality makes both missing", {"": tied("image", "text")}),
    Kind("padding-mask-ignored", "padding is read as words", {"": changed(MASK, _filled)}),
    Kind("padding-mask-short", "the last word is masked", {"": changed(MASK, lambda m: np.roll(m, -1, 1) * m)}),
    Kind("token-ids-off-by-one", "every word is the next word of the vocabulary", {"": changed(IDS, lambda v: v + 1)}),
    Kind("token-order", "the words are read backwards", {"": Signal(inputs=_reversed_tokens)}),
    Kind("tokens-cut", "words after the first few are lost", {"5": _first_tokens(5), "8": _first_tokens(8)}),
    Kind(
        "stale-input",
        "a modality of the sample before",
        {"image": previous(IMAGE), "text": previous(IDS)},
    ),
    Kind("channels-reversed", "BGR in place of RGB", {"": changed(IMAGE, lambda v: v[..., ::-1])}),
    Kind("channels-swapped", "green and blue are exchanged", {"": changed(IMAGE, lambda v: v[..., [0, 2, 1]])}),
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
    Kind("pixel-signed", "bytes are read as signed", {"": changed(IMAGE, lambda v: v ^ 128)}),
    Kind("gamma", "linear light in place of sRGB", {"": _levels(lambda v: 255 * (v / 255) ** 2.2)}),
    Kind("picture-transposed", "rows are columns", {"": changed(IMAGE, lambda v: v.transpose(0, 2, 1, 3))}),
    Kind("picture-mirrored", "left is right", {"": changed(IMAGE, lambda v: v[:, :, ::-1])}),
    Kind("picture-upside-down", "top is bottom", {"": changed(IMAGE, lambda v: v[:, ::-1])}),
    Kind("picture-shifted", "the picture stands so many pixels off", {str(by): _shifted(by) for by in (1, 4)}),
    Kind("picture-grey", "colours are lost", {"": changed(IMAGE, lambda v: v.mean(-1, keepdims=True).repeat(3, -1))}),
    Kind("picture-coarse", "half the resolution", {"": changed(IMAGE, _coarse)}),
    Kind("picture-blurred", "a 2 x 2 mean", {"": changed(IMAGE, _blurred)}),
    Kind("picture-4-bits", "16 levels in place of 256", {"": changed(IMAGE, lambda v: v & 0xF0)}),
)
