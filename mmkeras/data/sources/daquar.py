"""DAQUAR: questions about photos of rooms (Malinowski and Fritz 2014, arXiv:1410.0210), on photos of NYU Depth V2.

It reads the official lists ``qa.894.raw.train.txt`` and ``qa.894.raw.test.txt`` (a line with the question, a line with
the answer, in turn), or one ``qa.tsv`` with the columns ``split``, ``image``, ``question`` and ``answer``. The photos
are looked for below the same folder. The official split is by photo. The data is for research.
"""

from __future__ import annotations

import csv
import hashlib
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, Literal

from mmkeras.core.errors import ConfigError, DataError, nearest
from mmkeras.data.sources._contract import Sample, SourceBase, split_called
from mmkeras.data.sources._files import identity_of, pictures_below

__all__ = ["Source", "question_type"]

LISTS = ("894", "37")
_IMAGE = re.compile(r"\s*\b(?:in|on|of) (?:the |this )?(image\d+)\s*\?\s*$")


@dataclass(frozen=True)
class Source(SourceBase):
    """DAQUAR's questions with modalities ``image`` and ``text``; the group is the photo.

    The answer is the label as it stands, so that an answer of several words in the list counts only as a whole. The
    name of the photo is cut from the question. Columns: ``question_type`` (``how many``, ``what colour``, ``what``,
    ``other``) and ``answers`` (``one`` or ``several``).
    """

    reads: ClassVar[tuple[str, ...]] = ("folder",)

    folder: str
    """The unpacked dataset."""
    classes: Literal["894", "37"] = "894"
    """Which of the official lists: all answers, or 37 kinds of objects. A ``qa.tsv`` has one list."""

    def __post_init__(self) -> None:
        """Check the options, with a `ConfigError` for a wrong one."""
        if self.classes not in LISTS:
            raise ConfigError(f"daquar: classes: {self.classes!r}; {nearest(self.classes, LISTS)}")

    def samples(self) -> Iterator[Sample]:
        """Yield every question in the order of the lists; the target of a bad row is a `DataError`."""
        photos = pictures_below(Path(self.folder))
        for path in self._lists():
            for line, split, image, question, answer in _rows(path):
                origin = f"{path.name}:{line}"
                photo = photos.get(Path(image).stem)
                problem = (
                    f"expected a question that ends with the name of its photo, got {question!r:.80}"
                    if not image
                    else f"the photo {image} is not below {self.folder}"
                    if photo is None
                    else "the answer is empty"
                    if not answer
                    else f"{split!r} is not a split"
                    if split_called(split) is None
                    else ""
                )
                if problem:
                    yield Sample(key=origin, values={}, target=DataError(problem), origin=origin)
                    continue
                text = _IMAGE.sub(" ?", question).strip()
                yield Sample(
                    key=origin,
                    values={"image": str(photo), "text": text},
                    target=answer,
                    split=split_called(split),
                    group=Path(image).stem,
                    columns={
                        "question_type": question_type(text),
                        "answers": "several" if "," in answer else "one",
                    },
                    origin=origin,
                )

    def fingerprint_inputs(self) -> dict[str, str]:
        """Return hashes of the lists, of names and sizes of the photos, and of the beginnings of some."""
        photos = sorted(pictures_below(Path(self.folder)).values())
        result = {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in self._lists()}
        return result | identity_of("photos", photos, Path(self.folder))

    def _lists(self) -> list[Path]:
        root = Path(self.folder)
        if not self.folder or not root.is_dir():
            raise DataError(
                f"daquar: folder: expected the unpacked dataset, got {self.folder!r}, which is no folder. Name it: "
                "--data.source.options.folder FOLDER"
            )
        if listed := sorted(root.rglob("qa.tsv")):
            return listed[:1]
        names = [f"qa.{self.classes}.raw.{split}.txt" for split in ("train", "test")]
        found = [next(iter(sorted(root.rglob(name))), None) for name in names]
        missing = [name for name, path in zip(names, found, strict=True) if path is None]
        if missing:
            raise DataError(f"{root}: expected {' and '.join(missing)}, or qa.tsv, got none. Unpack DAQUAR there")
        return [path for path in found if path is not None]


def _rows(path: Path) -> Iterator[tuple[int, str, str, str, str]]:
    """Yield line, split, name of the photo, question and answer."""
    try:
        text = path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"{path}: cannot be read ({error})") from error
    if path.suffix == ".txt":
        split = path.stem.rpartition(".")[2]
        lines = text.splitlines()
        if len(lines) % 2:
            raise DataError(f"{path}: expected a line of a question and a line of its answer in turn, got {len(lines)}")
        for place in range(0, len(lines), 2):
            question, answer = lines[place].strip(), lines[place + 1].strip()
            found = _IMAGE.search(question)
            yield place + 1, split, found[1] if found else "", question, answer
        return
    reader = csv.DictReader(text.splitlines(), delimiter="\t", quoting=csv.QUOTE_NONE)
    wanted = ("split", "image", "question", "answer")
    if missing := [name for name in wanted if name not in (reader.fieldnames or ())]:
        raise DataError(f"{path}: expected the columns {', '.join(wanted)}, got none named {', '.join(missing)}")
    for row in reader:
        split, image, question, answer = ((row[name] or "").strip() for name in wanted)
        yield reader.line_num, split, image, question, answer


def question_type(text: str) -> str:
    """Return the kind of a question.

    >>> question_type("how many chairs are there ?")
    'how many'
    """
    lowered = text.casefold()
    if lowered.startswith("how many"):
        return "how many"
    if "color" in lowered or "colour" in lowered:
        return "what colour"
    return "what" if lowered.startswith("what") else "other"
