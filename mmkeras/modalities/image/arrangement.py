"""Scales pictures as the weights of a local EfficientNetB0 to B7 file expect it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import h5py
import keras
import numpy as np

__all__ = ["scale_as_trained"]

_DEVIATION = (0.229, 0.224, 0.225)
"""Standard deviation of ImageNet's red, green and blue, from 0 to 1."""


def scale_as_trained(backbone: keras.Model, path: Path) -> None:
    """Divide pictures by the standard deviation where the weights in a file were trained so.

    Keras' ImageNet weights of EfficientNetB0 to B7 hold the standard deviation where the normalization layer takes the
    variance, so that layer divides by the root of the deviation. Keras divides by the root once more in a second
    rescaling layer, but builds that layer with ``weights="imagenet"`` alone. Here the second division is put into the
    variance, which is saved with the model. EfficientNetV2 normalizes by constants, alike for all weights.

    Source: https://github.com/tensorflow/tensorflow/issues/49930

    Args:
        backbone: EfficientNetB0 to B7, built with ``weights=None``, with the weights of the file.
        path: the file. Weights that were trained without the second rescaling say so by their variance; they stay.
    """
    normalization = next(layer for layer in backbone.layers if isinstance(layer, keras.layers.Normalization))
    variance = keras.ops.convert_to_numpy(normalization.adapt_variance)
    if _rescalings(path) > 1 or np.allclose(variance, _DEVIATION, rtol=1e-3):
        normalization.adapt_variance.assign(variance * np.asarray(_DEVIATION, variance.dtype))
        normalization.finalize_state()


def _rescalings(path: Path) -> int:
    """Return the number of rescaling layers in a file; both formats of Keras name layers without weights, too."""
    with h5py.File(path, "r") as file:
        layers: Any = file.get("layers", {})
        names = list(file.attrs.get("layer_names", layers))
    texts = [name.decode() if isinstance(name, bytes) else str(name) for name in names]
    return sum(text.startswith("rescaling") for text in texts)
