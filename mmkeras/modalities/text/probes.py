"""Texts that exercise the tokenizer."""

from __future__ import annotations

import itertools
from collections.abc import Sequence

__all__ = ["probe_texts"]

_TEXTS = 4
"""Most texts that are spread over the vocabulary."""


def probe_texts(vocabulary: Sequence[str], length: int) -> tuple[str, ...]:
    """Return texts of words from the whole vocabulary, some in capitals, with accents or longer than ``length``."""
    whole = [token for token in vocabulary if token.isalpha() and token.isascii()] or ["text"]
    starts = range(0, min(len(whole), _TEXTS * length), length)
    step = max(1, len(whole) // (len(starts) * length))
    texts = [" ".join(whole[start * step : (start + length) * step : step]) for start in starts]
    longer = " ".join(itertools.islice(itertools.cycle(whole), 2 * length + 1))
    return (*texts, texts[0].title(), texts[-1].upper(), longer, "Ça va? naïve—Straße, x_1 & 你好!")
