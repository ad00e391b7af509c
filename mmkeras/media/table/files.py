"""Finds the files that the cells of a table name."""

from __future__ import annotations

import re
import unicodedata
from pathlib import Path

from mmkeras.core.errors import DataError
from mmkeras.media.dicom.paths import split_frame

__all__ = ["BETWEEN", "Folder"]

BETWEEN = ";|,"
"""What may stand between several files in a cell."""
_DRIVE = re.compile(r"[A-Za-z]:[\\/]")
_FRAME = re.compile(r"(.*?)(#\d{1,9})?", re.DOTALL)
_LONGEST = 4096
"""Most characters of a path, on Linux."""


class Folder:
    """The folder that the paths of a table start from; results are cached."""

    def __init__(self, root: Path) -> None:
        self._root = root
        self._found: dict[str, tuple[str, str]] = {}
        self._listings: dict[Path, dict[str, str]] = {}

    def find(self, name: str) -> tuple[str, str]:
        """Return the path of a file, and a remark where its name differs from that in the table.

        These names are tried: the name itself, with ``/`` for each backslash, and with letters composed or decomposed
        (Unicode's forms NFC and NFD: macOS writes ``é`` as two characters). The name of a missing file is returned
        unchanged.

        Raises:
            DataError: no such file, but one in another case; or a path with a drive of Windows.
        """
        if name not in self._found:
            self._found[name] = self._find(name)
        return self._found[name]

    def holds(self, name: str) -> bool:
        """Return whether `find` finds a file."""
        try:
            return _exists(self.find(name)[0])
        except DataError:
            return False

    def several(self, text: str) -> list[str]:
        """Return the names of files in a text with a mark of `BETWEEN` between them; [] if it names one, or none.

        A file that is missing among others keeps its name, so that reading it is an error with that name.
        """
        for mark in BETWEEN:
            parts = [part.strip() for part in text.split(mark) if part.strip()]
            if len(parts) > 1 and not self.holds(text) and any(map(self.holds, parts)):
                return parts
        return []

    def _find(self, name: str) -> tuple[str, str]:
        exact = str(self._root / name)
        if len(exact) > _LONGEST or "\0" in name or _exists(exact):
            return exact, ""
        slashed = name.replace("\\", "/")
        for spelling, remark in (
            (str(self._root / slashed), "a path with backslashes is read with / for each of them"),
            (self._respelt(slashed), "a file name is found in another form of its Unicode letters"),
        ):
            if spelling != exact and _exists(spelling):
                return spelling, remark
        if _DRIVE.match(name):
            raise DataError(
                f"{name}: no such file: a path of Windows. Write paths relative to the table or to the option root"
            )
        path = Path(split_frame(str(self._root / slashed))[0])
        other = self._listing(path.parent).get(path.name.casefold())
        if other:
            raise DataError(f"{exact}: no such file; there is {other!r}, which differs in case")
        return exact, ""

    def _respelt(self, name: str) -> str:
        """Return a path with every part spelled as in its folder, where the folder has it."""
        path, frame = _FRAME.fullmatch(name).groups()  # type: ignore[union-attr]
        if name.isascii():
            return str(self._root / name)
        folder, parts = (
            (Path("/"), Path(path).parts[1:]) if Path(path).is_absolute() else (self._root, Path(path).parts)
        )
        for part in parts:
            folder /= self._listing(folder).get(unicodedata.normalize("NFC", part), part)
        return f"{folder}{frame or ''}"

    def _listing(self, folder: Path) -> dict[str, str]:
        """Return the names in a folder by their form NFC, and by that form in lower case."""
        if folder not in self._listings:
            try:
                names = [path.name for path in folder.iterdir()]
            except OSError:
                names = []
            composed = {unicodedata.normalize("NFC", each): each for each in names}
            self._listings[folder] = {**{key.casefold(): each for key, each in composed.items()}, **composed}
        return self._listings[folder]


def _exists(path: str) -> bool:
    try:
        return Path(split_frame(path)[0]).exists()
    except OSError:  # a name too long to exist
        return False
