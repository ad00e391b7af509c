"""Your own pictures and masks: folders with files of the same names, or a table.

Layouts of a folder::

    FOLDER/images/a.jpg, FOLDER/masks/a.png                       split by the shares of the configuration
    FOLDER/train/images/a.jpg, FOLDER/train/masks/a.png           also validation and test

A table (.csv, .tsv, .jsonl or .parquet) has a row for each picture, or for each text of it. Masks are PNG files of
class numbers or colours, as the options of the task ``segmentation`` say.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

from mmkeras.core.errors import ConfigError, DataError
from mmkeras.data.sources._contract import SPLITS, Sample, SourceBase, split_called
from mmkeras.data.sources._files import identity_of, pictures_below
from mmkeras.data.sources._prompts import wordings_of
from mmkeras.data.sources._scenes import Scene, samples_of
from mmkeras.media.cells import is_empty, tidy
from mmkeras.media.table.rows import read_table
from mmkeras.storage.hashes import digest

__all__ = ["Source"]

_FURTHER = ("split", "group", "text", "asked")


@dataclass(frozen=True)
class Source(SourceBase):
    """Pictures with their masks, and optionally texts that name what to find.

    Columns of a table: ``picture`` and ``mask``, paths from its folder; optionally ``split``, ``group``, ``text`` and
    ``asked``, the labels that the text names, separated by semicolons (empty: all). Other columns become columns to
    slice by.
    """

    reads: ClassVar[tuple[str, ...]] = ("folder", "path")

    folder: str = ""
    """Folder with ``images`` and ``masks``, or with folders of splits that have them."""
    path: str = ""
    """A table, in place of a folder."""
    prompts: int = 0
    """Texts to draw for each picture of a folder; 0 for masks of all classes without a text."""
    labels: tuple[str, ...] = ()
    """The labels of the task, to draw texts for."""
    wordings: tuple[str, ...] = ()
    """Wordings of the labels for the texts, as "label: wording"; by default "the label"."""
    void: tuple[int, ...] = (255,)
    """Numbers of pixels without a class, to draw texts for."""
    seed: int = 0
    """Seed of the texts."""
    modality: str = "image"
    """Name of the model's image modality."""
    text: str = "text"
    """Name of the model's text modality."""

    def __post_init__(self) -> None:
        if bool(self.folder) == bool(self.path):
            raise ConfigError("masks: expected folder or path, one of them")
        if self.prompts < 0:
            raise ConfigError(f"masks: prompts: expected 0 or more, got {self.prompts}")
        if self.prompts and self.path:
            raise ConfigError("masks: prompts draws texts for a folder; a table has its texts in the column text")
        if self.prompts and not self.labels:
            raise ConfigError("masks: prompts needs labels, those of the task")
        for each in self.wordings:
            if each.partition(": ")[0] not in self.labels:
                raise ConfigError(f"masks: wordings: expected 'label: wording' with one of the labels, got {each!r}")

    def samples(self) -> Iterator[Sample]:
        """Yield every picture or text; the target of one that cannot be used is a `DataError`."""
        if self.path:
            yield from self._rows()
            return
        own: dict[str, tuple[str, ...]] = {}
        for each in self.wordings:
            label, _, wording = each.partition(": ")
            own[label] = (*own.get(label, ()), wording)
        wordings = wordings_of(self.labels, own)
        for scene in self._scenes():
            yield from samples_of(
                scene,
                self.labels,
                self.void,
                modality=self.modality,
                text=self.text,
                prompts=self.prompts,
                wordings=wordings,
                seed=self.seed,
            )

    def fingerprint_inputs(self) -> dict[str, str]:
        """Return hashes of the table, of names and sizes of the pictures and masks, and of the beginnings of some."""
        if self.folder:
            paths = [path for scene in self._scenes() for path in (scene.picture, scene.mask)]
            return identity_of("files", paths, Path(self.folder))
        root = Path(self.path).parent
        rows = [row.cells for row in read_table(Path(self.path)).rows]
        paths = [
            root / str(cells[name]) for cells in rows for name in ("picture", "mask") if not is_empty(cells.get(name))
        ]
        return {"table": digest(root, Path(self.path).name)} | identity_of("files", paths, root)

    def _scenes(self) -> Iterator[Scene]:
        root = Path(self.folder)
        if not root.is_dir():
            raise DataError(f"masks: folder: expected a folder with images and masks, got {self.folder!r}")
        places: list[tuple[str | None, Path]] = [(None, root)]
        places += [(split_called(each.name), each) for each in sorted(root.iterdir()) if split_called(each.name)]
        places = [
            (split, place) for split, place in places if (place / "images").is_dir() or (place / "masks").is_dir()
        ]
        if not places:
            raise DataError(f"masks: {root}: expected the folders images and masks, in it or in folders {SPLITS}")
        for split, place in places:
            pictures, masks = pictures_below(place / "images"), pictures_below(place / "masks")
            for name in sorted(pictures.keys() | masks.keys()):
                picture = pictures.get(name, place / "images" / f"{name}.png")
                mask = masks.get(name, place / "masks" / f"{name}.png")
                yield Scene(f"{place.name}/{name}" if split else name, picture, mask, split)

    def _rows(self) -> Iterator[Sample]:
        path = Path(self.path)
        table = read_table(path)
        if missing := [name for name in ("picture", "mask") if name not in table.columns]:
            raise DataError(f"{path}: expected the columns picture and mask, got none of the name {missing[0]}")
        for row in table.rows:
            origin = f"{path.name}:{row.line}"
            try:
                if row.problem:
                    raise DataError(row.problem)
                yield self._sample(row.cells, path.parent, origin)
            except DataError as error:
                yield Sample(origin, {}, error, origin=origin)

    def _sample(self, cells: dict[str, Any], root: Path, origin: str) -> Sample:
        given = {name: None if is_empty(cells.get(name)) else str(cells[name]) for name in cells}
        picture, mask = given["picture"], given["mask"]
        if picture is None or mask is None:
            raise DataError("Expected a picture and a mask, got an empty cell")
        named = given.get("split")
        split = split_called(named) if named else None
        if named and split is None:
            raise DataError(f"split: Expected one of {', '.join(SPLITS)}, got {named!r}")
        values = {self.modality: str(root / picture)}
        target: dict[str, Any] = {"mask": str(root / mask), "picture": str(root / picture)}
        if "text" in cells:
            values[self.text] = given["text"]  # type: ignore[assignment]
        if given.get("asked"):
            target["asked"] = [each.strip() for each in str(given["asked"]).split(";") if each.strip()]
        known = ("picture", "mask", *_FURTHER)
        columns = {name: tidy(value) for name, value in given.items() if name not in known and value is not None}
        return Sample(origin, values, target, split, given.get("group") or picture, columns=columns, origin=origin)
