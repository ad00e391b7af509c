"""Documents as words: word pieces, shapes and boxes of each word. Runs on the device.

The words of a page are read in the order of the file. `records` holds the cleaned words and the numbers of `numbers`,
so that the graph only cuts, pads and looks up word pieces.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property, partial
from pathlib import Path
from typing import Any, ClassVar, Literal

import numpy as np

from mmkeras.core.errors import ConfigError, nearest
from mmkeras.media.document.page import Page
from mmkeras.media.text.characters import MAX_WORD_BYTES
from mmkeras.media.text.vocabulary import MASK, PAD, SPECIAL_TOKENS, UNK, check_vocabulary, pieces, read_vocabulary
from mmkeras.modalities import NO_FACTS, NO_MODALITIES, Facts, ModalityConfig, ModalitySpec, TensorSpec
from mmkeras.modalities._config import out_of_range
from mmkeras.modalities._vocabulary import VocabularyFile
from mmkeras.modalities._words import Word, WordSpec, windows_over
from mmkeras.modalities.document.faults import FAULTS, probe_pages
from mmkeras.modalities.document.numbers import FEATURES, cleaned, features_of
from mmkeras.modalities.document.packet import page_of, write_packet

__all__ = ["Config", "Spec"]

FRAMES = ("page", "words")


@dataclass(frozen=True)
class Config(ModalityConfig):
    """A page of words with boxes, read by a transformer over its words."""

    reads: ClassVar[tuple[str, ...]] = ("vocabulary",)
    apart: ClassVar[tuple[str, ...]] = ("frame", "overlap", "word_dropout", "jitter")
    kind: Literal["document"] = field(default="document", kw_only=True)
    """Kind of the modality."""
    words: int = 256
    """Words that the model receives. A device reads longer pages in overlapping windows."""
    overlap: int = 32
    """Words that neighbouring windows share at least."""
    pieces: int = 4
    """Word pieces of each word; further ones are cut."""
    frame: Literal["page", "words"] = "page"
    """What positions are relative to: the page, or the rectangle around all of its words, which suits photos."""
    embeddings: Literal["none", "minilm"] = "none"
    """minilm: the embeddings of word pieces of MiniLM, from an installed package, reduced to ``hidden`` numbers by
    principal components and not trained further."""
    hidden: int = 128
    """Width of the embeddings of word pieces."""
    layers: int = 3
    """Transformer layers over words."""
    heads: int = 8
    """Attention heads; they divide the model's width."""
    dropout: float = 0.1
    """Share dropped in the transformer in training."""
    feature_dropout: float = 0.3
    """Share of the embeddings' features that is dropped in training."""
    vocabulary: str = ""
    """Path of a WordPiece vocab.txt. Empty takes that of minilm, or trains one from the words."""
    vocabulary_size: int = 4000
    """Most tokens of a vocabulary trained from the words."""
    lowercase: bool = True
    """Lowercase words and strip accents; capitals remain known from the shapes of words."""
    learning_rate_factor: float = 1.0
    """Learning rate of the branch relative to the rest of the model."""
    word_dropout: float = 0.0
    """Augmentation: share of the words whose pieces are replaced by [MASK]; half of them lose their shape too."""
    jitter: float = 0.0
    """Augmentation: the boxes of a page are scaled by up to this factor about its middle, and moved by half of it."""

    def __post_init__(self) -> None:
        """Check all values, with a `ConfigError` that lists the wrong ones."""
        sizes = ("words", "pieces", "hidden", "heads", "vocabulary_size")
        problems = out_of_range(self, sizes, "at least 1", lambda value: value >= 1)
        problems += out_of_range(self, ("layers",), "0 or more", lambda value: value >= 0)
        problems += out_of_range(self, ("overlap",), "0 up to words - 1", lambda value: 0 <= value < self.words)
        shares = ("dropout", "feature_dropout", "word_dropout", "jitter")
        problems += out_of_range(self, shares, "0 or more and less than 1", lambda value: 0 <= value < 1)
        problems += out_of_range(self, ("learning_rate_factor",), "0 or more", lambda value: value >= 0)
        for name, known in (("frame", FRAMES), ("embeddings", ("none", "minilm"))):
            if getattr(self, name) not in known:
                problems.append(f"{name}: {getattr(self, name)!r} is unknown; {nearest(getattr(self, name), known)}")
        if problems:
            raise ConfigError("\n".join(f"document {problem}" for problem in problems))

    def recorded(self, spec: Spec, folder: Path) -> Config:
        """Return the configuration with the vocabulary of the run's folder: the original file may be gone."""
        return dataclasses.replace(self, vocabulary=str(folder / spec.vocabulary_file))

    def untrained(self) -> Config:
        """Return the same encoder with random embeddings."""
        return dataclasses.replace(self, embeddings="none")

    def augmentations(self) -> tuple[str, ...]:
        """Return the options that change words or boxes at random."""
        return tuple(name for name in ("word_dropout", "jitter") if getattr(self, name))

    def spec_before_data(self, name: str, modalities: Mapping[str, ModalitySpec] = NO_MODALITIES) -> Spec:
        """Return the spec with a vocabulary of special tokens only."""
        del modalities
        return self._spec(name, SPECIAL_TOKENS)

    def spec(self, name: str, modalities: Mapping[str, ModalitySpec] = NO_MODALITIES, facts: Facts = NO_FACTS) -> Spec:
        """Return the spec with the vocabulary of the file; other modalities and facts do not change it.

        Raises:
            ConfigError: ``vocabulary`` is empty (`mmkeras.modalities.document.resolve` sets it), or wrong.
        """
        del modalities, facts
        return self._spec(name, read_vocabulary(Path(self.vocabulary)) if self.vocabulary else ())

    def _spec(self, name: str, vocabulary: tuple[str, ...]) -> Spec:
        return Spec(name, self.words, self.overlap, self.pieces, self.frame, self.lowercase, vocabulary)


