"""What branches give to fusions and fusions give to heads. Holds Keras tensors, imports nothing."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

__all__ = ["Branch", "Fused", "Tokens"]


@dataclass(frozen=True)
class Tokens:
    """A modality as a sequence in the common width."""

    values: Any
    """Float tensor (B, N, D)."""
    mask: Any
    """int32 tensor (B, N): 1 where a token is real. At least one: a missing modality is one null token."""
    position: Any | None = None
    """Float tensor (B, N, 2): column and row in the picture that sensors share, 0 to 1; from a sensor that measures it
    (B, N, 3) with the logarithm of the metres ahead. -1 for a token without a place. None where no token has one."""
    measured: Any | None = None
    """Float tensor (B, N, M): what the sensor itself measured, scaled to about 1, to be read out as it is."""
    grid: tuple[int, int] | None = None
    """Rows and columns where the tokens are a map, row by row. A missing map keeps its cells, each a null token."""


@dataclass(frozen=True)
class Branch:
    """A modality's encoder as a piece of the functional graph."""

    inputs: dict[str, Any]
    """Keras inputs by tensor name, without the presence input (the model adds it)."""
    tokens: Tokens
    """The encoded modality, before the null token is put in for a missing one."""


@dataclass(frozen=True)
class Fused:
    """The merged modalities."""

    tokens: Any
    """Float tensor (B, N, D)."""
    mask: Any
    """int32 tensor (B, N): 1 where a token is real."""
    pooled: Any
    """Float tensor (B, D): one vector for a sample."""
    grid: tuple[int, int] | None = None
    """Rows and columns where the tokens are a map, row by row; dense tasks need one."""
    distances: Any | None = None
    """Float32 tensor (B, N, K): guesses of how far ahead a token's object is, as logarithms of metres, for a head to
    choose from. None where no modality measures distances."""
    twice: bool = False
    """In training every sample is there twice, (2 B, ...): fused, then as the modality that queries has it alone."""
