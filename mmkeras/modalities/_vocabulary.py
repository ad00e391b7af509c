"""The file beside a spec that holds its vocabulary, checked by its hash."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

from mmkeras.core.errors import BundleError, ConfigError
from mmkeras.media.text.vocabulary import read_vocabulary, vocabulary_bytes
from mmkeras.storage.files import write_bytes

__all__ = ["VocabularyFile"]


class VocabularyFile:
    """Base of a spec with the fields ``name`` and ``vocabulary``."""

    name: str
    vocabulary: tuple[str, ...]

    @property
    def vocabulary_file(self) -> str:
        """Name of the file."""
        return f"{self.name}_vocabulary.txt"

    @property
    def vocabulary_entry(self) -> dict[str, Any]:
        """File, sha256 and number of tokens, for JSON."""
        sha256 = hashlib.sha256(vocabulary_bytes(self.vocabulary)).hexdigest()
        return {"file": self.vocabulary_file, "sha256": sha256, "tokens": len(self.vocabulary)}

    def save_files(self, folder: Path) -> tuple[str, ...]:
        """Write the file."""
        write_bytes(folder / self.vocabulary_file, vocabulary_bytes(self.vocabulary))
        return (self.vocabulary_file,)

    @staticmethod
    def vocabulary_in(value: dict[str, Any], folder: Path) -> tuple[str, ...]:
        """Return the tokens of the file that a spec's JSON names.

        Raises:
            BundleError: not a file of this folder, or no vocabulary.
        """
        name = value["vocabulary"]["file"]
        if not isinstance(name, str) or Path(name).name != (name or None):
            raise BundleError(
                f"{folder}: the vocabulary of {value['name']!r} must be a file in this folder, got {name!r}. "
                "Copy the bundle again."
            )
        try:
            return read_vocabulary(folder / name)
        except ConfigError as error:
            raise BundleError(f"The bundle's vocabulary can't be used. {error}") from error

    def check_hash(self, value: dict[str, Any], folder: Path) -> None:
        """Check that the vocabulary has the hash of the spec's JSON.

        Raises:
            BundleError: the file was altered.
        """
        given, own = value["vocabulary"], self.vocabulary_entry["sha256"]
        if own != given["sha256"]:
            raise BundleError(
                f"{folder / given['file']} was altered: expected sha256 {given['sha256']}, got {own}. "
                "Copy the bundle again."
            )
