"""The vocabulary of a document's word pieces: from a file, MiniLM, or the words."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from mmkeras.core.errors import ConfigError
from mmkeras.core.weight_packages import MINILM
from mmkeras.media.text.vocabulary import read_vocabulary, train_vocabulary, vocabulary_bytes
from mmkeras.modalities.document.packet import page_of
from mmkeras.modalities.document.spec import Config
from mmkeras.storage.files import write_bytes

__all__ = ["resolve"]


def resolve(config: Config, values: Iterable[Any], folder: Path) -> Config:
    """Return the configuration with a ``vocabulary`` that `Config.spec` can read.

    A path given by the user stays. Otherwise ``folder/document_vocabulary.txt`` is written: that of MiniLM with
    ``embeddings = "minilm"``, or else one trained from the words, which are read only then.

    Raises:
        ConfigError: no such file, or MiniLM with cased words.
        DataError: the documents hold no words.
        DependencyError: MiniLM's package is not installed.
    """
    if config.embeddings == "minilm" and not config.lowercase:
        raise ConfigError("document: MiniLM was trained on lowercased text. Set lowercase = true")
    if config.vocabulary:
        read_vocabulary(Path(config.vocabulary))
        return config
    if config.embeddings == "minilm":
        vocabulary = read_vocabulary(MINILM.path() / "vocab.txt")
    else:
        texts = (" ".join(page_of(value).words) for value in values)
        vocabulary = train_vocabulary(texts, config.vocabulary_size, config.lowercase)
    path = folder / "document_vocabulary.txt"
    write_bytes(path, vocabulary_bytes(vocabulary))
    return dataclasses.replace(config, vocabulary=str(path))
