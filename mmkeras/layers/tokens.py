"""What branches give to fusions, and what heads receive. Holds Keras tensors, imports nothing."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

__all__ = ["Branch", "Encoded", "Fused", "Tokens"]


@dataclass(frozen=True)
class Tokens:
    """A modality, or what a fusion made of it, as a sequence."""

    values: Any
    """Float tensor (B, N, D). A modality has the common width; a fusion may append measurements."""
    mask: Any
    """int32 tensor (B, N): 1 where a token is real. At least one: a missing modality is one null token."""
    position: Any | None = None
    """Float tensor (B, N, 2): column and row in the picture that sensors share, 0 to 1; from a sensor that measures it
    (B, N, 3) with the logarithm of the metres ahead. -1 for a token without a place. None where no token has one."""
    measured: Any | None = None
    """Float tensor (B, N, M): measurements of the sensor, scaled to about 1, to be read out unchanged."""
    grid: tuple[int, int] | None = None
    """Rows and columns where the tokens are a map, row by row. A missing map keeps its cells, each a null token."""
    of: tuple[str, ...] = ()
    """Names of the modalities of these tokens: usually one, several where a fusion stacks their maps, none where a
    fusion has learned the queries. The model sets it after the branch."""


@dataclass(frozen=True)
class Branch:
    """A modality's encoder as a piece of the functional graph."""

    inputs: dict[str, Any]
    """Keras inputs by tensor name, without the presence input (the model adds it)."""
    tokens: Tokens
    """The encoded modality, before the null token replaces a missing one."""


@dataclass(frozen=True)
class Fused:
    """The merged modalities."""

    pooled: Any
    """Float tensor (B, D): one vector for a sample."""
    tokens: Tokens | None = None
    """Tokens after the fusion; `Tokens.of` names their modalities. None where a fusion only pools."""
    distances: Any | None = None
    """Float32 tensor (B, N, K): estimates of the distance ahead of each token's object, as logarithms of metres, for a
    head to choose from. None where no modality measures distances."""


@dataclass(frozen=True)
class Encoded:
    """What a head receives; `mmkeras.layers.encoded` takes out what a head needs, or refuses."""

    tokens: Mapping[str, Tokens]
    """The modalities by name, each after its null token."""
    fused: Fused | None = None
    """The fusion's result; None where it leaves the modalities apart."""
    fusion: str = ""
    """Name of the fusion, for messages."""
