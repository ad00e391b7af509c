"""Text as WordPiece ids: [CLS] words [SEP], cut and padded to a fixed length. Runs on the device.

The host tokenizer here and the graph tokenizer in `records` give the same ids for every string: both use the table of
`characters` and the same limit on a word's bytes.
"""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, ClassVar, Literal

import numpy as np

from mmkeras.core.errors import ConfigError
from mmkeras.media.text.characters import MAX_WORD_BYTES, check_text, words
from mmkeras.media.text.vocabulary import (
    CLS,
    PAD,
    SEP,
    SPECIAL_TOKENS,
    UNK,
    check_vocabulary,
    pieces,
    read_vocabulary,
)
from mmkeras.modalities import NO_FACTS, NO_MODALITIES, Facts, ModalityConfig, ModalitySpec, TensorSpec
from mmkeras.modalities._config import out_of_range
from mmkeras.modalities._moves import MOVES
from mmkeras.modalities._vocabulary import VocabularyFile
from mmkeras.modalities._words import Word, WordSpec
from mmkeras.modalities.text.probes import probe_texts

__all__ = ["Config", "Spec"]


@dataclass(frozen=True)
class Config(ModalityConfig):
    """A text read by a BERT encoder."""

    reads: ClassVar[tuple[str, ...]] = ("preset", "vocabulary")
    apart: ClassVar[tuple[str, ...]] = ("mask_rate",)
    kind: Literal["text"] = field(default="text", kw_only=True)
    """Kind of the modality."""
    max_length: int = 32
    """Tokens, [CLS] and [SEP] included; longer texts are cut."""
    preset: str = ""
    """Pretrained BERT: minilm (all-MiniLM-L6-v2 from an installed package, without network), a preset name of
    keras_nlp, or a local folder (Keras or Hugging Face). Empty: from scratch."""
    layers: int = 2
    """Transformer layers, from scratch; a preset has its own sizes."""
    heads: int = 4
    """Attention heads, from scratch."""
    hidden: int = 128
    """Width of the transformer, from scratch."""
    intermediate: int = 512
    """Width of the feed-forward layers, from scratch."""
    dropout: float = 0.1
    """Dropout in the encoder, with a preset too."""
    vocabulary: str = ""
    """Path of a WordPiece vocab.txt. Empty takes the preset's, or trains one from the corpus."""
    vocabulary_size: int = 8000
    """Most tokens of a vocabulary trained from the corpus."""
    lowercase: bool = True
    """Lowercase and strip accents, as uncased BERT does; must be as the preset was trained. Set false for Thai, Hindi
    and other scripts whose vowel signs would go with the accents."""
    learning_rate_factor: float = 1.0
    """Learning rate of the encoder relative to the rest of the model; its projection is trained at the full rate."""
    frozen: bool = False
    """Train only the projection behind the encoder."""
    pooling: Literal["none", "mean", "words"] = "none"
    """mean: one token, the mean of the encoder's tokens, as minilm was trained for sentences. words: one token for each
    word, the mean of its pieces, for the task tags; punctuation marks are words of their own."""
    feature_dropout: float = 0.0
    """Share of the encoder's normalised features dropped in training, the same ones in every token. Behind frozen
    weights it keeps few samples from being learned by heart; 0.5 is common."""
    mask_rate: float = 0.0
    """Share of the tokens replaced by [MASK] in training."""

    def __post_init__(self) -> None:
        sizes = ("layers", "heads", "hidden", "intermediate")
        problems = out_of_range(self, ("max_length",), "at least 3", lambda value: value >= 3)
        problems += out_of_range(self, sizes, "at least 1", lambda value: value >= 1)
        shares = ("dropout", "mask_rate", "feature_dropout")
        problems += out_of_range(self, shares, "0 or more and less than 1", lambda value: 0 <= value < 1)
        if not problems and self.hidden % self.heads:
            problems.append(f"hidden: expected a multiple of the {self.heads} heads, got {self.hidden}")
        problems += out_of_range(self, ("learning_rate_factor",), "0 or more", lambda value: value >= 0)
        if problems:
            raise ConfigError("\n".join(f"text {problem}" for problem in problems))

    def recorded(self, spec: Spec, folder: Path) -> Config:
        """Return the configuration with the vocabulary of the run's folder: the original file may be gone."""
        return dataclasses.replace(self, vocabulary=str(folder / spec.vocabulary_file))

    def augmentations(self) -> tuple[str, ...]:
        """Return the option that masks tokens at random."""
        return ("mask_rate",) if self.mask_rate else ()

    def spec_before_data(self, name: str, modalities: Mapping[str, ModalitySpec] = NO_MODALITIES) -> Spec:
        """Return the spec with a vocabulary of special tokens only."""
        del modalities
        return self._spec(name, SPECIAL_TOKENS)

    def spec(self, name: str, modalities: Mapping[str, ModalitySpec] = NO_MODALITIES, facts: Facts = NO_FACTS) -> Spec:
        """Return the spec with the vocabulary of the file; other modalities and facts do not change it.

        Raises:
            ConfigError: ``vocabulary`` is empty (`mmkeras.modalities.text.presets.resolve` sets it), or wrong.
        """
        del modalities, facts
        return self._spec(name, read_vocabulary(Path(self.vocabulary)) if self.vocabulary else ())

    def _spec(self, name: str, vocabulary: tuple[str, ...]) -> Spec:
        words = self.max_length - 2 if self.pooling == "words" else 0
        return Spec(name, self.max_length, vocabulary, self.lowercase, words)


