"""Convolutions that heads of dense maps share."""

from __future__ import annotations

from typing import Any

import keras

__all__ = ["separable_stack"]


def separable_stack(x: Any, channels: int, count: int, name: str) -> Any:
    """Return features (B, h, w, channels) after ``count`` separable 3x3 convolutions, each normalised and cut at 6.

    Args:
        x: features (B, h, w, C).
        channels: of every convolution.
        count: number of convolutions.
        name: prefix of the layers.
    """
    for number in range(1, count + 1):
        conv = keras.layers.SeparableConv2D(channels, 3, padding="same", use_bias=False, name=f"{name}_{number}")
        x = conv(x)
        x = keras.layers.BatchNormalization(momentum=0.9, name=f"{name}_{number}_bn")(x)
        x = keras.layers.ReLU(6.0, name=f"{name}_{number}_activation")(x)
    return x
