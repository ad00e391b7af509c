"""The annotated pictures of GTSRB, in the official layout and in one of a single list."""

from __future__ import annotations

import csv
import os
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from mmkeras.core.errors import DataError
from mmkeras.data.sources._files import PICTURES

__all__ = ["Sign", "read_signs", "sheets_below"]

_OFFICIAL = {"file": "Filename", "class": "ClassId"}
_LISTED = {"file": "file", "class": "class_id", "track": "track", "frame": "frame"}
_FRAME = re.compile(r"(\d+)_(\d+)")
_TEST = re.compile(r"final_test|^testing$|^test$", re.IGNORECASE)


@dataclass(frozen=True)
class Sign:
    """One picture."""

    path: Path
    origin: str
    """Place of its annotation for messages; of the picture if it has none."""
    number: int = -1
    """Class, from 0."""
    track: str = ""
    """Empty for a test picture of the official set, which is a frame without its track."""
    frame: str = ""
    test: bool = False
    """Whether it is of the official test set."""
    problem: str = ""
    """Why it cannot be used."""


def sheets_below(root: Path) -> list[Path]:
    """Return the annotation files below a folder, sorted.

    The official test pictures lie beside a list without classes (``GT-final_test.test.csv``), which is left out.

    Raises:
        DataError: no annotation file.
    """
    # Unlike Path.rglob, this also looks into linked folders.
    every = (Path(folder, name) for folder, _, names in os.walk(root, followlinks=True) for name in names)
    found = (path for path in every if path.name == "labels.csv" or re.fullmatch(r"GT-.*\.csv", path.name))
    sheets = sorted(path for path in found if not path.name.endswith(".test.csv"))
    if not sheets:
        raise DataError(
            f"{root}: expected the annotations of GTSRB, GT-*.csv or labels.csv, in the folder or below it, got none. "
            "Name the folder that the dataset was unpacked to"
        )
    return sheets


def read_signs(root: Path) -> tuple[list[Sign], int]:
    """Return every picture of the annotated folders, sorted by annotation file and name.

    Returns:
        The pictures, and the number of annotations without a picture.

    Raises:
        DataError: an annotation file that cannot be read, or no picture at all.
    """
    signs: list[Sign] = []
    missing = 0
    for sheet in sheets_below(root):
        rows = dict(_rows(sheet, root))
        pictures = _pictures(sheet, root)
        missing += len(rows.keys() - pictures.keys())
        for name, path in sorted(pictures.items()):
            origin = path.relative_to(root).as_posix()
            problem = f"it has no row in {sheet.relative_to(root)}"
            signs.append(_sign(path, *rows[name]) if name in rows else Sign(path, origin, problem=problem))
    if not signs:
        raise DataError(
            f"{root}: expected pictures ({', '.join(PICTURES)}) beside the annotations, got none. Unpack them too"
        )
    return signs, missing


def _rows(sheet: Path, root: Path) -> Iterator[tuple[str, tuple[str, Mapping[str, str]]]]:
    """Yield the name of each annotated picture, with the place of the row and its cells."""
    place = sheet.relative_to(root)
    names = _LISTED if sheet.name == "labels.csv" else _OFFICIAL
    try:
        with sheet.open(newline="", encoding="utf-8-sig") as stream:
            reader = csv.DictReader(stream, delimiter="," if sheet.name == "labels.csv" else ";")
            if missing := [name for name in names.values() if name not in (reader.fieldnames or ())]:
                raise DataError(
                    f"{sheet}: expected the columns {', '.join(names.values())}, got {reader.fieldnames}, without "
                    f"{', '.join(missing)}"
                )
            for row in reader:
                cells = {key: (row[name] or "").strip() for key, name in names.items()}
                yield cells["file"], (f"{place}:{reader.line_num}", cells)
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise DataError(f"{sheet}: cannot be read ({error}). Unpack the dataset again") from error


def _pictures(sheet: Path, root: Path) -> dict[str, Path]:
    """Return the pictures that belong to an annotation file, by name."""
    folders = [sheet.parent, sheet.parent / "images", sheet.parent / "Images"]
    if _TEST.search(sheet.stem.removeprefix("GT-")):
        # The classes of the official test pictures are an archive of their own, unpacked to another folder.
        folders += sorted(path for path in root.rglob("Images") if _TEST.search(path.parent.name))
    for folder in folders:
        files = folder.iterdir() if folder.is_dir() else ()
        if found := {path.name: path for path in files if path.suffix.lower() in PICTURES}:
            return found
    return {}


def _sign(path: Path, origin: str, cells: Mapping[str, str]) -> Sign:
    if not cells["class"].isdecimal():
        return Sign(path, origin, problem=f"expected the number of a class, got {cells['class']!r}")
    number = int(cells["class"])
    track, frame = cells.get("track", ""), cells.get("frame", "")
    if "track" not in cells and (found := _FRAME.fullmatch(path.stem)):
        track, frame = found.groups()
    if track:
        return Sign(path, origin, number, track, frame)
    test = any(_TEST.search(name) for name in (*path.parts[:-1][-3:], Path(origin).name.split(".")[0]))
    problem = "" if test else "expected a name like 00003_00012.ppm, of track and frame: without them splits would leak"
    return Sign(path, origin, number, test=test, problem=problem)
