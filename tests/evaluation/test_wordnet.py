"""Similarity of nouns in a small WordNet, and WUPS, by hand."""

from __future__ import annotations

from pathlib import Path

import pytest

from mmkeras.core.errors import ConfigError
from mmkeras.evaluation.wordnet import WordNet, wups

# entity > thing > furniture > (seat > (chair, sofa), table); entity > colour; a table of numbers is below thing too.
SENSES = {"00000010": "entity", "00000020": "thing", "00000030": "furniture", "00000040": "seat", "00000050": "chair"}
SENSES |= {"00000060": "sofa", "00000070": "table", "00000080": "colour", "00000090": "table"}
PARENTS = {"00000020": "00000010", "00000030": "00000020", "00000040": "00000030", "00000050": "00000040"}
PARENTS |= {"00000060": "00000040", "00000070": "00000030", "00000080": "00000010", "00000090": "00000020"}


@pytest.fixture
def network(tmp_path: Path) -> WordNet:
    licence = ["  1 This software and database is being provided to you"]
    data = [
        f"{sense} 03 n 02 {word} 0 also_{word} 0 00{int(sense in PARENTS)} "
        + (f"@ {PARENTS[sense]} n 0000 " if sense in PARENTS else "")
        + "| said with a word @ 1"
        for sense, word in SENSES.items()
    ]
    words = sorted(set(SENSES.values()))
    index = []
    for word in words:
        senses = [sense for sense, name in SENSES.items() if name == word]
        index.append(f"{word} n {len(senses)} 1 @ {len(senses)} 0 {' '.join(senses)}  ")
    (tmp_path / "data.noun").write_text("\n".join([*licence, *data]) + "\n")
    (tmp_path / "index.noun").write_text("\n".join([*licence, *index]) + "\n")
    return WordNet(tmp_path)


def test_similarity_is_that_of_wu_and_palmer_between_the_nearest_senses(network: WordNet):
    # Depths from 1: entity 1, thing 2, furniture 3, seat and table 4, chair and sofa 5.
    assert network.similarity("chair", "sofa") == pytest.approx(2 * 4 / (5 + 5))
    assert network.similarity("chair", "table") == pytest.approx(2 * 3 / (5 + 4))
    assert network.similarity("table", "chair") == network.similarity("chair", "table")
    assert network.similarity("chair", "colour") == pytest.approx(2 * 1 / (5 + 2))
    assert network.similarity("chairs", "chair") == 1
    assert network.similarity("unknown_word", "unknown_word") == 1
    assert network.similarity("unknown_word", "chair") == 0


def test_wups_multiplies_over_answers_and_discounts_what_is_below_the_threshold(network: WordNet):
    right, given = ["chair", "chair", "chair, table", "chair"], ["chair", "sofa", "chair", ""]
    assert wups(network, right, given, 0.0) == pytest.approx([1, 0.8, 6 / 9, 0])
    assert wups(network, right, given, 0.9) == pytest.approx([1, 0.08, 0.1 * 6 / 9, 0])


@pytest.mark.parametrize(
    ("text", "message"), [(None, r"data\.noun: cannot be read"), ("one two\n", "the files are no WordNet database")]
)
def test_a_folder_that_is_no_wordnet_is_refused(tmp_path: Path, text: str | None, message: str):
    for name in ("data.noun", "index.noun") if text else ():
        (tmp_path / name).write_text(text or "")
    with pytest.raises(ConfigError, match=message):
        WordNet(tmp_path)
