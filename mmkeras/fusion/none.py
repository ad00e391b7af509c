"""No fusion: for heads that use each modality separately, such as two towers."""

from __future__ import annotations

from mmkeras.fusion._tokens import check
from mmkeras.layers.tokens import Tokens

__all__ = ["GIVES", "fuse"]

GIVES = ()


def fuse(tokens: dict[str, Tokens]) -> None:
    """Return no pooled vector and no fused map."""
    check(tokens)
