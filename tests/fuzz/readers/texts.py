"""Texts, vocabularies, and the folders of pretrained encoders."""

from __future__ import annotations

import json
from pathlib import Path

from mmkeras.core.errors import DataError
from mmkeras.media.text.vocabulary import read_vocabulary
from mmkeras.modalities.text.presets import preset_tokenizer
from mmkeras.modalities.text.records import encode
from mmkeras.modalities.text.spec import Config, Spec
from tests.fuzz.reader import Reader

__all__ = ["READERS"]

_WORDS = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "?", "what", "shape", "##s", "is", "red", "é", "\u2028")


def _write_vocabulary(folder: Path) -> None:
    (folder / "vocab.txt").write_text("".join(f"{word}\n" for word in _WORDS), "utf-8")


def _write_presets(folder: Path) -> None:
    for name in ("hugging_face", "tokenizer_only", "keras/assets/tokenizer"):
        (folder / name).mkdir(parents=True)
    _write_vocabulary(folder / "hugging_face")
    _write_vocabulary(folder / "keras/assets/tokenizer")
    (folder / "keras/assets/tokenizer/vocab.txt").rename(folder / "keras/assets/tokenizer/vocabulary.txt")
    model = {"type": "WordPiece", "vocab": {word: n for n, word in enumerate(_WORDS)}}
    tokenizer = {"normalizer": {"lowercase": True}, "model": model}
    (folder / "tokenizer_only/tokenizer.json").write_text(json.dumps(tokenizer))
    (folder / "hugging_face/tokenizer_config.json").write_text(json.dumps({"do_lower_case": True}))
    (folder / "keras/tokenizer.json").write_text(json.dumps({"config": {"lowercase": True}}))


def _read_presets(folder: Path) -> object:
    """Read all three; the first that is refused ends it, as for a user who names one."""
    return [preset_tokenizer(str(folder / name)) for name in ("tokenizer_only", "hugging_face", "keras")]


def _write_texts(folder: Path) -> None:
    (folder / "question.txt").write_text("What shape is the réd thing? \U0001f600 [MASK]\n", "utf-8")
    (folder / "script.txt").write_text("<script>alert(1)</script> \u0130\u0131 \u2028 \u202e 中文 e\u0301" * 3, "utf-8")


def _read_text(path: Path) -> object:
    text = path.read_bytes().decode("utf-8", errors="surrogateescape")
    spec = Spec("text", 16, _WORDS[:-1])
    spec.preprocess(text)
    try:
        return encode(Config(), text)
    except DataError:
        return None


READERS = (
    Reader("vocabulary", _write_vocabulary, read_vocabulary),
    Reader("preset_folder", _write_presets, _read_presets, whole=True),
    Reader("text", _write_texts, _read_text),
)
