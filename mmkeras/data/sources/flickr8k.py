"""Flickr8k: 8,000 photos with five captions each (Hodosh, Young and Hockenmaier 2013, JAIR 47).

It reads the official files ``Flickr8k.token.txt`` (``name.jpg#0``, a tab, the caption) with the lists
``Flickr_8k.trainImages.txt``, ``Flickr_8k.devImages.txt`` and ``Flickr_8k.testImages.txt``, or one ``captions.tsv``
with the columns ``split``, ``image``, ``n`` and ``caption``. The photos are looked for below the same folder. The data
is for research and education.
"""

from __future__ import annotations

import csv
import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, Literal

from mmkeras.core.errors import ConfigError, DataError, nearest
from mmkeras.data.sources._captions import Caption, caption_samples, share_of
from mmkeras.data.sources._contract import Sample, SourceBase, split_called
from mmkeras.data.sources._files import identity_of, pictures_below

__all__ = ["Source"]

TOKENS = "Flickr8k.token.txt"
LISTS = {split: f"Flickr_8k.{split}Images.txt" for split in ("train", "dev", "test")}
_VALIDATION = 1 / 12
"""Share of the training photos that the best epoch is chosen on, where the official dev split is measured."""


@dataclass(frozen=True)
class Source(SourceBase):
    """The modalities ``image`` and ``text``, a sample for each caption; for the task ``matching``."""

    reads: ClassVar[tuple[str, ...]] = ("folder",)

    folder: str
    """The unpacked dataset."""
    measured: Literal["dev", "test"] = "dev"
    """The official split that is the run's test split. With dev, a twelfth of the training photos chooses
    the best epoch and the official test split is not read; with test, dev chooses it."""
    paired: float = 1.0
    """Share of the training photos that keep their captions."""
    apart: bool = False
    """Keep the other photos and captions as samples without a partner, for a discrepancy of distributions."""
    mirrored: bool = False
    """Show every second caption of a training photo with the mirrored photo, unless the caption names a side."""

    def __post_init__(self) -> None:
        """Check the options, with a `ConfigError` for a wrong one."""
        if self.measured not in ("dev", "test"):
            raise ConfigError(f"flickr8k: measured: {self.measured!r}; {nearest(self.measured, ('dev', 'test'))}")
        if not 0 < self.paired <= 1:
            raise ConfigError(f"flickr8k: paired: expected a share of more than 0 and at most 1, got {self.paired}")

    def samples(self) -> Iterator[Sample]:
        """Yield every caption in the order of the file; the target of a bad row is a `DataError`."""
        photos = pictures_below(Path(self.folder))
        yield from caption_samples(
            list(self._rows()),
            lambda name: photos.get(Path(name).stem),
            self.folder,
            paired=self.paired,
            apart=self.apart,
            mirrored=self.mirrored,
        )

    def fingerprint_inputs(self) -> dict[str, str]:
        """Return hashes of the lists, of names and sizes of the photos, and of the beginnings of some."""
        photos = sorted(pictures_below(Path(self.folder)).values())
        found = {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in self._files()}
        return found | identity_of("photos", photos, Path(self.folder))

    def _rows(self) -> Iterator[Caption]:
        read = _table if self._files()[0].suffix == ".tsv" else _official
        for origin, official, picture, text in read(self._files()):
            split = self._split(official, picture)
            if split is not None:
                yield Caption(origin, picture, text, split)

    def _split(self, official: str, picture: str) -> str | None:
        """Return the run's split of an official one; None for a row that is not used."""
        if self.measured == "test":
            return split_called(official)
        if official == "dev":
            return "test"
        if official != "train":
            return None
        return "validation" if share_of(f"validation {picture}") < _VALIDATION else "train"

    def _files(self) -> list[Path]:
        root = Path(self.folder)
        if not self.folder or not root.is_dir():
            raise DataError(
                f"flickr8k: folder: expected the unpacked dataset, got {self.folder!r}, which is no folder. Name it: "
                "--data.source.options.folder FOLDER"
            )
        if listed := sorted(root.rglob("captions.tsv")):
            return listed[:1]
        names = [TOKENS, LISTS["train"], LISTS["dev"], *([LISTS["test"]] if self.measured == "test" else [])]
        found = {name: next(iter(sorted(root.rglob(name))), None) for name in names}
        if missing := [name for name, path in found.items() if path is None]:
            raise DataError(f"{root}: expected {', '.join(missing)}, or captions.tsv, got none. Unpack Flickr8k there")
        return [path for path in found.values() if path is not None]


_Line = tuple[str, str, str, str]
"""Origin, official split, picture and caption."""


def _table(files: list[Path]) -> Iterator[_Line]:
    (path,) = files
    reader = csv.DictReader(_text(path).splitlines(), delimiter="\t", quoting=csv.QUOTE_NONE)
    wanted = ("split", "image", "caption")
    if missing := [name for name in wanted if name not in (reader.fieldnames or ())]:
        raise DataError(f"{path}: expected the columns {', '.join(wanted)}, got none named {', '.join(missing)}")
    for row in reader:
        split, image, caption = (str(row[name] or "") for name in wanted)
        if split not in LISTS:
            raise DataError(f"{path}:{reader.line_num}: {split!r:.40} is no split; {nearest(split, LISTS)}")
        yield f"{path.name}:{reader.line_num}", split, image, caption


def _official(files: list[Path]) -> Iterator[_Line]:
    tokens, *lists = files
    splits: dict[str, str] = {}
    for path in lists:
        official = path.name.removeprefix("Flickr_8k.").removesuffix("Images.txt")
        splits |= dict.fromkeys(_text(path).split(), official)
    for number, line in enumerate(_text(tokens).splitlines(), 1):
        name, _, caption = line.partition("\t")
        picture = name.partition("#")[0]
        # Photos in no list are not part of the official data.
        if picture in splits:
            yield f"{tokens.name}:{number}", splits[picture], picture, caption


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"{path}: cannot be read ({error})") from error
