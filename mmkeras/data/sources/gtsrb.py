"""GTSRB: photos of German traffic signs in 43 classes, as tracks: a car approaches a sign.

It reads the official layout (https://benchmark.ini.rub.de/gtsrb_dataset.html, free for research with citation): folders
of PPM pictures, each with a semicolon-separated ``GT-*.csv``, in which ``00003_00012.ppm`` is frame 12 of the class's
track 3. It also reads folders with one ``labels.csv`` (columns ``file``, ``class_id``, ``track``, ``frame``) and the
pictures in ``images/``. Several parts of the dataset may lie below one folder.

Source: Stallkamp et al. 2012, Man vs. computer (https://doi.org/10.1016/j.neunet.2012.02.016).
"""

from __future__ import annotations

import contextlib
import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import ClassVar

from mmkeras.core.errors import DataError
from mmkeras.data.near_copies import near_copies
from mmkeras.data.sources._contract import Sample, SourceBase
from mmkeras.data.sources._files import identity_of
from mmkeras.data.sources._signs import Sign, read_signs, sheets_below
from mmkeras.data.together import joined

__all__ = ["CLASSES", "LIMITS", "Source"]

CLASSES = (
    *("20 km/h", "30 km/h", "50 km/h", "60 km/h", "70 km/h", "80 km/h", "end of 80 km/h", "100 km/h", "120 km/h"),
    *("no overtaking", "no overtaking, lorries", "priority at crossing", "priority road", "give way", "stop"),
    *("no vehicles", "no lorries", "no entry", "danger", "bend left", "bend right", "double bend", "uneven road"),
    *("slippery road", "road narrows", "road works", "traffic lights", "pedestrians", "children", "bicycles"),
    *("ice or snow", "wild animals", "end of limits", "right ahead", "left ahead", "straight", "straight or right"),
    *("straight or left", "keep right", "keep left", "roundabout", "end of no overtaking"),
    "end of no overtaking, lorries",
)
"""Name of each class by its number."""
LIMITS = tuple(CLASSES[number] for number in (0, 1, 2, 3, 4, 5, 7, 8))
"""The speed limits, which differ in their digits alone."""
SIZES = (25, 35, 50, 80)
"""Bounds of the slices by size, in pixels of the shorter side."""
COPY = "another part of the dataset has the same frame with fewer pixels: that copy is left out"
ALIKE = "it looks the same as a sign of another track: both tracks are in one split"
LEAK = "it looks the same as a sign of another split, both as the dataset gives them: scores on it are too good"


@dataclass(frozen=True)
class Source(SourceBase):
    """GTSRB pictures with their class as label and their track as group.

    Pictures of the official ``Final_Test`` are the test split; without them no sample has a split. Columns: ``size``,
    pixels of the shorter side, and ``part``, the folder below ``folder`` where there are several.
    """

    reads: ClassVar[tuple[str, ...]] = ("folder",)

    folder: str
    """The unpacked dataset; it may hold several parts, in folders of any depth."""
    modality: str = "image"
    """Name of the model's image modality."""
    copies: bool = True
    """Look for tracks with a photo that another track has too, and keep them in the same split."""

    def samples(self) -> Iterator[Sample]:
        """Yield every picture once; the target of one that cannot be used is a `DataError`.

        The same frame in several parts is taken from the part with the most pixels.
        """
        root = self._root()
        signs, missing = read_signs(root)
        parts = {sign.path.relative_to(root).parts[0] for sign in signs}
        has_test = any(sign.test for sign in signs)
        found: dict[str, Sample] = {}
        for sign in signs:
            sample = self._sample(sign, len(parts) > 1, has_test)
            other = found.setdefault(sample.key, sample)
            if other is not sample:
                larger = max(other, sample, key=self._pixels)
                found[sample.key] = replace(larger, remarks=(COPY,))
        samples = list(found.values())
        if missing:
            note = f"{missing} annotated signs have no picture in the folder and are left out"
            samples[0] = replace(samples[0], remarks=(*samples[0].remarks, note))
        yield from self._joined(samples) if self.copies else samples

    def fingerprint_inputs(self) -> dict[str, str]:
        """Return hashes of the annotations, of names and sizes of the pictures, and of the beginnings of some."""
        root = self._root()
        sheets = hashlib.sha256(b"".join(sheet.read_bytes() for sheet in sheets_below(root)))
        paths = [sign.path for sign in read_signs(root)[0]]
        return {"annotations": sheets.hexdigest()} | identity_of("files", paths, root)

    def _root(self) -> Path:
        if not self.folder or not Path(self.folder).is_dir():
            raise DataError(
                f"gtsrb: folder: expected the unpacked dataset, got {self.folder!r}, which is no folder. Get it at "
                "https://benchmark.ini.rub.de/gtsrb_dataset.html and name its folder: "
                "--data.source.options.folder FOLDER"
            )
        return Path(self.folder)

    def _sample(self, sign: Sign, several: bool, has_test: bool) -> Sample:
        name = sign.path.relative_to(self.folder).as_posix()
        if sign.problem:
            return Sample(key=name, values={}, target=DataError(sign.problem), origin=sign.origin)
        group = f"{sign.number:05d}/{sign.track}" if sign.track else f"test/{sign.path.stem}"
        return Sample(
            key=f"{group}_{sign.frame}" if sign.track else group,
            values={self.modality: str(sign.path)},
            target=CLASSES[sign.number] if sign.number < len(CLASSES) else f"class {sign.number}",
            split="test" if sign.test else "train" if has_test else None,
            group=group,
            columns={"size": _slice(sign.path)} | ({"part": name.partition("/")[0]} if several else {}),
            origin=sign.origin,
        )

    def _pixels(self, sample: Sample) -> int:
        width, height = _size(Path(sample.values[self.modality]))
        return width * height

    def _joined(self, samples: Sequence[Sample]) -> Iterator[Sample]:
        """Yield the samples, with one group for all tracks that share a photo."""
        usable = [place for place, sample in enumerate(samples) if not isinstance(sample.target, Exception)]
        files = [Path(samples[place].values[self.modality]) for place in usable]
        groups = [samples[place].group or samples[place].key for place in usable]
        pairs = near_copies(files, [samples[place].target for place in usable], groups)
        names: list[tuple[str, ...]] = [(f"track {group}",) for group in groups]
        remarks: dict[int, str] = {}
        for number, pair in enumerate(pairs):
            apart = len({samples[usable[place]].split for place in pair}) > 1
            for place in pair:
                remarks.setdefault(place, LEAK if apart else ALIKE)
                names[place] += () if apart else (f"pair {number}",)
        leaders = joined(names)
        found = {
            at: replace(
                samples[at],
                group=groups[leaders[place]],
                remarks=samples[at].remarks + ((remarks[place],) if place in remarks else ()),
            )
            for place, at in enumerate(usable)
        }
        yield from (found.get(at, sample) for at, sample in enumerate(samples))


def _slice(path: Path) -> str:
    """Return the name of the slice of a picture by its shorter side; empty for one that cannot be read."""
    side = min(_size(path))
    if not side:
        return ""
    below = max((bound for bound in SIZES if bound <= side), default=0)
    above = min((bound for bound in SIZES if bound > side), default=0)
    return f"{below:02d} to {above - 1} px" if above else f"{below} px or more"


def _size(path: Path) -> tuple[int, int]:
    """Return width and height from the header; 0 for a picture that cannot be read, which the conversion reports."""
    from PIL import Image

    with contextlib.suppress(OSError, ValueError, SyntaxError, Image.DecompressionBombError), Image.open(path) as image:
        return image.size
    return 0, 0
