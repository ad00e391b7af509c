from __future__ import annotations

import unicodedata
from collections.abc import Iterable
from pathlib import Path

import numpy as np
import pytest
from tokenizers.normalizers import BertNormalizer
from tokenizers.pre_tokenizers import BertPreTokenizer

from mmkeras.media.text import characters
from mmkeras.media.text.characters import CODE_POINTS, KEEP, NOTHING, SLOTS, pages, replacements, words
from mmkeras.media.text.make_characters import alone, lines, rule


@pytest.mark.parametrize("lowercase", [True, False])
def test_every_assigned_character_follows_the_rule(lowercase: bool) -> None:
    table = replacements(lowercase)
    for code in range(CODE_POINTS):
        character = chr(code)
        if unicodedata.category(character) == "Cn":
            continue  # Unassigned for this Python, perhaps not for the table.
        operation, folded = rule(character)
        if operation == "space":
            expected = " "
        elif operation == "drop" or (operation == "mark" and lowercase):
            expected = ""
        else:
            parts = folded if lowercase and operation == "fold" else character
            expected = "".join(f" {part} " if alone(part) else part for part in parts)
        assert table[code] == expected, hex(code)


@pytest.mark.parametrize("lowercase", [True, False])
def test_graph_arrays_hold_the_same_table(lowercase: bool) -> None:
    table = replacements(lowercase)
    page, slots = pages(lowercase)
    for first in range(0, CODE_POINTS, 256):
        block = np.arange(first, first + 256)
        dense = np.where(slots[page[first // 256]] == KEEP, block[:, None], slots[page[first // 256]])
        for code, row in zip(block.tolist(), dense.tolist(), strict=True):
            replacement = table[code]
            assert [*map(ord, replacement), *[NOTHING] * (SLOTS - len(replacement))] == row, hex(code)


@pytest.mark.parametrize("lowercase", [True, False])
def test_equals_the_bert_reference(lowercase: bool) -> None:
    # Elsewhere the reference's older Unicode version lacks some accents and punctuation marks.
    normalizer, splitter = BertNormalizer(lowercase=lowercase), BertPreTokenizer()
    latin_to_cyrillic, kana_and_ideographs, hangul = (0, 0x530), (0x3000, 0xA000), (0xAC00, 0xD7A4)
    compatibility, pictographs = (0xF900, 0xFB00), (0x1F300, 0x1F700)
    for first, end in (latin_to_cyrillic, kana_and_ideographs, hangul, compatibility, pictographs):
        for code in range(first, end):
            text = f"x{chr(code)}y"
            reference = [word for word, _ in splitter.pre_tokenize_str(normalizer.normalize_str(text))]
            assert words(text, lowercase) == reference, hex(code)


def _entries(table: Iterable[str]) -> dict[tuple[str, int], tuple[str, ...]]:
    """Every entry of a table for the code points that this Python's Unicode version knows."""
    found: dict[tuple[str, int], tuple[str, ...]] = {}
    for line in table:
        name, *fields = line.split()
        if name == "fold":
            found[name, int(fields[0], 16)] = tuple(fields[1:])
        elif name != "version":
            found |= {(name, code): () for code in range(int(fields[0], 16), int(fields[1], 16) + 1)}
    return {key: value for key, value in found.items() if unicodedata.category(chr(key[1])) != "Cn"}


def test_table_is_written_by_its_generator() -> None:
    stored = Path(characters.__file__).with_name("characters.txt").read_text("ascii").splitlines()
    written = list(lines())
    if stored[0] == written[0]:
        assert stored == written
    ours, theirs = _entries(stored), _entries(written)
    # Few characters change their nature between versions of Unicode; most of the table must agree under any.
    different = {code for (_, code), _ in ours.items() ^ theirs.items()}
    assert len(ours) > 100_000
    assert len(different) <= 10, sorted(map(hex, different))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", []),
        (" \t\u3000\u2028", []),
        ("What COLOR is it?", ["what", "color", "is", "it", "?"]),
        ("Café cafe\u0301", ["cafe", "cafe"]),
        ("ß ẞ", ["ß", "ß"]),
        ("İI ıi", ["ii", "ıi"]),
        ("ΣΑΣ", ["σασ"]),
        ("a\x00b\u200bc\ufeffd\ufffde", ["abcde"]),
        ("中a文", ["中", "a", "文"]),
        ("\uf900", ["\u8c48"]),
        ("한", ["\u1112\u1161\u11ab"]),
        ("\u037e", [";"]),
        ("≠", ["="]),
        ("[CLS]", ["[", "cls", "]"]),
        ("👨\u200d👩", ["👨👩"]),
    ],
)
def test_uncased_words(text: str, expected: list[str]) -> None:
    assert words(text, True) == expected


def test_cased_words_keep_case_and_accents() -> None:
    assert words("Café İ 한 \uf900", False) == ["Café", "İ", "한", "\uf900"]
