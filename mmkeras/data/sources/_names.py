"""Files that a table names, found under the spellings that other systems write."""

from __future__ import annotations

import re
import unicodedata
from pathlib import Path

from mmkeras.core.errors import DataError
from mmkeras.media.dicom.frames import split_frame

__all__ = ["Folder"]

_DRIVE = re.compile(r"[A-Za-z]:[\\/]")
_FRAME = re.compile(r"(.*?)(#\d{1,9})?", re.DOTALL)
_LONGEST = 4096
"""Characters of a path at most, on Linux."""


class Folder:
    """A folder that the paths of a table start from; what has been found once is kept."""

    def __init__(self, root: Path) -> None:
        self._root = root
        self._found: dict[str, tuple[str, str]] = {}
        self._listings: dict[Path, dict[str, str]] = {}

    def find(self, name: str) -> tuple[str, str]:
        """Return the path of a file, and a remark where it is called otherwise than the table says.

        Looked for are the name as it is, with ``/`` for each backslash, and with letters composed or decomposed
        otherwise (Unicode's forms NFC and NFD: macOS writes ``é`` as two characters). A file that is found under none
        of them is given back as it stands in the table.

        Raises:
            DataError: no such file, and its name tells why: another case, or a drive of Windows.
        """
        if name not in self._found:
            self._found[name] = self._find(name)
        return self._found[name]

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
        """Return a path with every part as its folder spells it, as far as that is known."""
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
        """Return the names in a folder by their form NFC, and by the same in lower case."""
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
