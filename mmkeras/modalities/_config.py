"""What may be said of a modality of any kind."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import ClassVar

__all__ = ["ModalityConfig"]


@dataclass(frozen=True)
class ModalityConfig:
    """Base of the ``Config`` of every modality.

    A ``Config`` gives ``kind`` the name of its package, as its type and default, and names in ``apart`` those of its
    options that its branch does not depend on.
    """

    apart: ClassVar[tuple[str, ...]] = ()
    """Options of the input, such as augmentation, that may differ between modalities that share weights."""
    kind: str = field(default="", kw_only=True)
    """Kind of the modality: its package in mmkeras/modalities."""
    shares_weights_with: str = field(default="", kw_only=True)
    """Name of another modality of this kind whose branch reads this one too, with the same weights. Its options hold
    for both; options of the input, such as augmentation, may differ."""
