"""Tasks with an answer for each word of one modality. numpy only: it runs on the device."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from mmkeras.core.errors import ConfigError, DataError, nearest
from mmkeras.modalities import ModalitySpec
from mmkeras.modalities._words import Word, WordSpec
from mmkeras.tasks._contract import Outputs, TaskSpec

__all__ = ["WordTask", "most_central", "word_modality", "words_read"]


class WordTask(TaskSpec):
    """A task whose outputs (B, N, ...) and targets (N, ...) belong to the words of the modality ``reads``."""

    reads: str
    """Name of the modality."""

    @abstractmethod
    def check_words(self, target: Any, words: Sequence[Word]) -> None:
        """Check that a raw target fits the words of its sample.

        Raises:
            DataError: for example another number of tags than words.
        """

    @abstractmethod
    def quoted(self, answer: dict[str, Any], words: Sequence[Word]) -> dict[str, Any]:
        """Return an answer of `decode` with the texts and boxes of its words."""

    def joined(self, parts: Sequence[Outputs], starts: Sequence[int], counts: Sequence[int]) -> dict[str, np.ndarray]:
        """Return the outputs (1, n, ...) for all n words of a value from those of its windows, each (1, N, ...).

        Args:
            parts: outputs of each window.
            starts: number of the first word of each window.
            counts: number of words of each window.
        """
        chosen = most_central(starts, counts)
        return {
            name: np.stack([np.asarray(parts[window][name])[0, word] for window, word in chosen])[None]
            for name in parts[0]
        }

    def check_sample(self, target: Any, values: Mapping[str, Any], specs: Mapping[str, Any]) -> None:
        """Check a raw target against the raw values of its sample; specs are by name.

        Raises:
            DataError: it does not fit; see `check_words`.
        """
        spec, value = specs.get(self.reads), values.get(self.reads)
        if value is None:
            raise DataError(f"the modality {self.reads!r}, whose words have tags, is missing")
        if isinstance(spec, WordSpec):
            self.check_words(target, spec.words_of(value))


def words_read(task: TaskSpec) -> str:
    """Return the modality whose words a task answers for.

    Raises:
        ConfigError: a task of another kind.
    """
    if not isinstance(task, WordTask):
        raise ConfigError(f"model.task.name: expected a task with an answer for each word: tags; got {task.kind}")
    return task.reads


def most_central(starts: Sequence[int], counts: Sequence[int]) -> list[tuple[int, int]]:
    """Return window and place in it for each word: of the windows with the word, the one in which it is most central.

    A word is the more central, the more words of the window are before and after it.
    """
    total = max(start + count for start, count in zip(starts, counts, strict=True))
    found: list[tuple[int, int]] = []
    for word in range(total):
        places = [
            (min(word - start, start + count - 1 - word), -number, word - start)
            for number, (start, count) in enumerate(zip(starts, counts, strict=True))
            if start <= word < start + count
        ]
        _, number, place = max(places)
        found.append((-number, place))
    return found


def word_modality(name: str, modalities: Mapping[str, ModalitySpec], key: str) -> WordSpec:
    """Return the spec of the modality whose words a task answers for.

    Args:
        name: as configured; empty for the only modality with words.
        modalities: specs by name.
        key: configuration key of ``name``, for messages.

    Raises:
        ConfigError: no such modality, one whose tokens are not words, or several to choose from.
    """
    found = {each: spec for each, spec in modalities.items() if isinstance(spec, WordSpec) and spec.max_words}
    if name in found:
        return found[name]
    advice = 'A document has words; so has a text with pooling = "words"'
    if name:
        if name in modalities:
            raise ConfigError(f"{key}: the tokens of the modality {name!r} are not words. {advice}")
        raise ConfigError(f"{key}: no modality is called {name!r}; {nearest(name, modalities)}")
    if len(found) != 1:
        got = f"several: {', '.join(found)}. Name one" if found else f"none. {advice}"
        raise ConfigError(f"{key}: expected one modality with words, got {got}")
    return next(iter(found.values()))