@dataclass(frozen=True)
class Spec(VocabularyFile, WordSpec):
    """Word pieces int32 (N, P), numbers float32 (N, F), segments int32 (N,) and mask int32 (N,) of a page's words."""

    kind: ClassVar[str] = "document"
    shapes_records: ClassVar[tuple[str, ...]] = ("frame", "lowercase")

    words: int
    """N: words that the model receives."""
    overlap: int
    """Words that neighbouring windows share at least."""
    pieces: int
    """P: word pieces of each word."""
    frame: str
    """What positions are relative to: ``page`` or ``words``."""
    lowercase: bool
    """Whether words are lowercased and stripped of accents."""
    vocabulary: tuple[str, ...]
    """The WordPiece tokens by id."""

    def __post_init__(self) -> None:
        check_vocabulary(self.vocabulary)

    @property
    def tensors(self) -> tuple[TensorSpec, ...]:
        """``<name>_token_ids``, ``<name>_numbers`` (`numbers`), ``<name>_segments`` and ``<name>_padding_mask``."""
        return (
            TensorSpec(f"{self.name}_token_ids", (self.words, self.pieces), "int32"),
            TensorSpec(f"{self.name}_numbers", (self.words, FEATURES), "float32"),
            TensorSpec(f"{self.name}_segments", (self.words,), "int32"),
            TensorSpec(f"{self.name}_padding_mask", (self.words,), "int32"),
        )

    @cached_property
    def ids(self) -> dict[str, int]:
        """Token -> id."""
        return {token: i for i, token in enumerate(self.vocabulary)}

    @property
    def mask_id(self) -> int:
        """Id of [MASK], or of [UNK] in a vocabulary without it."""
        return self.ids.get(MASK, self.ids[UNK])

    def preprocess(self, value: Any) -> dict[str, np.ndarray]:
        """Return the tensors of the first N words of a page.

        Args:
            value: a page as `mmkeras.media.document.page` describes it, or a record.

        Raises:
            DataError: the page cannot be used; names the word and the reason.
        """
        page = page_of(value)
        features = features_of(page, self.frame)[: self.words]
        count = len(features)
        token_ids = np.full((self.words, self.pieces), self.ids[PAD], np.int32)
        for row, word in zip(token_ids, cleaned(page.words[: self.words], self.lowercase), strict=False):
            found = [piece for part in word.split() for piece in self._pieces(part)][: self.pieces]
            row[: len(found)] = found
        numbers = np.zeros((self.words, FEATURES), np.float32)
        numbers[:count] = features
        segments = np.zeros(self.words, np.int32)
        segments[:count] = page.segments[:count]
        mask = (np.arange(self.words) < count).astype(np.int32)
        return dict(zip((tensor.name for tensor in self.tensors), (token_ids, numbers, segments, mask), strict=True))

    def _pieces(self, word: str) -> list[int]:
        if len(word.encode()) > MAX_WORD_BYTES:
            return [self.ids[UNK]]
        return pieces(word, self.ids, self.ids[UNK])

    @property
    def max_words(self) -> int:
        """The number of words."""
        return self.words

    def words_of(self, value: Any) -> Sequence[Word]:
        """Return all words of a page with their boxes as shares of the page."""
        page = page_of(value)
        return [Word(text, tuple(box)) for text, box in zip(page.words, page.boxes.tolist(), strict=True)]

    def windows(self, value: Any) -> list[tuple[int, Any]]:
        """Return pages of up to N consecutive words each, at equal distances, with the number of their first word."""
        page = page_of(value)
        spans = windows_over(len(page.words), self.words, self.overlap)
        return [(start, page.part(start, stop)) for start, stop in spans]

    def coverage(self, values: Iterable[Any]) -> dict[str, float]:
        """Return the shares of words that are ``unknown`` ([UNK]) or ``cut`` (beyond the first N)."""
        total = unknown = cut = 0
        for value in values:
            if value is None:
                continue
            page = page_of(value)
            total += len(page.words)
            cut += max(0, len(page.words) - self.words)
            made = self.preprocess(page)[f"{self.name}_token_ids"]
            unknown += int((made == self.ids[UNK]).any(axis=1).sum())
        return {"unknown": unknown / max(1, total), "cut": cut / max(1, total)}

    def scenarios(self) -> dict[str, Callable[[Any], Any]]:
        """Return ``jumbled``, ``shifted`` and ``longest``; see `faults`."""
        return {name: partial(self._changed, change) for name, change in FAULTS.items()}

    def _changed(self, change: Callable[[Page, int], Page], value: Any) -> bytes:
        return write_packet(change(page_of(value), self.words), self.frame, self.lowercase)

    def probes(self) -> tuple[bytes, ...]:
        """Return pages of words from the whole vocabulary, amounts and dates, one of them with too many words."""
        # As records: a text would be taken as a record itself.
        pages = probe_pages(self.vocabulary, self.words)
        return tuple(write_packet(page_of(page), self.frame, self.lowercase) for page in pages)

    def to_json(self) -> dict[str, Any]:
        """Return the spec with file name and sha256 of the vocabulary in place of the tokens."""
        return {**super().to_json(), "vocabulary": self.vocabulary_entry}

    @classmethod
    def from_json(cls, value: dict[str, Any], folder: Path) -> Spec:
        """Rebuild the spec with the vocabulary file in ``folder``."""
        names = ("name", "words", "overlap", "pieces", "frame", "lowercase")
        spec = cls(**{name: value[name] for name in names}, vocabulary=cls.vocabulary_in(value, folder))
        spec.check_hash(value, folder)
        return spec
