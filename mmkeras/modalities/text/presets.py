"""The vocabulary of a text model: from a file, a pretrained preset, or the corpus."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from mmkeras.core.errors import ConfigError, require
from mmkeras.core.typed import read_json
from mmkeras.core.weight_packages import MINILM
from mmkeras.media.text.vocabulary import check_vocabulary, read_vocabulary, train_vocabulary, vocabulary_bytes
from mmkeras.modalities.text.spec import Config
from mmkeras.storage.files import write_bytes

__all__ = ["from_preset", "preset_path", "preset_tokenizer", "resolve"]


def resolve(config: Config, texts: Iterable[str], folder: Path) -> Config:
    """Return the configuration with a ``vocabulary`` that `Config.spec` can read.

    A path given by the user stays. Otherwise ``folder/vocabulary.txt`` is written: the preset's vocabulary, or without
    a preset one trained from the texts, which are read only then.

    Raises:
        ConfigError: no such file or preset, or ``lowercase`` differs from the preset's.
        DataError: the corpus holds no words.
    """
    vocabulary: tuple[str, ...] = ()
    if config.preset:
        vocabulary, lowercase = preset_tokenizer(config.preset)
        if lowercase is not None and lowercase != config.lowercase:
            raise ConfigError(
                f"text: the preset {config.preset!r} was trained on {'lowercased' if lowercase else 'cased'} "
                f"text. Set lowercase = {str(lowercase).lower()}."
            )
    if config.vocabulary:
        read_vocabulary(Path(config.vocabulary))
        return config
    if not vocabulary:
        vocabulary = train_vocabulary(texts, config.vocabulary_size, config.lowercase)
    path = folder / "vocabulary.txt"
    write_bytes(path, vocabulary_bytes(vocabulary))
    return dataclasses.replace(config, vocabulary=str(path))


def preset_path(preset: str) -> str:
    """Return a local folder, or that of the package with ``minilm``, as an absolute path; other names as they are.

    Raises:
        DependencyError: the package with ``minilm`` is not installed.
    """
    folder = Path(preset).expanduser()
    if preset == "minilm" and not folder.is_dir():
        folder = MINILM.path()
    return str(folder.resolve()) if folder.is_dir() else preset


def preset_tokenizer(preset: str) -> tuple[tuple[str, ...], bool | None]:
    """Return a preset's vocabulary and whether it is lowercased (None where unknown).

    ``preset`` is ``minilm``, a name of keras_nlp, or a local folder in Keras or Hugging Face layout.

    Raises:
        ConfigError: there is no such preset, or it has no WordPiece vocabulary.
    """
    folder = Path(preset_path(preset))
    if folder.is_dir():
        return _local_tokenizer(folder)
    tokenizer = from_preset("BertTokenizer", preset)
    return tuple(tokenizer.get_vocabulary()), bool(tokenizer.lowercase)


def from_preset(kind: str, preset: str, **options: Any) -> Any:
    """Return an object of a class of `keras_nlp.models`, made from a preset name or an absolute folder.

    Raises:
        ConfigError: the preset can't be loaded.
    """
    keras_nlp = require("keras_nlp", "train")
    try:
        return getattr(keras_nlp.models, kind).from_preset(preset, **options)
    except Exception as error:  # keras_nlp raises whatever its downloaders and parsers raise.
        raise ConfigError(
            f"The text preset {preset!r} can't be loaded: {error}. Expected minilm, a BERT preset name of keras_nlp "
            "(with access to its hub), or a local folder with config.json and weights in Keras or Hugging Face layout "
            "(which also needs the safetensors package)."
        ) from error


def _local_tokenizer(folder: Path) -> tuple[tuple[str, ...], bool | None]:
    tokenizer = _json(folder / "tokenizer.json")
    lowercase = _bool(_json(folder / "tokenizer_config.json"), "do_lower_case")
    keras_file = folder / "assets" / "tokenizer" / "vocabulary.txt"
    if keras_file.is_file():
        return read_vocabulary(keras_file), _bool(_part(tokenizer, "config"), "lowercase", lowercase)
    if lowercase is None:
        lowercase = _bool(_part(tokenizer, "normalizer"), "lowercase")
    if (folder / "vocab.txt").is_file():
        return read_vocabulary(folder / "vocab.txt"), lowercase
    model = _part(tokenizer, "model")
    if model.get("type") == "WordPiece":
        vocabulary = _part(model, "vocab")
        if sorted(map(str, vocabulary.values())) != sorted(map(str, range(len(vocabulary)))):
            raise ConfigError(f"{folder / 'tokenizer.json'}: model.vocab: expected each number from 0 once.")
        tokens = tuple(sorted(vocabulary, key=lambda token: int(vocabulary[token])))
        check_vocabulary(tokens)
        return tokens, lowercase
    raise ConfigError(
        f"{folder} has no WordPiece vocabulary. Expected vocab.txt or tokenizer.json (Hugging Face layout), "
        "or assets/tokenizer/vocabulary.txt (Keras layout); or give a vocab.txt in `vocabulary`."
    )


def _json(path: Path) -> dict[str, Any]:
    try:
        return read_json(path, ConfigError, "Expected a file that KerasHub or Hugging Face wrote.")
    except FileNotFoundError:
        return {}


def _part(value: dict[str, Any], key: str) -> dict[str, Any]:
    """Return an object inside another; empty if there is none."""
    part = value.get(key)
    return part if isinstance(part, dict) else {}


def _bool(value: dict[str, Any], key: str, default: bool | None = None) -> bool | None:
    """Return a value that is true or false; ``None`` for any other."""
    found = value.get(key, default)
    return found if isinstance(found, bool) else None