@dataclass(frozen=True)
class Spec(VocabularyFile, WordSpec):
    """Text as token ids and padding mask."""

    kind: ClassVar[str] = "text"
    follows: ClassVar[tuple[str, ...]] = MOVES

    max_length: int
    """Tokens of every sample, [CLS], [SEP] and padding included."""
    vocabulary: tuple[str, ...]
    """The WordPiece tokens by id."""
    lowercase: bool = True
    """Whether text is lowercased and stripped of accents."""
    max_words: int = 0
    """Tokens of the branch where each is a word; 0 where they are word pieces."""

    def __post_init__(self) -> None:
        check_vocabulary(self.vocabulary)
        if not isinstance(self.lowercase, bool):
            raise ConfigError(f"text: lowercase: expected true or false, got {self.lowercase!r:.40}.")

    @property
    def tensors(self) -> tuple[TensorSpec, ...]:
        """``<name>_token_ids`` and ``<name>_padding_mask``, both int32 (max_length,)."""
        shape = (self.max_length,)
        return (
            TensorSpec(f"{self.name}_token_ids", shape, "int32"),
            TensorSpec(f"{self.name}_padding_mask", shape, "int32"),
        )

    @cached_property
    def ids(self) -> dict[str, int]:
        """Token -> id."""
        return {token: i for i, token in enumerate(self.vocabulary)}

    def preprocess(self, value: Any) -> dict[str, np.ndarray]:
        """Tokenize one text, a `str`: an empty one gives [CLS] [SEP], and names of special tokens in it are plain text.

        Returns:
            Token ids and padding mask (1 where a token is real), int32 (max_length,) each.
        """
        check_text(value)
        room = self.max_length - 2
        # A word has at least one token, so no more words are needed.
        found = map(self._pieces, itertools.islice(words(value, self.lowercase), room))
        inner = list(itertools.islice(itertools.chain.from_iterable(found), room))
        tokens = [self.ids[CLS], *inner, self.ids[SEP]]
        token_ids = np.full(self.max_length, self.ids[PAD], np.int32)
        token_ids[: len(tokens)] = tokens
        padding_mask = (np.arange(self.max_length) < len(tokens)).astype(np.int32)
        return {f"{self.name}_token_ids": token_ids, f"{self.name}_padding_mask": padding_mask}

    def words_of(self, value: Any) -> list[Word]:
        """Return the words of a text as the model separates them: punctuation marks are words of their own."""
        check_text(value)
        return [Word(word) for word in words(value, self.lowercase)]

    def _pieces(self, word: str) -> list[int]:
        if len(word.encode()) > MAX_WORD_BYTES:
            return [self.ids[UNK]]
        return pieces(word, self.ids, self.ids[UNK])

    def coverage(self, values: Iterable[Any]) -> dict[str, float]:
        """Return the shares of tokens that are ``unknown`` ([UNK]) or ``cut`` (beyond ``max_length``)."""
        total = unknown = cut = 0
        for value in values:
            if value is None:
                continue
            tokens = [piece for word in words(value, self.lowercase) for piece in self._pieces(word)]
            total += len(tokens)
            unknown += tokens.count(self.ids[UNK])
            cut += max(0, len(tokens) - (self.max_length - 2))
        return {"unknown": unknown / max(1, total), "cut": cut / max(1, total)}

    def scenarios(self) -> dict[str, Callable[[Any], Any]]:
        """Return ``empty``, and ``longest``: the text repeated until it fills every token."""

        def longest(value: str) -> str:
            times = -(-self.max_length // max(1, len(value.split())))
            return " ".join([value if value.strip() else UNK] * times)

        return {"empty": lambda value: "", "longest": longest}

    def probes(self) -> tuple[str, ...]:
        """Return texts of words from the whole vocabulary, some in capitals, with accents or too long."""
        return probe_texts(self.vocabulary, max(self.max_length - 2, 1))

    def to_json(self) -> dict[str, Any]:
        """Return the spec with file name and sha256 of the vocabulary in place of the tokens."""
        return {**super().to_json(), "vocabulary": self.vocabulary_entry}

    @classmethod
    def from_json(cls, value: dict[str, Any], folder: Path) -> Spec:
        """Rebuild the spec with the vocabulary file in ``folder``.

        Raises:
            BundleError: the vocabulary file is missing or was altered.
        """
        vocabulary = cls.vocabulary_in(value, folder)
        spec = cls(value["name"], value["max_length"], vocabulary, value["lowercase"], value.get("max_words", 0))
        spec.check_hash(value, folder)
        return spec
