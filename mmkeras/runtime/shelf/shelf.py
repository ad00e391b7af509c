"""The entries of an index with their vectors, in memory and in a file.

A file is written whole: magic bytes, the length of the header, the header as JSON, the vectors, and a SHA-256 digest of
everything before it. A file that is cut, altered or of another version is refused.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from mmkeras.core.errors import DataError
from mmkeras.storage.files import write_bytes

__all__ = ["PRECISIONS", "Shelf"]

PRECISIONS = ("float32", "int8")
"""How a file holds the vectors: int8 takes a quarter of the space."""
_MAGIC = b"MMKSHELF1\n"
_DIGEST = 32
_LONGEST = 1 << 28
"""Bytes of a header, at most."""


@dataclass(frozen=True)
class Shelf:
    """Entries of one kind and their vectors."""

    modality: str
    """The modality of the entries: paths of pictures, or texts."""
    model: Mapping[str, Any]
    """Which model made the vectors: see `mmkeras.runtime.shelf.towers.identity`."""
    entries: tuple[str, ...]
    """A path or a text for each vector; no two are equal."""
    vectors: np.ndarray
    """float32 (N, size) of length 1."""
    precision: str = "float32"
    """One of `PRECISIONS`, in the file."""
    shown: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    """How entries that are texts were read, such as ``template``."""

    def with_entries(self, entries: Sequence[str], vectors: np.ndarray) -> Shelf:
        """Return the shelf with more entries; one that is there already gets its new vector."""
        old = self.without(set(entries))
        fresh = {entry: place for place, entry in enumerate(entries)}
        return dataclasses.replace(
            self,
            entries=(*old.entries, *fresh),
            vectors=np.concatenate([old.vectors, np.asarray(vectors, np.float32)[list(fresh.values())]]),
        )

    def without(self, entries: Collection[str]) -> Shelf:
        """Return the shelf without some entries; unknown ones are ignored."""
        gone = set(entries)
        kept = [place for place, entry in enumerate(self.entries) if entry not in gone]
        return dataclasses.replace(
            self, entries=tuple(self.entries[place] for place in kept), vectors=self.vectors[kept]
        )

    # === Files ===

    def save(self, path: Path) -> None:
        """Write the file whole."""
        vectors, scales = self.vectors.astype("<f4"), b""
        body = vectors.tobytes()
        if self.precision == "int8":
            largest = np.maximum(np.abs(vectors).max(axis=1, initial=0.0), np.finfo(np.float32).tiny)
            scales = (largest / 127).astype("<f4").tobytes()
            body = np.rint(vectors / largest[:, None] * 127).astype(np.int8).tobytes()
        header = {
            "modality": self.modality,
            "model": dict(self.model),
            "shown": dict(self.shown),
            "precision": self.precision,
            "size": int(self.vectors.shape[1]),
            "entries": list(self.entries),
        }
        text = json.dumps(header, ensure_ascii=True).encode()
        content = b"".join((_MAGIC, len(text).to_bytes(8, "little"), text, body, scales))
        write_bytes(path, content + hashlib.sha256(content).digest())

    @classmethod
    def load(cls, path: Path) -> Shelf:
        """Read a file.

        Raises:
            DataError: it is missing, damaged, or not an index.
        """
        try:
            content = path.read_bytes()
        except OSError as error:
            raise DataError(f"{path}: cannot be read ({error.strerror or error})") from error
        if not content.startswith(_MAGIC):
            raise DataError(f"{path}: expected an index that mmkeras index wrote, got another file")
        if hashlib.sha256(content[:-_DIGEST]).digest() != content[-_DIGEST:]:
            raise DataError(
                f"{path}: its checksum does not fit: the file is cut or altered, so it is not searched. Copy it again, "
                "or make it again with mmkeras index"
            )
        start = len(_MAGIC) + 8
        length = int.from_bytes(content[len(_MAGIC) : start], "little")
        try:
            if length > min(_LONGEST, len(content)):
                raise ValueError(f"a header of {length:,} bytes")
            return cls._of(json.loads(content[start : start + length]), content[start + length : -_DIGEST])
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise DataError(f"{path}: not an index of this version ({error!s:.200}). Make it again") from error

    @classmethod
    def _of(cls, header: dict[str, Any], body: bytes) -> Shelf:
        entries, size = tuple(header["entries"]), header["size"]
        if not all(isinstance(entry, str) for entry in entries) or len(set(entries)) < len(entries):
            raise ValueError("entries that are no texts, or twice the same")
        if type(size) is not int or size < 1:
            raise ValueError(f"vectors of {size!r:.20} numbers")
        if header["precision"] == "int8":
            levels = np.frombuffer(body, np.int8, len(entries) * size).reshape(-1, size)
            scales = np.frombuffer(body, "<f4", offset=len(entries) * size)
            vectors = levels.astype(np.float32) * scales[:, None]
            vectors /= np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), np.finfo(np.float32).tiny)
        elif header["precision"] == "float32":
            vectors = np.frombuffer(body, "<f4").reshape(-1, size).astype(np.float32)
        else:
            raise ValueError(f"vectors in {header['precision']!r:.20}")
        if len(vectors) != len(entries) or not np.isfinite(vectors).all():
            raise ValueError(f"{len(vectors)} vectors of {len(entries)} entries, or values that are not finite")
        return cls(
            str(header["modality"]), dict(header["model"]), entries, vectors, header["precision"], dict(header["shown"])
        )
