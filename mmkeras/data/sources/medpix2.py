"""MedPix 2.0: CT and MR pictures of patients with their history (https://github.com/CHILab1/MedPix-2.0).

671 cases with 2,050 pictures; Siragusa et al. 2025, MedPix 2.0, Data Science and Engineering, doi
10.1007/s41019-025-00297-8. The repository states no licence; the pictures are open to teaching and research.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Literal

from mmkeras.core.errors import ConfigError, DataError, nearest
from mmkeras.data.sources._contract import Sample, SourceBase, split_called
from mmkeras.data.sources._files import identity_of
from mmkeras.media.cells import stands_for_nothing

__all__ = ["TARGETS", "Source", "split_of"]

TARGETS = {"location": "location_category", "device": "type"}
"""Field of ``images.jsonl`` by target."""
_FILES = ("images.jsonl", "cases.jsonl")
_AGES = (18, 40, 60)


@dataclass(frozen=True)
class Source(SourceBase):
    """A sample for each picture: ``image``, ``text`` (the patient's history), ``row`` (age and sex).

    All pictures of a case are in one split: the official one where ``images.jsonl`` names several, else that of a hash
    of the case (`split_of`). Captions, findings and diagnosis are not read: they name the answers. Columns: ``device``
    (CT or MR), ``plane``, ``age`` and ``sex``.
    """

    reads: ClassVar[tuple[str, ...]] = ("folder",)

    folder: str = ""
    """The folder with images.jsonl, cases.jsonl and images/."""
    target: Literal["location", "device"] = "location"
    """location: part of the body, one of five. device: CT or MR."""

    def __post_init__(self) -> None:
        """Check the options, with a `ConfigError` for a wrong one."""
        if self.target not in TARGETS:
            raise ConfigError(f"medpix2: target: {self.target!r}; {nearest(self.target, TARGETS)}")

    def samples(self) -> Iterator[Sample]:
        """Yield the pictures in the order of ``images.jsonl``; the target of a bad row is a `DataError`."""
        histories = self._histories()
        rows = list(self._lines(_FILES[0]))
        official = len({row.get("split") for _, row in rows if isinstance(row, Mapping)}) > 1
        for number, row in rows:
            origin = f"{_FILES[0]}:{number}"
            try:
                yield self._sample(row, histories, origin, official)
            except DataError as error:
                yield Sample(key=origin, values={}, target=error, origin=origin)

    def fingerprint_inputs(self) -> dict[str, str]:
        """Return hashes of both tables, of the names and sizes of the pictures, and of the beginnings of some."""
        found = {name: hashlib.sha256(self._place(name).read_bytes()).hexdigest() for name in _FILES}
        pictures = sorted(path for path in (Path(self.folder) / "images").glob("*") if path.is_file())
        return found | identity_of("images", pictures, Path(self.folder))

    def _place(self, name: str) -> Path:
        path = Path(self.folder) / name
        if not path.is_file():
            raise DataError(
                f"{path}: no such file. Name the folder that holds {' and '.join(_FILES)} of MedPix 2.0: "
                "--data.source.options.folder FOLDER"
            )
        return path

    def _lines(self, name: str) -> Iterator[tuple[int, Any]]:
        """Yield number and content of every line; a line that is no JSON is None."""
        for number, line in enumerate(self._place(name).read_text("utf-8", errors="replace").splitlines(), 1):
            if line.strip():
                try:
                    yield number, json.loads(line)
                except (ValueError, RecursionError):
                    yield number, None

    def _histories(self) -> dict[str, str]:
        found = {}
        for number, case in self._lines(_FILES[1]):
            try:
                found[str(case["U_id"])] = str(case["Case"].get("History") or "").strip()
            except (TypeError, KeyError, AttributeError):
                raise DataError(
                    f"{_FILES[1]}:{number}: expected a case with U_id and Case.History; take the file of the set"
                ) from None
        return found

    def _sample(self, row: Any, histories: Mapping[str, str], origin: str, official: bool) -> Sample:
        wanted = ("case", "image", TARGETS[self.target])
        if not isinstance(row, Mapping) or not all(isinstance(row.get(each), str) and row[each] for each in wanted):
            raise DataError(f"expected a JSON object with {', '.join(wanted)}")
        case = row["case"]
        if case not in histories:
            raise DataError(f"{_FILES[1]} has no case {case!r}")
        if Path(row["image"]).name != row["image"]:
            raise DataError(f"image: expected the name of a file in images/, got {row['image']!r:.80}")
        age, sex = _text(row.get("age")), _text(row.get("sex"))
        return Sample(
            key=row["image"],
            values={
                "image": str(Path(self.folder) / "images" / row["image"]),
                "text": histories[case] or None,
                "row": {"age": age, "sex": sex} if age or sex else None,
            },
            target=row[TARGETS[self.target]],
            split=split_called(_text(row.get("split"))) if official else split_of(case),
            group=case,
            columns={
                "device": _text(row.get("type")),
                "plane": _text(row.get("plane")),
                "age": _band(age),
                "sex": sex,
            },
            origin=origin,
        )


def split_of(case: str) -> str:
    """Return the split of a case without an official one: a fifth test, a tenth validation, by a hash."""
    place = int(hashlib.sha256(case.encode()).hexdigest(), 16) % 10
    return "test" if place < 2 else "validation" if place == 2 else "train"


def _text(cell: Any) -> str:
    """Return a cell as text, empty for words such as N/A too."""
    return "" if stands_for_nothing(cell) else str(cell).strip()


def _band(age: str) -> str:
    """Return the range of an age: below 18, 18 to 39, 40 to 59, from 60 on; empty without a number."""
    try:
        years = float(age)
    except ValueError:
        return ""
    older = [limit for limit in _AGES if years >= limit]
    if not older:
        return f"below {_AGES[0]}"
    place = _AGES.index(older[-1])
    return f"{_AGES[place]} to {_AGES[place + 1] - 1}" if place + 1 < len(_AGES) else f"from {_AGES[-1]} on"
