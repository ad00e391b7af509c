"""Modalities whose tokens are words: a task can then answer for each word. numpy only: it runs on the device."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from mmkeras.modalities._contract import ModalitySpec

__all__ = ["Word", "WordSpec", "windows_over"]


@dataclass(frozen=True)
class Word:
    """A word of a raw value."""

    text: str
    box: tuple[float, float, float, float] | None = None
    """Left, top, right and bottom as shares of the page, 0 to 1; None for words without a place."""


class WordSpec(ModalitySpec):
    """A modality whose branch has one token for each word of a value."""

    @property
    @abstractmethod
    def max_words(self) -> int:
        """Number of words that the model receives at most; 0 if the branch has no token for each word."""

    @abstractmethod
    def words_of(self, value: Any) -> Sequence[Word]:
        """Return all words of a raw value in the order of the tokens.

        Raises:
            DataError: the value cannot be used.
        """

    def windows(self, value: Any) -> list[tuple[int, Any]]:
        """Return the parts of a raw value that fit into the model, each with the number of its first word.

        Neighbouring parts share words, so that every word is read with words before and after it. By default the value
        is the only part.
        """
        return [(0, value)]


def windows_over(count: int, size: int, overlap: int) -> list[tuple[int, int]]:
    """Return the first and the last word (exclusive) of windows of up to ``size`` words over ``count`` words.

    Windows have equal distances and share at least ``overlap`` words.
    """
    if count <= size:
        return [(0, count)]
    parts = -(-(count - overlap) // (size - overlap))
    last = count - size
    return [(start, start + size) for start in (round(last * part / (parts - 1)) for part in range(parts))]
