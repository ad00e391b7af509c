"""VQA-RAD: questions of clinicians about radiology images (Lau et al. 2018, doi:10.1038/sdata.2018.251, CC0).

It reads the published ``VQA_RAD Dataset Public.json``, or a ``qa.jsonl`` with an object a line. The images are looked
for below the same folder. The official split is not used: every test image of it is a training image too.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Literal

from mmkeras.core.errors import ConfigError, DataError, nearest
from mmkeras.data.sources._contract import Sample, SourceBase
from mmkeras.data.sources._files import identity_of, pictures_below

__all__ = ["Source"]

ANSWERS = ("closed", "open", "all")
_FILES = ("qa.jsonl", "VQA_RAD Dataset Public.json")
_FIELDS = ("image_name", "question", "answer", "answer_type")


@dataclass(frozen=True)
class Source(SourceBase):
    """VQA-RAD's questions with modalities ``image`` and ``text``; the group is the image.

    Answers are labels without regard to case. Columns: ``organ``, ``answer_type`` (``closed`` for yes, no and choices,
    else ``open``) and ``question_type``, the first of them where a question has several.
    """

    reads: ClassVar[tuple[str, ...]] = ("folder",)

    folder: str
    """The unpacked dataset."""
    answers: Literal["closed", "open", "all"] = "closed"
    """Which questions: those with a closed answer (yes, no, or a choice that the question names), open ones, or all."""

    def __post_init__(self) -> None:
        """Check the options, with a `ConfigError` for a wrong one."""
        if self.answers not in ANSWERS:
            raise ConfigError(f"vqa_rad: answers: {self.answers!r}; {nearest(self.answers, ANSWERS)}")

    def samples(self) -> Iterator[Sample]:
        """Yield every question of the chosen kind, in order; the target of a bad row is a `DataError`."""
        path = self._file()
        images = pictures_below(Path(self.folder))
        for line, row in _rows(path):
            origin = f"{path.name}:{line}"
            problem = _problem(row)
            image = None if problem else images.get(Path(row["image_name"]).stem)
            if not problem and image is None:
                problem = f"the image {row['image_name']} is not below {self.folder}"
            if problem:
                yield Sample(key=origin, values={}, target=DataError(problem), origin=origin)
                continue
            kind = row["answer_type"].strip().casefold()
            if self.answers in ("all", kind):
                yield Sample(
                    key=origin,
                    values={"image": str(image), "text": row["question"].strip()},
                    target=str(row["answer"]).strip().casefold(),
                    group=Path(row["image_name"]).stem,
                    columns={
                        "organ": str(row.get("image_organ", "")).casefold(),
                        "answer_type": kind,
                        "question_type": str(row.get("question_type", "")).partition(",")[0].strip().casefold(),
                    },
                    origin=origin,
                )

    def fingerprint_inputs(self) -> dict[str, str]:
        """Return hashes of the questions, of names and sizes of the images, and of the beginnings of some."""
        path = self._file()
        images = sorted(pictures_below(Path(self.folder)).values())
        questions = {path.name: hashlib.sha256(path.read_bytes()).hexdigest()}
        return questions | identity_of("images", images, Path(self.folder))

    def _file(self) -> Path:
        root = Path(self.folder)
        if not self.folder or not root.is_dir():
            raise DataError(
                f"vqa_rad: folder: expected the unpacked dataset, got {self.folder!r}, which is no folder. Get it at "
                "https://osf.io/89kps and name its folder: --data.source.options.folder FOLDER"
            )
        for name in _FILES:
            if found := sorted(root.rglob(name)):
                return found[0]
        raise DataError(f"{root}: expected {' or '.join(_FILES)}, got neither. Unpack VQA-RAD there")


def _rows(path: Path) -> Iterator[tuple[int, Any]]:
    """Yield place and content of each question; None for a line that is no JSON."""
    try:
        text = path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"{path}: cannot be read ({error})") from error
    if path.suffix == ".jsonl":
        for line, content in enumerate(text.splitlines(), start=1):
            try:
                yield line, json.loads(content)
            except ValueError:
                yield line, None
        return
    try:
        rows = json.loads(text)
    except ValueError as error:
        raise DataError(f"{path}: expected a list in JSON ({error})") from error
    if not isinstance(rows, list):
        raise DataError(f"{path}: expected a list in JSON, got {type(rows).__name__}")
    yield from enumerate(rows, start=1)


def _problem(row: Any) -> str:
    """Return why a row cannot be used; empty if it can."""
    if not isinstance(row, dict):
        return "expected a JSON object"
    if missing := [name for name in _FIELDS if not str(row.get(name, "")).strip()]:
        return f"expected {', '.join(_FIELDS)}, got no {', '.join(missing)}"
    if row["answer_type"].strip().casefold() not in ANSWERS[:2]:
        return f"answer_type: expected CLOSED or OPEN, got {row['answer_type']!r}"
    return ""
