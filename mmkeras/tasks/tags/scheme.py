"""Tags of words and entities: the schemes BIO and IO.

BIO (Ramshaw and Marcus 1995, https://arxiv.org/abs/cmp-lg/9505040): ``B-x`` begins an entity of the label x, ``I-x``
continues it, ``O`` is outside. IO: the tag of a word is its label or ``O``, and neighbours of one label are one entity.
numpy only.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

__all__ = ["BIO", "IO", "OUTSIDE", "SCHEMES", "Scheme", "Span", "labels_in"]

BIO, IO = SCHEMES = ("BIO", "IO")
OUTSIDE = "O"
_BEGIN, _INSIDE = "B-", "I-"


@dataclass(frozen=True, order=True)
class Span:
    """An entity: consecutive words of one label."""

    start: int
    """Its first word."""
    stop: int
    """The word after its last one."""
    label: int
    """Position of its label."""


@dataclass(frozen=True)
class Scheme:
    """The tags of a number of labels; tag 0 is ``O``."""

    name: str
    """``BIO`` or ``IO``."""
    labels: tuple[str, ...]
    """Names of the entities' labels."""

    @cached_property
    def tags(self) -> tuple[str, ...]:
        """Names of the tags by their number."""
        if self.name == IO:
            return (OUTSIDE, *self.labels)
        return (OUTSIDE, *(mark + label for label in self.labels for mark in (_BEGIN, _INSIDE)))

    @cached_property
    def numbers(self) -> dict[str, int]:
        """Number of each tag by its name; IO also takes ``B-x`` and ``I-x``."""
        found = {tag: number for number, tag in enumerate(self.tags)}
        if self.name == IO:
            found |= {mark + label: found[label] for label in self.labels for mark in (_BEGIN, _INSIDE)}
        return found

    def label_of(self, tags: np.ndarray) -> np.ndarray:
        """Return the position of the label of each tag (...), -1 for ``O`` and for numbers below 0."""
        return np.where(tags > 0, tags - 1 if self.name == IO else (tags - 1) // 2, -1)

    def begins(self, tags: np.ndarray) -> np.ndarray:
        """Return bool (n,): words that begin an entity in a sequence of tags (n,); words below 0 are left out.

        An ``I-x`` that does not continue an entity of x begins one, as seqeval and conlleval read it.
        """
        label = self.label_of(tags)
        before = np.concatenate([[-1], label[:-1]])
        begins = (label >= 0) & (label != before)
        return begins if self.name == IO else begins | ((tags > 0) & (tags % 2 == 1))

    def spans(self, tags: np.ndarray) -> list[Span]:
        """Return the entities of a sequence of tags (n,) in order."""
        label, begins = self.label_of(tags), self.begins(tags)
        starts = np.flatnonzero(begins)
        ends = np.flatnonzero(np.concatenate([begins[1:] | (label[1:] < 0), [True]]) & (label >= 0)) + 1
        return [Span(int(a), int(b), int(label[a])) for a, b in zip(starts, ends, strict=True)]

    def legal(self, tags: np.ndarray) -> np.ndarray:
        """Return tags (n,) in which every entity begins with ``B-``; unchanged in IO."""
        if self.name == IO:
            return tags
        return np.where(self.begins(tags) & (tags % 2 == 0), tags - 1, tags)

    @cached_property
    def follows(self) -> np.ndarray:
        """Bool (1 + T, T): whether a tag may follow another; the last row is for the first word."""
        count = len(self.tags)
        allowed = np.ones((count + 1, count), bool)
        if self.name == BIO:
            inside = np.arange(2, count, 2)
            allowed[:, inside] = False
            allowed[inside, inside] = allowed[inside - 1, inside] = True
        return allowed


def labels_in(tags: Sequence[str]) -> tuple[str, ...]:
    """Return the labels of tags in any scheme, sorted: ``B-date`` and ``date`` have the label ``date``."""
    found = {tag[2:] if tag[:2] in (_BEGIN, _INSIDE) else tag for tag in tags if tag != OUTSIDE}
    return tuple(sorted(found))
