"""Return parts of `Encoded` to a head; if a part is missing, the error names the fusions that give it."""

from __future__ import annotations

from typing import Any

from mmkeras.core.components import find, names
from mmkeras.core.errors import ConfigError, nearest
from mmkeras.layers.tokens import Encoded, Fused, Tokens

__all__ = ["fused_map", "pooled", "tokens_of"]


def pooled(encoded: Encoded, task: str) -> Any:
    """Return one vector (B, D) per sample; ``task`` is the name in the error.

    Raises:
        ConfigError: the fusion gives no such vector.
    """
    if encoded.fused is None:
        raise ConfigError(
            f"model.fusion.name: the task {task} needs one vector per sample, which the fusion {encoded.fusion!r} "
            f"does not give. Fusions that give one: {_giving('pooled')}"
        )
    return encoded.fused.pooled


def fused_map(encoded: Encoded, cells: tuple[int, int], task: str, advice: str) -> tuple[Fused, Tokens]:
    """Return the fusion's result and its tokens, a map of ``cells`` (rows, columns).

    The error holds ``task`` and ``advice``, how to get a map of this size.

    Raises:
        ConfigError: the fusion gives no map, or one of another size.
    """
    fused = encoded.fused
    tokens = None if fused is None else fused.tokens
    if fused is None or tokens is None or tokens.grid != cells:
        got = "no map" if tokens is None or tokens.grid is None else tokens.grid
        raise ConfigError(
            f"model.fusion.name: {task} needs a map of {cells[0]} x {cells[1]} cells, the fusion {encoded.fusion!r} "
            f"gives {got}. Fusions that give a map if a modality has one: {_giving('map')}. {advice}"
        )
    return fused, tokens


def tokens_of(encoded: Encoded, name: str, key: str) -> Tokens:
    """Return the tokens of one modality: the fused ones if the fusion gives them, otherwise its own.

    ``key`` is the configuration key in the error.

    Raises:
        ConfigError: no modality has this name.
    """
    if name not in encoded.tokens:
        raise ConfigError(f"{key}: no modality is called {name!r}; {nearest(name, encoded.tokens)}")
    fused = encoded.fused.tokens if encoded.fused is not None else None
    return fused if fused is not None and fused.of == (name,) else encoded.tokens[name]


def _giving(what: str) -> str:
    return ", ".join(name for name in names("fusion") if what in find("fusion", name).GIVES)
