"""Geometric augmentation of whole samples: one draw moves everything that has a place in the picture.

A modality that offers such options draws the move (``draw_move`` in its ``records.py``); all modalities and targets
follow it with a function ``move`` in their ``records.py``, or have no place in the picture and stay as they are. What
cannot follow says so: ``cannot_follow`` of its spec.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import tensorflow as tf

__all__ = ["MIRROR", "MOVES", "SHIFT", "UNSAID", "Move"]

MIRROR, SHIFT = "mirror", "shift"
MOVES = (MIRROR, SHIFT)
UNSAID = "it has no rule for it"
"""Why a part cannot follow that says nothing of a move."""


@dataclass(frozen=True)
class Move:
    """How each of B samples is moved: first shifted, then mirrored."""

    mirror: tf.Tensor | None = None
    """bool (B,): left and right are exchanged."""
    up: tf.Tensor | None = None
    """float32 (B,): share of the picture's height by which its content moves up; in whole pixels of each picture."""
    left: tf.Tensor | None = None
    """float32 (B,): share of the picture's width by which its content moves left."""
