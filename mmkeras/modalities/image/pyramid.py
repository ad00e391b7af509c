"""A small feature pyramid: three strides become one map that is fine and still has seen far around.

Source: Lin et al. 2017, Feature Pyramid Networks (arXiv:1612.03144), with separable convolutions for the edge.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from keras import layers

__all__ = ["merge_pyramid"]


def merge_pyramid(maps: Sequence[Any], width: int, momentum: float, name: str) -> Any:
    """Merge maps from fine to coarse, each half as large as the one before, into one of the finest size.

    Args:
        maps: features (B, h, w, C), (B, h/2, w/2, C'), ...
        width: channels of the result.
        momentum: of the batch normalisation.
        name: prefix of the layers.

    Returns:
        Features (B, h, w, width).
    """
    merged = None
    for number, features in reversed(list(enumerate(maps))):
        lateral = layers.Conv2D(width, 1, use_bias=False, name=f"{name}_lateral_{number}")(features)
        lateral = layers.BatchNormalization(momentum=momentum, name=f"{name}_lateral_{number}_bn")(lateral)
        if merged is None:
            merged = lateral
            continue
        merged = layers.UpSampling2D(2, interpolation="nearest", name=f"{name}_upsample_{number}")(merged)
        merged = layers.Add(name=f"{name}_merge_{number}")([lateral, merged])
        merged = layers.ReLU(6.0, name=f"{name}_merge_{number}_activation")(merged)
        merged = layers.SeparableConv2D(width, 3, padding="same", use_bias=False, name=f"{name}_smooth_{number}")(
            merged
        )
        merged = layers.BatchNormalization(momentum=momentum, name=f"{name}_smooth_{number}_bn")(merged)
    return layers.ReLU(6.0, name=f"{name}_pyramid_activation")(merged)
