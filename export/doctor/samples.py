"""Made-up inputs that a quantiser can measure ranges on, for any model and without data.

They show which operations stay in float and where numbers are huge. They say nothing of accuracy.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    import keras

__all__ = ["COUNT", "made_up"]

COUNT = 6
"""Samples."""
_LOOSE = 8
"""Size of a dimension that the model leaves open."""
_MASKS = ("mask", "valid", "padding")


def made_up(model: keras.Model, seed: int = 0) -> dict[str, np.ndarray]:
    """Return every input of a model, shape (COUNT, ...), in the input's own dtype.

    Bytes are noise. Whole numbers are ids that every embedding of the model has; those whose name says that they are a
    mask begin with ones. Presence inputs are 1 but once, so that missing modalities are seen, too. Other numbers are
    normally distributed.
    """
    from keras.backend import standardize_dtype

    rng = np.random.default_rng(seed)
    rows = [getattr(layer, "input_dim", None) for layer in model._flatten_layers()]
    ids = min((size for size in rows if isinstance(size, int)), default=2)
    return {each.name: _one(each, standardize_dtype(each.dtype), ids, rng) for each in model.inputs}


def _one(tensor: Any, dtype: str, ids: int, rng: np.random.Generator) -> np.ndarray:
    shape = (COUNT, *(_LOOSE if size is None else size for size in tensor.shape[1:]))
    if dtype == "uint8":
        return rng.integers(0, 256, shape).astype(dtype)
    if any(word in tensor.name for word in _MASKS) and len(shape) > 1:
        lengths = rng.integers(1, shape[-1] + 1, (*shape[:-1], 1))
        return (np.arange(shape[-1]) < lengths).astype(dtype)
    if dtype == "bool" or "int" in dtype:
        return rng.integers(0, 2 if dtype == "bool" else max(ids, 1), shape).astype(dtype)
    if len(shape) == 1:
        return (np.arange(COUNT) != rng.integers(0, COUNT)).astype(dtype)
    return rng.normal(size=shape).astype(dtype)
