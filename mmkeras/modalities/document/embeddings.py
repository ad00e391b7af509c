"""The embeddings of MiniLM's word pieces, reduced to fewer numbers."""

from __future__ import annotations

import numpy as np

from mmkeras.core.errors import ConfigError, require
from mmkeras.core.weight_packages import MINILM
from mmkeras.media.text.vocabulary import read_vocabulary

__all__ = ["minilm_embeddings"]

_TENSOR = "embeddings.word_embeddings.weight"


def minilm_embeddings(vocabulary: tuple[str, ...], size: int) -> np.ndarray:
    """Return the embeddings of a vocabulary, float32 (V, size), from the installed package.

    The 384 numbers of a piece are rotated to their principal components, and the first ``size`` are kept, scaled to a
    variance of 1 on average.

    Raises:
        ConfigError: a vocabulary other than MiniLM's, or more than 384 numbers.
        DependencyError: the package is not installed.
    """
    folder = MINILM.path()
    if vocabulary != read_vocabulary(folder / "vocab.txt"):
        raise ConfigError(
            'document: embeddings = "minilm" needs MiniLM\'s own vocabulary. Leave vocabulary out, or set '
            'embeddings = "none"'
        )
    load = require("safetensors.numpy", "train").load_file
    found = [value for name, value in load(str(folder / "model.safetensors")).items() if name.endswith(_TENSOR)]
    given = found[0].astype(np.float64)
    if size > given.shape[1]:
        raise ConfigError(f"document hidden: MiniLM has {given.shape[1]} numbers for a word piece, got hidden {size}")
    given -= given.mean(axis=0)
    values, vectors = np.linalg.eigh(given.T @ given / len(given))
    kept = given @ vectors[:, ::-1][:, :size]
    return np.asarray(kept / np.sqrt(values[::-1][:size].mean()), np.float32)
