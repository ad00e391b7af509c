"""Pages with tagged words in JSON lines: FUNSD-r and CORD-r in the form of their archives, or your own.

An object a line: ``{"doc": "0001", "width": 754, "height": 1000, "words": [{"text": "Date:", "box": [60, 90, 110, 104],
"segment": 0, "bio": "B-question"}, ...]}``, with ``split`` and ``image`` (a file in ``images/``) where there are some.
In place of ``bio`` of each word a page may have ``tags``, a list.

FUNSD-r and CORD-r: Zhang et al. 2023, arXiv:2310.11016 (github.com/chongzhangFDU/Token-Path-Prediction-Datasets, CC BY
4.0; FUNSD: Jaume et al. 2019, for non-commercial, research and educational use).
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

from mmkeras.core.errors import ConfigError, DataError
from mmkeras.data.sources._contract import Sample, split_called
from mmkeras.data.sources._documents import Document, DocumentSource, page_from, picture_at
from mmkeras.data.sources._files import identity_of
from mmkeras.storage.text_lines import json_lines

__all__ = ["Source"]


@dataclass(frozen=True)
class Source(DocumentSource):
    """Every .jsonl file of a folder, or one file. The group is the document.

    Words are read in the order of the file. A word that continues an entity after other words, with ``I-`` far from its
    ``B-``, begins an entity of its own: the entities are the runs of tags. Splits are those of the file where it names
    several.
    """

    reads: ClassVar[tuple[str, ...]] = ("folder",)

    folder: str = ""
    """The folder with .jsonl files and images/, or one .jsonl file."""
    pictures: bool = True
    """Whether the page's picture is read where a row names one."""

    def documents(self) -> Iterator[Document | Sample]:
        """Yield the pages of every file in the order of the names."""
        rows, images = list(self._rows()), self._files()[0].parent / "images"
        official = len({row.get("split") for _, row in rows if isinstance(row, dict)}) > 1
        for origin, row in rows:
            try:
                yield self._document(origin, row, official, images)
            except DataError as error:
                yield Sample(key=origin, values={}, target=error, origin=origin)

    def fingerprint_inputs(self) -> dict[str, str]:
        """Return hashes of the files, and of names and sizes of the pictures."""
        files = self._files()
        found = {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in files}
        images = files[0].parent / "images"
        return found | identity_of("images", sorted(images.glob("*")) if images.is_dir() else [], files[0].parent)

    def _document(self, origin: str, row: Any, official: bool, images: Path) -> Document:
        if isinstance(row, DataError):
            raise DataError(f"{origin}: expected a JSON object with width, height and words, got a line with: {row}")
        if not isinstance(row, dict):
            raise DataError(f"{origin}: expected a JSON object with width, height and words")
        page = page_from(row, origin)
        split = split_called(str(row["split"])) if official and row.get("split") else None
        if official and split is None:
            raise DataError(f"{origin}: split: expected train, validation or test, got {row.get('split')!r}")
        return Document(
            name=str(row.get("doc") or origin),
            page=page,
            tags=_tags(row, origin),
            picture=picture_at(images, row.get("image")) if self.pictures else None,
            split=split,
        )

    def _rows(self) -> Iterator[tuple[str, Any]]:
        """Yield place and content of each line; an error for a line that is no JSON."""
        for path in self._files():
            try:
                with path.open("rb") as stream:
                    for line in json_lines(stream):
                        yield f"{path.name}:{line.number}", DataError(line.problem) if line.problem else line.value
            except OSError as error:
                raise DataError(f"{path}: cannot be read ({error})") from error

    def _files(self) -> list[Path]:
        path = Path(self.folder)
        if not self.folder:
            raise ConfigError("tagged_pages: expected a folder with .jsonl files: --data.source.options.folder")
        found = sorted(path.glob("*.jsonl")) if path.is_dir() else [path] if path.is_file() else []
        if not found:
            raise DataError(f"{path}: expected .jsonl files with pages, got none. Unpack FUNSD-r or CORD-r there")
        return found


def _tags(row: dict[str, Any], origin: str) -> list[str]:
    """Return the tag of each word."""
    words = row["words"]
    tags = row.get("tags")
    if tags is None and all(isinstance(word, dict) for word in words):
        tags = [word.get("bio") for word in words]
        lacking = [place for place, tag in enumerate(tags) if not isinstance(tag, str)]
        if lacking:
            raise DataError(f"{origin}: word {lacking[0]} has no bio: expected O, B-label or I-label")
    if isinstance(tags, str):
        tags = tags.split()
    if not isinstance(tags, list) or not all(isinstance(tag, str) for tag in tags):
        raise DataError(f"{origin}: expected bio for each word, or a list of tags; got {tags!r:.60}")
    return tags
