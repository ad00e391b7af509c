"""The tensors that branches, fusions and heads exchange. Imports no Keras."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

__all__ = ["Branch", "Encoded", "Fused", "KeepsScores", "Tokens"]


@dataclass(frozen=True)
class Tokens:
    """A modality or the result of a fusion, as a sequence."""

    values: Any
    """Float tensor (B, N, D). A modality has the common width D; a fusion may append measurements."""
    mask: Any
    """int32 tensor (B, N): 1 for real tokens, at least one per sample: a missing modality is one null token."""
    position: Any | None = None
    """Float tensor (B, N, 2): column and row, 0 to 1, in the picture that the sensors share; (B, N, 3) with the
    logarithm of the distance in metres if the sensor measures it. -1 for a token without a position; None if no token
    has one."""
    measured: Any | None = None
    """Float tensor (B, N, M): measurements of the sensor, scaled to about 1, for a fusion to read out."""
    grid: tuple[int, int] | None = None
    """Rows and columns if the tokens are a map, row by row. A missing map keeps its cells, each one a null token."""
    of: tuple[str, ...] = ()
    """Names of the modalities of these tokens: usually one; several if a fusion stacks their maps; empty for learned
    queries. The model sets it after the branch."""


@dataclass(frozen=True)
class Branch:
    """A modality's encoder as part of the functional graph."""

    inputs: dict[str, Any]
    """Keras inputs by tensor name, without the presence input (the model adds it)."""
    tokens: Tokens
    """The encoded modality, before the null token replaces a missing one."""


@dataclass(frozen=True)
class Fused:
    """The merged modalities."""

    pooled: Any
    """Float tensor (B, D): one vector per sample."""
    tokens: Tokens | None = None
    """Tokens after the fusion; `Tokens.of` names their modalities. None if a fusion only pools."""
    distances: Any | None = None
    """Float32 tensor (B, N, K): K estimates of the distance to each token's object, as logarithms of metres; the head
    chooses one. None if no modality measures distances."""


@dataclass(frozen=True)
class Encoded:
    """The input of a head; `mmkeras.layers.encoded` has functions that return its parts."""

    tokens: Mapping[str, Tokens]
    """The modalities by name, each after its null token."""
    fused: Fused | None = None
    """The fusion's result; None if it does not merge the modalities."""
    fusion: str = ""
    """Name of the fusion, for messages."""


class KeepsScores:
    """Base of layers whose second output is their attention weights, float (B, heads, queries, keys)."""

    name: str
    output: Any
