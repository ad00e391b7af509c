"""The modalities stay apart: for heads that look at each by itself, such as two towers."""

from __future__ import annotations

from mmkeras.fusion._tokens import check
from mmkeras.layers.tokens import Tokens

__all__ = ["GIVES", "fuse"]

GIVES = ()


def fuse(tokens: dict[str, Tokens]) -> None:
    """Merge nothing, so that there is no pooled vector and no fused map."""
    check(tokens)
