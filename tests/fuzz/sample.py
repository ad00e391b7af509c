"""The valid files of one reader in a folder of their own, and damaged copies of them by number."""

from __future__ import annotations

import fnmatch
import random
import shutil
from pathlib import Path

from mmkeras.core.errors import DataError, MmkerasError
from tests.fuzz.damage import damaged
from tests.fuzz.reader import Reader

__all__ = ["Sample"]

_LARGEST = 32 << 20
"""Bytes of a damaged file at most."""


class Sample:
    """A reader's valid files, which are put back after every input."""

    def __init__(self, reader: Reader, folder: Path) -> None:
        """Write the files.

        Args:
            reader: whose files they are.
            folder: made anew.

        Raises:
            DataError: the reader wrote no file that may be damaged.
        """
        self.reader = reader
        self.folder = folder
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        reader.write(folder)
        self._valid = {
            path.relative_to(folder).as_posix(): path.read_bytes()
            for path in sorted(folder.rglob("*"))
            if path.is_file()
        }
        self.names = [name for name in self._valid if not any(fnmatch.fnmatch(name, each) for each in reader.left)]
        if not self.names:
            raise DataError(f"the reader {reader.name} wrote no file to damage below {folder}")
        self._others = [content[:4096] for content in self._valid.values() if content]

    def damage(self, seed: int, number: int) -> dict[str, bytes]:
        """Return the damaged files of one input by name; the same numbers give the same bytes."""
        chance = random.Random(f"{seed}:{self.reader.name}:{number}")
        count = 1 + (self.reader.whole and chance.random() < 0.15)
        names = chance.sample(self.names, min(count, len(self.names)))
        return {name: damaged(name, self._valid[name], self._others, chance)[:_LARGEST] for name in names}

    def put(self, files: dict[str, bytes]) -> Path:
        """Write damaged files over the valid ones and return what the reader is given."""
        for name, content in files.items():
            (self.folder / name).write_bytes(content)
        return self.folder if self.reader.whole else self.folder / next(iter(files))

    def restore(self, files: dict[str, bytes]) -> None:
        """Put the valid files back."""
        for name in files:
            (self.folder / name).write_bytes(self._valid[name])

    def read_valid(self) -> None:
        """Read what is undamaged, at least one file of it: a reader that refuses everything would prove nothing.

        Raises:
            MmkerasError: what the reader says of the last one.
        """
        problem: MmkerasError | None = None
        for name in [self.names[0]] if self.reader.whole else self.names:
            try:
                self.reader.read(self.folder if self.reader.whole else self.folder / name)
                return
            except MmkerasError as error:
                problem = error
        if problem is not None:
            raise problem
