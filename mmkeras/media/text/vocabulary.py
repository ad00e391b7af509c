"""WordPiece vocabularies: read, checked, written, and trained from a corpus with the tokenizers library."""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path

from mmkeras.core.errors import ConfigError, DataError
from mmkeras.media.text.characters import MAX_WORD_BYTES, words

__all__ = [
    "CLS",
    "CONTINUED",
    "LARGEST_FILE",
    "MASK",
    "PAD",
    "SEP",
    "SPECIAL_TOKENS",
    "UNK",
    "check_vocabulary",
    "pieces",
    "read_vocabulary",
    "train_vocabulary",
    "vocabulary_bytes",
]

PAD, UNK, CLS, SEP, MASK = SPECIAL_TOKENS = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]")
"""BERT's special tokens, in the order of a trained vocabulary."""
LARGEST_FILE = 64 << 20
"""Most bytes of a vocabulary file; the largest in use have a few million."""
CONTINUED = "##"
"""Prefix of a piece that continues a word."""


def check_vocabulary(vocabulary: Sequence[str]) -> None:
    """Check that the host and the graph tokenizer read a vocabulary alike.

    Raises:
        ConfigError: it is empty, lacks special tokens, or has repeated or broken tokens.
    """
    if not vocabulary:
        raise ConfigError(
            "There is no text vocabulary yet. Give the path of a vocab.txt in `vocabulary`, or let the "
            "pipeline train one from its corpus first."
        )
    missing = [token for token in (PAD, UNK, CLS, SEP) if token not in vocabulary]
    if missing:
        raise ConfigError(f"The vocabulary lacks {', '.join(missing)}. A BERT vocab.txt has them, one token a line.")
    doubled = [token for token, count in Counter(vocabulary).items() if count > 1][:5]
    if doubled:
        raise ConfigError(f"The vocabulary has repeated tokens: {doubled}. Keep one line for each.")
    broken = [i + 1 for i, token in enumerate(vocabulary) if not token or set(token) & {"\n", "\r", "\0"}][:5]
    if broken:
        raise ConfigError(f"The vocabulary has empty or broken tokens in lines {broken}. Remove them.")


def vocabulary_bytes(vocabulary: Sequence[str]) -> bytes:
    """Return a vocab.txt: UTF-8, one token a line, the line number being the id."""
    return "".join(f"{token}\n" for token in vocabulary).encode()


def read_vocabulary(path: Path) -> tuple[str, ...]:
    """Read and check a vocab.txt."""
    try:
        # Reading a device or a pipe might never end.
        if path.exists() and not path.is_file():
            raise ConfigError(f"{path} can't be read as a vocabulary: expected a file, got a folder or a device.")
        if (size := path.stat().st_size) > LARGEST_FILE:
            raise ConfigError(f"{path} has {size:,} bytes; a vocabulary has no more than {LARGEST_FILE:,}.")
        # Some vocabularies hold U+2028 and the like as tokens, so neither splitlines() nor strip() will do.
        text = path.read_text("utf-8-sig")
    except FileNotFoundError as error:
        raise ConfigError(f"There is no vocabulary file {path}. Give the path of a vocab.txt.") from error
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path} can't be read as a vocabulary (UTF-8, one token a line): {error}") from error
    vocabulary = tuple(text.removesuffix("\n").split("\n"))
    try:
        check_vocabulary(vocabulary)
    except ConfigError as error:
        raise ConfigError(f"{path}: {error}") from error
    return vocabulary


def train_vocabulary(texts: Iterable[str], size: int, lowercase: bool = True) -> tuple[str, ...]:
    """Train a WordPiece vocabulary; the same texts, in any order, give the same vocabulary.

    The texts are cleaned up like every later text. A small corpus gives fewer than ``size`` tokens.

    Returns:
        The tokens by id, beginning with `SPECIAL_TOKENS`.

    Raises:
        ConfigError: ``size`` is too small.
        DataError: the corpus has no words.
    """
    from tokenizers import Tokenizer, models, pre_tokenizers, trainers

    if size < len(SPECIAL_TOKENS) + 2:
        raise ConfigError(f"vocabulary_size must be at least {len(SPECIAL_TOKENS) + 2}, got {size}.")
    counts: Counter[str] = Counter()
    for text in texts:
        counts.update(word for word in words(text, lowercase) if len(word.encode()) <= MAX_WORD_BYTES)
    if not counts:
        raise DataError("The corpus holds no words, so no vocabulary can be trained. Check the text column.")

    # The trainer numbers "##x" in the order of a randomly seeded hash map and breaks ties by number. With the sorted
    # characters as special tokens it is deterministic; a small vocabulary keeps the most frequent characters.
    uses: Counter[str] = Counter()
    for word, count in counts.items():
        for place, character in enumerate(word):
            uses[character if place == 0 else f"##{character}"] += count
    free = size - len(SPECIAL_TOKENS)
    kept = sorted(sorted(uses), key=lambda unit: -uses[unit])[:free]
    alphabet = set(kept)
    known = {
        word: count
        for word, count in sorted(counts.items())
        if all((c if place == 0 else f"##{c}") in alphabet for place, c in enumerate(word))
    }
    tokenizer = Tokenizer(models.WordPiece(unk_token=UNK))
    tokenizer.pre_tokenizer = pre_tokenizers.CharDelimiterSplit(" ")
    trainer = trainers.WordPieceTrainer(
        vocab_size=size, min_frequency=2, show_progress=False, special_tokens=[*SPECIAL_TOKENS, *sorted(kept)]
    )
    tokenizer.train_from_iterator(_repeated(known), trainer)
    learnt = tokenizer.get_vocab(with_added_tokens=False)
    return tuple(sorted(learnt, key=learnt.__getitem__))[:size]


def _repeated(counts: Mapping[str, int], most: int = 1000) -> Iterator[str]:
    """Yield every word as often as counted, in lines of limited length: the trainer takes no counts."""
    for word, count in counts.items():
        full, rest = divmod(count, most)
        yield from itertools.repeat(" ".join([word] * most), full)
        yield " ".join([word] * rest)


def pieces(word: str, ids: Mapping[str, int], unknown: int) -> list[int]:
    """Return the ids of the pieces of a word cleaned by `characters.words`; ``unknown`` alone if any part has no piece.

    Source: Wu et al. 2016, https://arxiv.org/abs/1609.08144, with BERT's greedy longest match from the left.
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
