"""Extra outputs in training: those of a modality that reads the others, computed as if the others were missing.

The model's own graph has no such outputs. It has `keras.layers.Identity` layers after the attention, which compute
nothing, are in no exported file, and are found by name in a saved model. In training, the layers after the attention
run once on both results, (2 B, ...), so that batch statistics include both.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import keras
from keras import ops

__all__ = ["SHARE", "SUFFIX", "after_reading", "extra_outputs"]

SUFFIX = "_alone"
"""Ending of the names of the extra outputs."""
SHARE = 0.5
"""Weight of their losses relative to those of the outputs."""

_READER = "fusion_cross_1_norm"
"""Name of the first layer of the attention; its input does not depend on the other modalities."""

_PREFIX = "fusion_alone_"
_PARTS = ("values", "mask", "readout", "distances")


def after_reading(values: Any, mask: Any, readout: Any, distances: Any | None) -> tuple[Any, Any, Any, Any | None]:
    """Return everything that the layers after the attention depend on, unchanged and named.

    Args:
        values: tokens after the attention, (B, N, D).
        mask: of the tokens, int32 (B, N).
        readout: measurements read by the attention, (B, N, M).
        distances: each token's own estimate, then those read from other modalities, (B, N, K); or None.
    """
    found = None if distances is None else _named(distances, "distances")
    return _named(values, "values"), _named(mask, "mask"), _named(readout, "readout"), found


def extra_outputs(model: keras.Model) -> Callable[[Any], dict[str, Any]] | None:
    """Return a function from inputs to the outputs in training and, beside each, one ``<output>_alone``.

    It is None if the fusion was built without ``alone``. The model may come from `mmkeras.model.build_model` or from a
    file; the function shares its layers.
    """
    names = {layer.name for layer in model.layers}
    # The model contains only the parts that an output depends on.
    parts = [part for part in _PARTS if _PREFIX + part in names]
    if not parts:
        return None
    tensors = {part: model.get_layer(_PREFIX + part).output for part in parts}
    unread = model.get_layer(_READER).input
    reading = keras.Model(model.input, {**tensors, "unread": unread}, name="reading")
    answering = keras.Model([tensors[part] for part in parts], model.output, name="answering")

    def outputs(inputs: Any) -> dict[str, Any]:
        read = reading(inputs, training=True)
        alone = _unread(read)
        both = answering([ops.concatenate([read[part], alone[part]], axis=0) for part in parts], training=True)
        samples = ops.shape(read["values"])[0]
        first = {name: value[:samples] for name, value in both.items()}
        return {**first, **{f"{name}{SUFFIX}": value[samples:] for name, value in both.items()}}

    return outputs


def _unread(read: Mapping[str, Any]) -> dict[str, Any]:
    """Return the parts as if nothing was read: no measurement, and each token's own estimate of the distance."""
    parts = {**read, "values": read["unread"]}
    if "readout" in read:
        parts["readout"] = ops.zeros_like(read["readout"])
    if "distances" in read:
        distances = read["distances"]
        parts["distances"] = ops.repeat(distances[:, :, :1], distances.shape[-1], axis=-1)
    return parts


def _named(value: Any, part: str) -> Any:
    # With a mixed policy, the layer would round values in full precision.
    full = keras.config.floatx() if value.dtype == keras.config.floatx() else None
    return keras.layers.Identity(dtype=full, name=_PREFIX + part)(value)
