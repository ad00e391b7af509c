"""Emoji of several designers with their names in many languages, from packages of npm.

``emoji.jsonl`` has an object per line with ``code``, ``group``, ``vendors`` and ``names`` by language; the pictures are
``<vendor>/<code>.png``. See docs/pages/pipeline-matching.md for the packages and their licences. The pictures of one
designer are held out: a model must know a designer's drawing of a thing that it has seen others draw.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

from mmkeras.core.errors import ConfigError, DataError, nearest
from mmkeras.data.sources._captions import share_of
from mmkeras.data.sources._contract import Sample, SourceBase
from mmkeras.data.sources._files import identity_of
from mmkeras.media.cells import tidy

__all__ = ["Source"]

LIST = "emoji.jsonl"


@dataclass(frozen=True)
class Source(SourceBase):
    """The modalities ``image`` and ``text``: a picture of each designer, and its name; for the task ``matching``.

    Column: ``group``, such as ``food-drink``.
    """

    reads: ClassVar[tuple[str, ...]] = ("folder",)

    folder: str
    """Folder with emoji.jsonl and the folders of the designers."""
    language: str = "en"
    """Language of the names, such as en or zh."""
    held_out: str = "fluent"
    """Designer whose pictures are the test split."""
    validation: str = ""
    """Designer whose pictures choose the best epoch; a tenth of the training pictures when empty."""
    tags: bool = False
    """Also show the tags of a thing as a training text."""

    def samples(self) -> Iterator[Sample]:
        """Yield every picture with its name in the order of the list; the target of a bad row is a `DataError`."""
        for number, row in self._lines():
            origin = f"{LIST}:{number}"
            if isinstance(row, DataError):
                yield Sample(key=origin, values={}, target=row, origin=origin)
                continue
            code, name = str(row["code"]), tidy(str(row["names"].get(self.language, "")))
            for vendor in row["vendors"]:
                path = Path(self.folder, vendor, f"{code}.png")
                problem = "" if path.is_file() else f"the name {name[:40]!r} has no picture: {vendor}/{code}.png"
                if not name:
                    problem = f"{code} has no name in {self.language!r}"
                key = f"{vendor}/{code}"
                if problem:
                    yield Sample(key=key, values={}, target=DataError(problem), origin=origin)
                    continue
                split = self._split(vendor, key)
                texts = [name]
                if self.tags and split == "train" and (tags := row["tags"].get(self.language)):
                    texts.append(tidy(", ".join([name, *map(str, tags)])))
                for text in texts:
                    yield Sample(
                        key=key if text == name else f"{key} tags",
                        values={"image": str(path), "text": text},
                        target={"pair": code, "image": key, "text": f"{code} {text}"},
                        split=split,
                        columns={"group": str(row.get("group") or "none")},
                        origin=origin,
                    )

    def fingerprint_inputs(self) -> dict[str, str]:
        """Return the hash of the list, that of names and sizes of the pictures, and of the beginnings of some."""
        path = self._list()
        pictures = sorted(path.parent.glob("*/*.png"))
        return {LIST: hashlib.sha256(path.read_bytes()).hexdigest()} | identity_of("pictures", pictures, path.parent)

    def _split(self, vendor: str, key: str) -> str:
        if vendor == self.held_out:
            return "test"
        if self.validation:
            return "validation" if vendor == self.validation else "train"
        return "validation" if share_of(key) < 0.1 else "train"

    def _list(self) -> Path:
        path = Path(self.folder, LIST)
        if not self.folder or not path.is_file():
            raise DataError(
                f"emoji: folder: expected a folder with {LIST}, got {self.folder!r}. Name it: "
                "--data.source.options.folder FOLDER"
            )
        return path

    def _lines(self) -> Iterator[tuple[int, dict[str, Any] | DataError]]:
        """Yield the number and object of each line.

        Raises:
            ConfigError: no row has the language or the designer.
        """
        path, rows = self._list(), []
        for number, line in enumerate(path.read_text("utf-8").splitlines(), 1):
            try:
                row = json.loads(line)
                fits = isinstance(row["names"], Mapping) and isinstance(row["vendors"], list) and row["code"]
                found: Any = {"tags": {}, **row} if fits else None
            except (ValueError, KeyError, TypeError):
                found = None
            rows.append((number, found or DataError(f"expected code, vendors and names, got {line!r:.80}")))
        read = [row for _, row in rows if not isinstance(row, DataError)]
        languages = {language for row in read for language in row["names"]}
        vendors = {vendor for row in read for vendor in row["vendors"]}
        for option, value, known in (
            ("language", self.language, languages),
            ("held_out", self.held_out, vendors),
            ("validation", self.validation, vendors),
        ):
            if value and value not in known:
                raise ConfigError(f"emoji: {option}: {value!r} is not in {path}; {nearest(value, known)}")
        yield from rows
