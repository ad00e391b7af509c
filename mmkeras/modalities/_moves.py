"""Geometric augmentation of whole samples: one draw moves the picture and everything located in it.

A modality with such options draws the move (``draw_move`` in its ``records.py``). Modalities and targets that are
located in the picture follow it by the function ``move`` in their ``records.py``; the others stay unchanged. Specs that
cannot follow a move give the reason by ``cannot_follow``.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import tensorflow as tf

__all__ = ["CROP", "MIRROR", "MOVES", "SHIFT", "TURN", "UNSAID", "ZOOM", "Move"]

CROP, MIRROR, SHIFT, TURN, ZOOM = "crop", "mirror", "shift", "turn", "zoom"
MOVES = (MIRROR, SHIFT, TURN, ZOOM, CROP)
UNSAID = "it has no rule for it"
"""The reason of a part without a rule for a move."""


@dataclass(frozen=True)
class Move:
    """How each of B samples is moved: first shifted, then turned and scaled about the middle, then mirrored."""

    mirror: tf.Tensor | None = None
    """bool (B,): left and right are exchanged."""
    up: tf.Tensor | None = None
    """float32 (B,): share of the picture's height by which its content moves up; in whole pixels of each picture."""
    left: tf.Tensor | None = None
    """float32 (B,): share of the picture's width by which its content moves left."""
    turn: tf.Tensor | None = None
    """float32 (B,): radians by which the content turns counter-clockwise."""
    zoom: tf.Tensor | None = None
    """float32 (B,): factor by which the content grows."""
