from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mmkeras.core.errors import ConfigError, DataError
from mmkeras.media.text.vocabulary import (
    LARGEST_FILE,
    SPECIAL_TOKENS,
    UNK,
    check_vocabulary,
    read_vocabulary,
    train_vocabulary,
    vocabulary_bytes,
)
from mmkeras.modalities.text.spec import Spec
from mmkeras.storage.files import write_bytes
from tests.media.text.strings import FRAGMENTS, TEXTS

QUESTIONS = [
    f"{start} {color} {shape}?"
    for start in ("Is there a", "What is the", "Does it show a")
    for color in ("red", "blue", "yellow")
    for shape in ("circle", "triangle", "rectangle")
]


def test_whole_words_of_a_small_corpus() -> None:
    vocabulary = train_vocabulary(QUESTIONS, 8000)
    assert vocabulary[:5] == SPECIAL_TOKENS
    assert {"what", "triangle", "yellow", "?"} <= set(vocabulary)
    assert "What" in train_vocabulary(QUESTIONS, 8000, lowercase=False)


@pytest.mark.parametrize("size", [7, 30, 60, 1000])
def test_size_is_kept(size: int) -> None:
    vocabulary = train_vocabulary([*QUESTIONS, *FRAGMENTS], size)
    assert len(vocabulary) <= size
    check_vocabulary(vocabulary)


@given(st.lists(TEXTS, min_size=1, max_size=10), st.booleans())
@settings(max_examples=30, deadline=None)
def test_a_corpus_has_no_unknown_words(texts: list[str], lowercase: bool) -> None:
    short = [" ".join(text.split())[:20] for text in texts]
    vocabulary = train_vocabulary(["a", *short], 8000, lowercase)
    check_vocabulary(vocabulary)
    spec = Spec("text", 128, vocabulary, lowercase)
    for text in short:
        tokens = spec.preprocess(text)["text_token_ids"]
        assert spec.ids[UNK] not in tokens


def test_order_of_texts_and_process_do_not_matter() -> None:
    program = (
        "import json, sys; from mmkeras.media.text.vocabulary import train_vocabulary;"
        "print(json.dumps(train_vocabulary(json.load(sys.stdin), 400)))"
    )
    texts = [*QUESTIONS, *FRAGMENTS]
    expected = train_vocabulary(texts, 400)
    for order in (texts, texts[::-1], sorted(texts)):
        done = subprocess.run(
            [sys.executable, "-c", program], input=json.dumps(order), capture_output=True, text=True, check=True
        )
        assert tuple(json.loads(done.stdout)) == expected


def test_errors(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no words"):
        train_vocabulary(["", " \u200b"], 100)
    with pytest.raises(ConfigError, match="at least 7"):
        train_vocabulary(QUESTIONS, 6)
    path = tmp_path / "vocab.txt"
    path.write_bytes(b"\xff\xfe\x00")
    with pytest.raises(ConfigError, match="can't be read"):
        read_vocabulary(path)
    path.write_text("a\nb\n")
    with pytest.raises(ConfigError, match="lacks"):
        read_vocabulary(path)


def test_what_would_never_end_or_fill_the_memory_is_not_read(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="a folder or a device"):
        read_vocabulary(Path("/dev/zero"))
    with pytest.raises(ConfigError, match="a folder or a device"):
        read_vocabulary(tmp_path)
    large = tmp_path / "vocab.txt"
    with large.open("wb") as file:
        file.truncate(LARGEST_FILE + 1)  # holes: it takes no room on the disk
    with pytest.raises(ConfigError, match="no more than"):
        read_vocabulary(large)


def test_files_round_trip(tmp_path: Path) -> None:
    tokens = (*SPECIAL_TOKENS, "\u2028", "\x85", "\u3000", "##é")
    write_bytes(tmp_path / "new" / "vocab.txt", vocabulary_bytes(tokens))
    assert read_vocabulary(tmp_path / "new" / "vocab.txt") == tokens
    assert [path.name for path in (tmp_path / "new").iterdir()] == ["vocab.txt"]
