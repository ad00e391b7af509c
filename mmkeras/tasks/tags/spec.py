"""Tags of words: options, targets, decisions and metrics of entities."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, ClassVar, Literal

import numpy as np

from mmkeras.core.errors import ConfigError, DataError, nearest
from mmkeras.modalities import NO_FACTS, NO_MODALITIES, Facts, ModalitySpec, TensorSpec
from mmkeras.modalities._moves import MOVES
from mmkeras.modalities._words import Word
from mmkeras.tasks._config import TaskConfig
from mmkeras.tasks._contract import Outputs
from mmkeras.tasks._evidence import Evidence
from mmkeras.tasks._labels import as_labels, check_share, check_weights
from mmkeras.tasks._metrics import f1, mean_of_known, ratio
from mmkeras.tasks._targets import TargetSpec
from mmkeras.tasks._words import WordTask, word_modality
from mmkeras.tasks.tags.counts import NO_TAG, counted
from mmkeras.tasks.tags.entities import entities, quoted
from mmkeras.tasks.tags.scheme import OUTSIDE, SCHEMES, Scheme, labels_in
from mmkeras.tasks.tags.viterbi import best_tags

__all__ = ["Config", "Spec"]


@dataclass(frozen=True)
class Config(TaskConfig):
    """Options of the tags task."""

    labels: tuple[str, ...] = ()
    """Labels of the entities in order, without B-, I- and O; empty takes those found in the data, sorted."""
    scheme: Literal["BIO", "IO"] = "BIO"
    """BIO keeps neighbours of one label apart; IO has half as many tags: O and the labels themselves."""
    words: str = ""
    """The modality whose words are tagged; empty for the only one with words."""
    dropout: float = 0.1
    """Share of a word's vector dropped before the last layer in training."""
    label_smoothing: float = 0.0
    """Share of the target spread over all tags."""
    class_weights: Literal["none", "balanced"] | dict[str, float] = "none"
    """Weight in the loss of the words of a label: none, balanced by the training words, or by label (others 1). The
    label of words outside of entities is O."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "labels", as_labels(self.labels, "labels"))
        if OUTSIDE in self.labels:
            raise ConfigError(f"labels: expected labels of entities, got {OUTSIDE!r}, the tag of all other words")
        if self.scheme not in SCHEMES:
            raise ConfigError(f"scheme: {self.scheme!r} is unknown; {nearest(self.scheme, SCHEMES)}")
        check_share(self.dropout, "dropout")
        check_share(self.label_smoothing, "label_smoothing")
        check_weights(self.class_weights, (OUTSIDE, *self.labels) if self.labels else ())

    def completed(self, facts: Facts) -> Config:
        """Return this configuration with the labels found in the data, unless it lists them."""
        # The target of a row may be one text with a tag for each word.
        found = labels_in([tag for label in facts.labels for tag in label.split()])
        return self if self.labels else dataclasses.replace(self, labels=found)

    def spec(self, modalities: Mapping[str, ModalitySpec] = NO_MODALITIES, facts: Facts = NO_FACTS) -> Spec:
        """Return the task's spec, with the number of words of a modality and the labels of the facts.

        Raises:
            ConfigError: no labels, or no modality with words.
        """
        labels = self.completed(facts).labels
        if not labels:
            raise ConfigError("labels: tags needs at least one, got none. Convert the data first, or list them")
        read = word_modality(self.words, modalities, "words")
        return Spec(labels=labels, scheme=self.scheme, reads=read.name, words=read.max_words)


@dataclass(frozen=True)
class Spec(WordTask):
    """Tags of words, from the probabilities ``tags`` (B, N, T).

    The primary metric is the F1 of entities: one counts as found if its words and its label are right. Tags are decoded
    to the most probable legal sequence.
    """

    kind: ClassVar[str] = "tags"
    shapes_records: ClassVar[tuple[str, ...]] = ("labels", "scheme", "words")
    follows: ClassVar[tuple[str, ...]] = MOVES
    metric: ClassVar[str] = "entity_f1"
    gated_by: ClassVar[Literal["decisions", "tolerance", "metric"]] = "metric"

    labels: tuple[str, ...]
    """Labels of the entities."""
    scheme: str
    """``BIO`` or ``IO``."""
    reads: str
    """Name of the modality whose words are tagged."""
    words: int
    """N: words that the model receives."""

    @cached_property
    def tags(self) -> Scheme:
        """The tags with their rules."""
        return Scheme(self.scheme, self.labels)

    @property
    def outputs(self) -> tuple[TensorSpec, ...]:
        """``tags`` (N, T) float32: probabilities; padding has the tag ``O``."""
        return (TensorSpec("tags", (self.words, len(self.tags.tags)), "float32"),)

    @property
    def target(self) -> TargetSpec:
        """``tags`` (N,) int32: the number of each word's tag, -1 for padding and words without a tag."""
        return TargetSpec("tags", (self.words,), "int32")

    @property
    def label_names(self) -> tuple[str, ...]:
        """``O`` and the labels of the entities."""
        return (OUTSIDE, *self.labels)

    def classes_of(self, target: np.ndarray) -> list[str]:
        """Return the label of each word, ``O`` outside of entities."""
        return [self.label_names[number + 1] for number in self.tags.label_of(target[target != NO_TAG]).tolist()]

    def encode(self, target: Any) -> np.ndarray:
        """Return the tags of the first N words, int32 (N,).

        An ``I-x`` that continues no entity of x becomes ``B-x``.

        Args:
            target: a list of tags, or a text of tags separated by blanks. None in a list is a word without a tag: it
                counts neither in the loss nor in the metrics.

        Raises:
            DataError: no tags, or an unknown one.
        """
        given = target.split() if isinstance(target, str) else target
        if not isinstance(given, list | tuple | np.ndarray) or not len(given):
            raise DataError(f"Expected a tag for each word, such as 'O B-date I-date', got {target!r:.60}")
        numbers = self.tags.numbers
        found = np.full(self.words, NO_TAG, np.int32)
        for place, tag in enumerate(given):
            if tag is not None and tag not in numbers:
                hint = nearest(str(tag), self.tags.tags)
                raise DataError(f"Expected one of the tags of the task, got {tag!r} for word {place}; {hint}")
            if place < self.words and tag is not None:
                found[place] = numbers[tag]
        return self.tags.legal(found).astype(np.int32)

    def check_words(self, target: Any, words: Sequence[Word]) -> None:
        """Check that there are as many tags as words."""
        given = target.split() if isinstance(target, str) else target
        if len(given) != len(words):
            said = " ".join(word.text for word in words[:8])
            raise DataError(f"expected a tag for each of the {len(words)} words ({said} ...), got {len(given)} tags")

    def decisions(self, outputs: Outputs) -> np.ndarray:
        """Return the most probable legal tags, int64 (B, N)."""
        return best_tags(outputs["tags"], self.tags.follows)

    def decode(self, outputs: Outputs) -> list[dict[str, Any]]:
        """Return ``{"entities": [{"label", "start", "stop", "confidence"}]}`` per sample.

        ``start`` and ``stop`` (exclusive) are words. The confidence is the lowest probability of the entity's tags;
        None if one is not finite.
        """
        return [
            {"entities": entities(self.tags, chosen, probabilities)}
            for chosen, probabilities in zip(self.decisions(outputs), np.asarray(outputs["tags"]), strict=True)
        ]

    def quoted(self, answer: dict[str, Any], words: Sequence[Word]) -> dict[str, Any]:
        """Add ``text`` and ``box`` to the entities."""
        return quoted(answer, words)

    def flips(self, reference: Outputs, candidate: Outputs) -> np.ndarray:
        """Return bool (B,): an entity differs, or a probability is not finite."""
        known = np.isfinite(reference["tags"]).all(axis=(1, 2)) & np.isfinite(candidate["tags"]).all(axis=(1, 2))
        return np.asarray((self.decisions(reference) != self.decisions(candidate)).any(axis=1) | ~known)

    def margins(self, reference: Outputs, candidate: Outputs) -> np.ndarray:
        """Return float (B,): the largest difference of the reference's probabilities of the two tags of a word."""
        first, second = self.decisions(reference)[..., None], self.decisions(candidate)[..., None]
        given = np.asarray(reference["tags"], np.float64)
        apart = np.abs(np.take_along_axis(given, first, -1) - np.take_along_axis(given, second, -1)).max(axis=(1, 2))
        known = np.isfinite(given).all(axis=(1, 2)) & np.isfinite(candidate["tags"]).all(axis=(1, 2))
        return np.where(known, apart, np.inf)

    def changed_entities(self, reference: Outputs, candidate: Outputs) -> tuple[int, int]:
        """Return how many entities only one of two models has, and how many both of them have together."""
        pairs = zip(self.decisions(reference), self.decisions(candidate), strict=True)
        both = [(set(self.tags.spans(first)), set(self.tags.spans(second))) for first, second in pairs]
        return sum(len(a ^ b) for a, b in both), sum(len(a | b) for a, b in both)

    def evidence(self, targets: np.ndarray, outputs: Outputs) -> dict[str, np.ndarray]:
        """Return the counts of each document, see `counted`."""
        return counted(self.tags, np.asarray(targets), self.decisions(outputs), np.asarray(outputs["tags"]))

    def sums(self, evidence: Evidence) -> dict[str, np.ndarray]:
        """Return the counts, and 1."""
        return {**evidence, "total": np.ones(len(evidence["words"]))}

    def of_sums(self, sums: Evidence) -> dict[str, np.ndarray]:
        """Return F1, precision and recall of entities, F1 by label, and shares of documents and words that are right.

        Without entities in truth and answers F1 is NaN. ``macro_f1`` is the mean over the labels that occur.
        """
        found, decided, actual = np.moveaxis(sums["entities"], 1, 0)
        every = [each.sum(axis=1) for each in (found, decided, actual)]
        by_label = f1(found, decided, actual)
        return {
            "entity_f1": f1(*every),
            "precision": ratio(every[0], every[1]),
            "recall": ratio(every[0], every[2]),
            "macro_f1": mean_of_known(by_label),
            "exact_match": ratio(sums["exact"], sums["total"]),
            "word_accuracy": ratio(sums["right"], sums["words"]),
            "cross_entropy": ratio(sums["surprise"], sums["words"]),
            **{f"f1_{label}": by_label[:, place] for place, label in enumerate(self.labels)},
        }

    def counted(self, evidence: Evidence) -> dict[str, np.ndarray]:
        """Return the entities of each document, in truth and answer, which the F1 counts."""
        return {"entity_f1": evidence["entities"][:, 1:].sum(axis=(1, 2))}

    def class_metrics(self) -> dict[str, str]:
        """Return the F1 of each label."""
        return {label: f"f1_{label}" for label in self.labels}
