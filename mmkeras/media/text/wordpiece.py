"""WordPiece on the host: the longest known piece first. Python alone, so a device needs no further package for text."""

from __future__ import annotations

from collections.abc import Mapping

__all__ = ["pieces"]

CONTINUED = "##"
"""Marks a piece that goes on with a word."""


def pieces(word: str, ids: Mapping[str, int], unknown: int) -> list[int]:
    """Return the ids of a word's pieces; only ``unknown`` where a part of it is no piece.

    Source: Wu et al. 2016, https://arxiv.org/abs/1609.08144, with BERT's greedy longest match from the left.

    Args:
        word: not empty, cleaned by `characters.words`.
        ids: piece -> id.
        unknown: the id of ``[UNK]``.
    """
    whole = ids.get(word)
    if whole is not None:
        return [whole]
    found, start = [], 0
    while start < len(word):
        mark = CONTINUED if start else ""
        for end in range(len(word), start, -1):
            piece = ids.get(mark + word[start:end])
            if piece is not None:
                break
        else:
            return [unknown]
        found.append(piece)
        start = end
    return found
