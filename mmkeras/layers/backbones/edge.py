"""EfficientNet for integer hardware: ReLU6 throughout and no squeeze-and-excite, as in EfficientNet-Lite.

The stages, kernels and expansion ratios are those of EfficientNet (Tan and Le, 2019, arXiv:1905.11946, table 1). Swish
becomes ReLU6 and squeeze-and-excite is dropped, because both quantise badly; stem and head keep their width. Layer
names follow keras.applications, so that freezing and feature levels work alike for both.
"""

from __future__ import annotations

import math
from typing import Any

import keras
from keras import layers

__all__ = ["edge_backbone"]

# expansion ratio, channels, repeats, kernel size, stride
_STAGES = (
    (1, 16, 1, 3, 1),
    (6, 24, 2, 3, 2),
    (6, 40, 2, 5, 2),
    (6, 80, 3, 3, 2),
    (6, 112, 3, 5, 1),
    (6, 192, 4, 5, 2),
    (6, 320, 1, 3, 1),
)


def edge_backbone(
    input_shape: tuple[int, int, int],
    *,
    width_factor: float = 1.0,
    depth_factor: float = 1.0,
    fused_stages: int = 0,
    top: bool = False,
) -> keras.Model:
    """Build the edge backbone without a classification head.

    Args:
        input_shape: height, width, channels; pixels 0..255.
        width_factor: scales the channels of every stage, rounded to multiples of 8.
        depth_factor: scales the repeats of every stage, rounded up.
        fused_stages: number of first stages that expand by a 3x3 convolution instead of a 1x1 and a depthwise one, as
            in EfficientNetV2 (Tan and Le, 2021, arXiv:2104.00298): more arithmetic, but less memory traffic for fine
            maps.
        top: append the last 1x1 convolution, to 1,280 channels.

    Returns:
        A model from float pixels (B, H, W, 3) to features (B, ceil(H/32), ceil(W/32), C).
    """
    inputs = keras.Input(input_shape, name="pixels")
    x = layers.Rescaling(1 / 127.5, offset=-1.0, name="rescaling")(inputs)
    x = layers.Conv2D(_channels(32, width_factor), 3, strides=2, padding="same", use_bias=False, name="stem_conv")(x)
    x = layers.BatchNormalization(name="stem_bn")(x)
    x = layers.ReLU(6.0, name="stem_activation")(x)
    for stage, (expansion, channels, repeats, kernel, stride) in enumerate(_STAGES, start=1):
        last = stage == len(_STAGES)
        for repeat in range(repeats if last else math.ceil(repeats * depth_factor)):
            name = f"block{stage}{chr(ord('a') + repeat)}"
            block = _fused_residual if stage <= fused_stages else _inverted_residual
            x = block(x, name, expansion, _channels(channels, width_factor), kernel, stride if repeat == 0 else 1)
    if top:
        x = layers.Conv2D(1280, 1, use_bias=False, name="top_conv")(x)
        x = layers.BatchNormalization(name="top_bn")(x)
        x = layers.ReLU(6.0, name="top_activation")(x)
    return keras.Model(inputs, x, name="edge")


def _channels(channels: int, factor: float) -> int:
    rounded = max(8, int(channels * factor + 4) // 8 * 8)
    # Rounding reduces the width by a tenth at most.
    return rounded + 8 if rounded < 0.9 * channels * factor else rounded


def _fused_residual(x: Any, name: str, expansion: int, channels: int, kernel: int, stride: int) -> Any:
    """One Fused-MBConv block: a 3x3 convolution that expands, project, add."""
    del kernel
    shortcut = x
    inner = channels if expansion == 1 else x.shape[-1] * expansion
    x = layers.Conv2D(inner, 3, stride, padding="same", use_bias=False, name=f"{name}_expand_conv")(x)
    x = layers.BatchNormalization(name=f"{name}_expand_bn")(x)
    x = layers.ReLU(6.0, name=f"{name}_expand_activation")(x)
    return _project(x, shortcut, name, channels, stride)


def _inverted_residual(x: Any, name: str, expansion: int, channels: int, kernel: int, stride: int) -> Any:
    """One MBConv block without squeeze-and-excite: expand, depthwise convolution, project, add."""
    shortcut = x
    if expansion != 1:
        x = layers.Conv2D(x.shape[-1] * expansion, 1, use_bias=False, name=f"{name}_expand_conv")(x)
        x = layers.BatchNormalization(name=f"{name}_expand_bn")(x)
        x = layers.ReLU(6.0, name=f"{name}_expand_activation")(x)
    x = layers.DepthwiseConv2D(kernel, stride, padding="same", use_bias=False, name=f"{name}_dwconv")(x)
    x = layers.BatchNormalization(name=f"{name}_bn")(x)
    x = layers.ReLU(6.0, name=f"{name}_activation")(x)
    return _project(x, shortcut, name, channels, stride)


def _project(x: Any, shortcut: Any, name: str, channels: int, stride: int) -> Any:
    """End a block: project to fewer channels, and add the block's input if it has the same shape."""
    x = layers.Conv2D(channels, 1, use_bias=False, name=f"{name}_project_conv")(x)
    x = layers.BatchNormalization(name=f"{name}_project_bn")(x)
    if stride == 1 and shortcut.shape[-1] == channels:
        x = layers.Add(name=f"{name}_add")([shortcut, x])
    return x
