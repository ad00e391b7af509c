"""The options that modalities with a backbone of pictures have in common. numpy only."""

from __future__ import annotations

from typing import Any

from mmkeras.core.errors import nearest
from mmkeras.modalities._config import out_of_range

__all__ = ["ARCHITECTURES", "RESIZES", "backbone_problems"]

ARCHITECTURES = (
    *(f"EfficientNetB{n}" for n in range(8)),
    *(f"EfficientNetV2{n}" for n in ("B0", "B1", "B2", "B3", "S", "M", "L")),
    "edge",
)
"""Backbones by their keras.applications name, and the quantisation-friendly ``edge`` preset."""

RESIZES = ("stretch", "letterbox", "center_crop")


def backbone_problems(config: Any) -> list[str]:
    """Return a problem for each option of a backbone of pictures whose value does not fit.

    Args:
        config: a configuration with the options of `mmkeras.layers.backbones.pictures.PictureOptions`, ``level`` and
            ``learning_rate_factor``.
    """
    problems = []
    if config.architecture not in ARCHITECTURES:
        problems.append(
            f"architecture: {config.architecture!r} is unknown; {nearest(config.architecture, ARCHITECTURES)}"
        )
    if config.top and config.level != 5:
        problems.append(f"top: expected level 5, got level {config.level}")
    sizes = {name: getattr(config, name) for name in ("width_factor", "depth_factor", "fused_stages")}
    if config.architecture == "edge" and config.weights == "imagenet" and tuple(sizes.values()) != (1.0, 1.0, 0):
        problems.append(
            "weights: the imagenet weights of the edge architecture fit width_factor 1.0, depth_factor 1.0 and "
            f"fused_stages 0 only, got {', '.join(f'{name} {value}' for name, value in sizes.items())}"
        )
    problems += out_of_range(config, ("frozen_stages",), "-1 or more", lambda value: value >= -1)
    problems += out_of_range(config, ("fused_stages",), "0 to 7", lambda value: 0 <= value <= 7)
    problems += out_of_range(config, ("width_factor", "depth_factor"), "more than 0", lambda value: value > 0)
    problems += out_of_range(config, ("learning_rate_factor",), "0 or more", lambda value: value >= 0)
    shares = ("batch_norm_momentum",)
    return problems + out_of_range(config, shares, "0 or more and less than 1", lambda value: 0 <= value < 1)
