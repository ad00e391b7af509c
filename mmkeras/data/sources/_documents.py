"""Sources of documents with tagged words: windows of long pages, folds, and pictures."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from mmkeras.core.errors import ConfigError, DataError
from mmkeras.data.sources._contract import Sample, SourceBase
from mmkeras.media.document.page import Page, read_page
from mmkeras.modalities import ModalitySpec
from mmkeras.modalities._words import windows_over

__all__ = ["Document", "DocumentSource", "fold_of", "page_from", "picture_at"]


@dataclass(frozen=True)
class Document:
    """A page with a tag for each word."""

    name: str
    """Unique name, which is also the group of its windows."""
    page: Page
    tags: Sequence[str | None]
    picture: str | None = None
    """Path of the page's picture; None without one."""
    split: str | None = None
    columns: Mapping[str, str] | None = None


@dataclass(frozen=True)
class DocumentSource(SourceBase):
    """The base: modalities ``document`` (words and boxes) and ``image`` (the page's picture)."""

    window: int = 0
    """Words of a sample: a longer document becomes several samples whose words overlap, each word with its tag in one
    of them. 0 takes the number of words of the model's document."""
    overlap: int = 0
    """Words that neighbouring samples share; 0 takes that of the model's document."""

    def derived(self, modalities: Mapping[str, ModalitySpec]) -> DocumentSource:
        """Return the source with the windows of the model's document.

        Raises:
            ConfigError: a window that is longer than the document's words, or not longer than the overlap.
        """
        for spec in modalities.values():
            words, overlap = getattr(spec, "max_words", 0), getattr(spec, "overlap", None)
            if spec.kind == "document" and overlap is not None:
                if self.window > words:
                    raise ConfigError(
                        f"data.source.options.window: expected at most the {words} words of model.{spec.name}, got "
                        f"{self.window}. Leave it out"
                    )
                window, overlap = self.window or words, self.overlap or overlap
                if not 0 <= overlap < window:
                    raise ConfigError(
                        f"data.source.options.overlap: expected 0 to {window - 1}, fewer words than a window has, got "
                        f"{overlap}. Leave window and overlap out"
                    )
                return replace(self, window=window, overlap=overlap)
        return self

    def documents(self) -> Iterator[Document | Sample]:
        """Yield documents in a fixed order; a sample whose target is an error for one that cannot be read."""
        raise NotImplementedError

    def samples(self) -> Iterator[Sample]:
        """Yield the windows of every document; the target of a bad row is a `DataError`."""
        for each in self.documents():
            if isinstance(each, Sample):
                yield each
            else:
                yield from self._windows(each)

    def _windows(self, document: Document) -> Iterator[Sample]:
        count = len(document.page.words)
        spans = windows_over(count, self.window, self.overlap) if self.window else [(0, count)]
        for number, (start, stop) in enumerate(spans):
            # Words of two windows have their tag in the one in which they are more central.
            first = 0 if number == 0 else (start + spans[number - 1][1]) // 2
            last = count if number == len(spans) - 1 else (spans[number + 1][0] + stop) // 2
            tags = [tag if first <= start + i < last else None for i, tag in enumerate(document.tags[start:stop])]
            name = document.name if len(spans) == 1 else f"{document.name} {number + 1}/{len(spans)}"
            yield Sample(
                key=name,
                values={"document": document.page.part(start, stop).to_json(), "image": document.picture},
                target=tags,
                split=document.split,
                group=document.name,
                columns=dict(document.columns or {}),
                origin=name,
            )


def fold_of(name: str, folds: int) -> int:
    """Return the fold of a document: that of the hash of its name, which does not depend on the other documents."""
    return int.from_bytes(hashlib.sha256(name.encode()).digest()[:8], "big") % folds


def page_from(row: Mapping[str, Any], origin: str) -> Page:
    """Return the page of a row.

    Raises:
        DataError: names the row and the word.
    """
    try:
        return read_page(row)
    except DataError as error:
        raise DataError(f"{origin}: {error}") from None


def picture_at(folder: Path, name: Any) -> str | None:
    """Return the path of a picture; None where none is named.

    Raises:
        DataError: it is named, and not there.
    """
    if not name:
        return None
    path = folder / str(name)
    if not path.is_file():
        raise DataError(f"the picture {name} is not in {folder}")
    return str(path)
