"""SROIE: scanned receipts with text lines and four key fields (ICDAR 2019, Huang et al. 2019, arXiv:2103.10213).

``data/box/<name>.csv`` has a line of text with its four corners in each row, ``data/key/<name>.json`` company, date,
address and total. The set has no tags of words: those of training are found by `_key_fields.tags_of_fields`.
"""

from __future__ import annotations

import csv
import hashlib
import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Literal

import numpy as np

from mmkeras.core.errors import ConfigError, DataError
from mmkeras.data.sources._contract import Sample
from mmkeras.data.sources._documents import Document, DocumentSource, fold_of, page_from
from mmkeras.data.sources._files import identity_of, pictures_below
from mmkeras.data.sources._key_fields import FIELDS, tags_of_fields
from mmkeras.media.document.ocr import OCRS, read_picture, words_of_lines
from mmkeras.media.document.order import reading_order

__all__ = ["Source"]

_SIZES = "derived_sizes.csv"


@dataclass(frozen=True)
class Source(DocumentSource):
    """Receipts in one fold of several as the test split. Columns: the true fields.

    Lines are sorted into reading order, from top to bottom and left to right, and divided into words at blanks.
    """

    reads: ClassVar[tuple[str, ...]] = ("folder",)

    folder: str = ""
    """The folder with data/box, data/key and pictures."""
    words: Literal["files", "rapidocr"] = "files"
    """Where words come from: the files of the set, or an OCR that reads the pictures."""
    fold: int = 0
    """Number of the fold that is the test split."""
    folds: int = 5
    """Number of folds; a receipt's fold follows from the hash of its name."""

    def __post_init__(self) -> None:
        """Check the options, with a `ConfigError` for a wrong one."""
        if self.folds < 2 or not 0 <= self.fold < self.folds:
            raise ConfigError(
                f"sroie: expected folds of 2 or more, and fold from 0 to folds - 1; got {self.folds}, {self.fold}"
            )
        if self.words not in ("files", *OCRS):
            raise ConfigError(f"sroie: words: expected files or {', '.join(OCRS)}, got {self.words!r}")

    def documents(self) -> Iterator[Document | Sample]:
        """Yield the receipts in the order of their names."""
        pictures, sizes = pictures_below(Path(self.folder)), self._sizes()
        for key in self._keys():
            name = key.stem
            try:
                fields = _fields(key)
                row = self._row(name, pictures.get(name), sizes.get(name))
                page = page_from(row, f"{name}.csv")
                yield Document(
                    name=name,
                    page=page,
                    tags=tags_of_fields(page.words, page.segments.tolist(), fields),
                    picture=str(pictures[name]) if name in pictures else None,
                    split="test" if fold_of(name, self.folds) == self.fold else None,
                    columns=fields,
                )
            except DataError as error:
                yield Sample(key=name, values={}, target=error, origin=name)

    def fingerprint_inputs(self) -> dict[str, str]:
        """Return hashes of the fields, the lines and the pages' sizes, and of names and sizes of the pictures."""
        digest = hashlib.sha256()
        sizes = Path(self.folder, _SIZES)
        digest.update(sizes.read_bytes() if sizes.is_file() else b"-")
        for path in self._keys():
            box = self._box(path.stem)
            digest.update(path.read_bytes() + (box.read_bytes() if box.is_file() else b"-"))
        pictures = sorted(pictures_below(Path(self.folder)).values())
        return {"receipts": digest.hexdigest()} | identity_of("pictures", pictures, Path(self.folder))

    def _keys(self) -> list[Path]:
        if not self.folder:
            raise ConfigError("sroie: folder: expected the unpacked dataset: --data.source.options.folder FOLDER")
        found = sorted(Path(self.folder, "data", "key").glob("*.json"))
        if not found:
            raise DataError(f"{self.folder}: expected data/key/*.json and data/box/*.csv of SROIE, got none")
        return found

    def _box(self, name: str) -> Path:
        return Path(self.folder, "data", "box", f"{name}.csv")

    def _sizes(self) -> dict[str, tuple[float, float]]:
        """Return the sizes that boxes refer to, of pictures that were scaled."""
        path = Path(self.folder, _SIZES)
        if not path.is_file():
            return {}
        try:
            with path.open(encoding="utf-8-sig", newline="") as stream:
                return {row["id"]: (float(row["orig_w"]), float(row["orig_h"])) for row in csv.DictReader(stream)}
        except (OSError, ValueError, KeyError, TypeError, csv.Error) as error:
            what = f"no column {error}" if isinstance(error, KeyError) else str(error)
            raise DataError(f"{path}: expected the columns id, orig_w and orig_h with numbers: {what}") from None

    def _row(self, name: str, picture: Path | None, size: tuple[float, float] | None) -> dict[str, Any]:
        if self.words != "files":
            if picture is None:
                raise DataError(f"{name}: expected a picture for the OCR, got none below {self.folder}")
            return read_picture(picture, self.words)
        texts, boxes = _lines(self._box(name))
        words, sides, segments = words_of_lines(texts, boxes, reading_order(boxes))
        if size is None:
            from PIL import Image

            if picture is None:
                raise DataError(f"{name}: expected a picture or a row of {_SIZES} for the page's size, got neither")
            with Image.open(picture) as image:
                size = image.size
        return {"width": size[0], "height": size[1], "words": words, "boxes": sides.tolist(), "segments": segments}


def _lines(path: Path) -> tuple[list[str], np.ndarray]:
    """Return texts and boxes (n, 4) of the lines of a receipt."""
    try:
        rows = path.read_text("utf-8-sig").split("\n")  # reading turns \r\n into \n; texts may hold other separators
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"{path}: cannot be read ({error})") from None
    texts, boxes = [], []
    for number, row in enumerate(rows, start=1):
        if not row.strip():
            continue
        *corners, text = row.split(",", 8)
        try:
            sides = np.array([float(corner) for corner in corners]).reshape(4, 2)
        except ValueError:
            raise DataError(f"{path.name}:{number}: expected eight numbers and a text, got {row!r:.60}") from None
        if text.strip():
            texts.append(text)
            boxes.append([*sides.min(axis=0), *sides.max(axis=0)])
    return texts, np.array(boxes, np.float64).reshape(-1, 4)


def _fields(path: Path) -> dict[str, str]:
    try:
        value = json.loads(path.read_text("utf-8-sig"))
    except (OSError, ValueError, RecursionError) as error:
        expected = f"an object with {', '.join(FIELDS)}"
        raise DataError(f"{path.name}: cannot be read as JSON ({error}). Expected {expected}") from None
    if not isinstance(value, dict):
        raise DataError(f"{path.name}: expected an object with {', '.join(FIELDS)}, got {type(value).__name__}")
    return {field: str(value.get(field) or "").strip() for field in FIELDS}
