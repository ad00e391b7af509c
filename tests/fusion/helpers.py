"""Builds a fusion as a model of its own, and random tokens for it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import keras
import numpy as np

from mmkeras.core.components import find
from mmkeras.layers.tokens import Tokens

WIDTH = 8
SIZES = {"image": 6, "text": 5}
"""Tokens by modality."""


def fusion_model(name: str, sizes: Mapping[str, int] = SIZES, **options: Any) -> keras.Model:
    """Return a model from ``<modality>`` (B, N, D) and ``<modality>_mask`` (B, N) to pooled.

    Where the fusion gives tokens, also to ``tokens`` and ``mask``.
    """
    inputs: dict[str, Any] = {}
    tokens: dict[str, Tokens] = {}
    for modality, size in sizes.items():
        values = keras.Input((size, WIDTH), name=modality)
        mask = keras.Input((size,), dtype="int32", name=f"{modality}_mask")
        inputs |= {modality: values, f"{modality}_mask": mask}
        tokens[modality] = Tokens(values, mask, of=(modality,))
    fused = find("fusion", name).fuse(tokens, **options)
    read = {} if fused.tokens is None else {"tokens": fused.tokens.values, "mask": fused.tokens.mask}
    return keras.Model(inputs, {**read, "pooled": fused.pooled})


def random_tokens(sizes: Mapping[str, int] = SIZES, batch: int = 3, seed: int = 0) -> dict[str, np.ndarray]:
    """Return random inputs of `fusion_model`; the first token is real, each other one by chance, never all."""
    rng = np.random.default_rng(seed)
    inputs = {}
    for modality, size in sizes.items():
        mask = rng.integers(0, 2, (batch, size))
        mask[:, 0], mask[:, -1] = 1, size == 1
        inputs[modality] = rng.normal(size=(batch, size, WIDTH)).astype("float32")
        inputs[f"{modality}_mask"] = mask.astype("int32")
    return inputs


def with_masked_content(inputs: Mapping[str, np.ndarray], content: float) -> dict[str, np.ndarray]:
    """Return the inputs with other content in every masked token."""
    changed = dict(inputs)
    for name in [name for name in inputs if not name.endswith("_mask")]:
        changed[name] = np.where(inputs[f"{name}_mask"][..., None] == 1, inputs[name], np.float32(content))
    return changed


def call(model: keras.Model, inputs: Mapping[str, Any], *, training: bool = False) -> dict[str, np.ndarray]:
    """Return the model's outputs as numpy arrays."""
    outputs = model(dict(inputs), training=training)
    return {name: keras.ops.convert_to_numpy(keras.ops.cast(value, "float32")) for name, value in outputs.items()}


def assert_same(first: Mapping[str, np.ndarray], second: Mapping[str, np.ndarray]) -> None:
    """Check that outputs are equal bit for bit."""
    assert set(first) == set(second)
    for name, value in first.items():
        np.testing.assert_array_equal(second[name], value, err_msg=name)
