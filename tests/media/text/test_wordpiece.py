from __future__ import annotations

import pytest
from hypothesis import given, settings
from tokenizers.models import WordPiece

from mmkeras.media.text.characters import MAX_WORD_BYTES, words
from mmkeras.media.text.vocabulary import SPECIAL_TOKENS, UNK, pieces
from tests.media.text.strings import LONG, TEXTS, vocabulary

IDS = {token: i for i, token in enumerate((*SPECIAL_TOKENS, "un", "##aff", "##able", "##a", "a", "aff", "##ffa", "é"))}


@pytest.mark.parametrize(
    ("word", "expected"),
    [
        ("unaffable", ["un", "##aff", "##able"]),
        ("a", ["a"]),
        ("aa", ["a", "##a"]),
        ("affa", ["aff", "##a"]),
        ("unx", [UNK]),
        ("x", [UNK]),
        ("aé", [UNK]),
        ("é", ["é"]),
    ],
)
def test_the_longest_piece_first(word: str, expected: list[str]):
    assert pieces(word, IDS, IDS[UNK]) == [IDS[token] for token in expected]


@pytest.mark.parametrize("lowercase", [True, False])
def test_it_is_that_of_the_tokenizers_library(lowercase: bool):
    ids = {token: i for i, token in enumerate(vocabulary(lowercase))}
    library = WordPiece(vocab=ids, unk_token=UNK, max_input_chars_per_word=MAX_WORD_BYTES)

    def agree(text: str) -> None:
        for word in words(text, lowercase):
            if len(word.encode()) <= MAX_WORD_BYTES:
                assert pieces(word, ids, ids[UNK]) == [token.id for token in library.tokenize(word)], word

    agree(LONG)
    settings(max_examples=300, deadline=None)(given(TEXTS)(agree))()
