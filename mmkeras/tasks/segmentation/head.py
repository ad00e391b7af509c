"""The segmentation head: scores of the cells of a map, enlarged to the picture, and their losses."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import keras

from mmkeras.core.errors import ConfigError
from mmkeras.layers.batch import Losses
from mmkeras.layers.convolutions import separable_stack
from mmkeras.layers.tokens import Encoded, Tokens
from mmkeras.tasks.segmentation.losses import MaskLoss, prompted_loss
from mmkeras.tasks.segmentation.spec import Config, Spec

__all__ = ["build", "losses"]


def build(encoded: Encoded, spec: Spec, config: Config) -> dict[str, Any]:
    """Return ``{"mask": (B, H, W, K) float32}`` from a map: the fused one, or that of the first modality with a map.

    The scores are computed in the cells of the map and enlarged by bilinear interpolation. There is no softmax: it does
    not change which score is the highest.

    Raises:
        ConfigError: there is no map.
    """
    tokens = _map_of(encoded)
    assert tokens.grid is not None
    rows, columns = tokens.grid
    x = keras.layers.Reshape((rows, columns, tokens.values.shape[-1]), name="head_map")(tokens.values)
    x = separable_stack(x, config.channels, config.convolutions, "head_conv")
    x = keras.layers.Dropout(config.dropout, name="head_dropout")(x)
    floatx = keras.config.floatx()
    x = keras.layers.Conv2D(spec.classes, 1, dtype=floatx, name="head_scores")(x)
    scale = (-(-spec.height // rows), -(-spec.width // columns))
    if scale != (1, 1):
        x = keras.layers.UpSampling2D(scale, interpolation="bilinear", dtype=floatx, name="head_upsampling")(x)
    extra = (rows * scale[0] - spec.height, columns * scale[1] - spec.width)
    if any(extra):  # the last cells of an odd side reach beyond the picture
        x = keras.layers.Cropping2D(tuple((0, side) for side in extra), dtype=floatx, name="head_cut")(x)
    return {"mask": keras.layers.Identity(dtype=floatx, name="mask")(x)}


def losses(spec: Spec, config: Config, class_counts: Mapping[str, int] | None = None) -> Losses:
    """Return the loss of the mask, or with a prompt a loss hook; see `mmkeras.tasks.segmentation.losses`."""
    del class_counts
    loss = MaskLoss((*config.class_weights(), *[1.0] * bool(spec.prompt)), config.focal_gamma, config.dice_weight)
    return prompted_loss(loss, spec.prompt, len(spec.labels)) if spec.prompt else {"mask": loss}


def _map_of(encoded: Encoded) -> Tokens:
    fused = encoded.fused.tokens if encoded.fused is not None else None
    for tokens in (fused, *encoded.tokens.values()):
        if tokens is not None and tokens.grid is not None:
            return tokens
    raise ConfigError(
        "model.task.name: segmentation needs a map; neither the fusion "
        f"{encoded.fusion!r} nor a modality gives one. Set the picture's options pyramid and level"
    )
