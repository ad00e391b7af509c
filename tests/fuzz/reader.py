"""What is fuzzed: a reader of outside bytes, with a valid file or folder for it to be damaged.

A reader is one `Reader` in a module of `tests.fuzz.readers`; nothing else names it.
"""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from mmkeras.core.errors import ConfigError, nearest

__all__ = ["FAMILY", "Reader", "find_readers"]

FAMILY = "tests.fuzz.readers"
"""The package of all readers."""


@dataclass(frozen=True)
class Reader:
    """One reader and what it reads."""

    name: str
    """As reports name it."""
    write: Callable[[Path], object]
    """Writes valid files into an empty folder, the same bytes every time."""
    read: Callable[[Path], object]
    """Reads the damaged file, or the folder when `whole`."""
    whole: bool = False
    """Whether the files belong together and the folder is read."""
    share: float = 1.0
    """Inputs in proportion to the other readers: slow ones get fewer."""
    left: tuple[str, ...] = ()
    """Patterns of files that are never damaged, because nothing reads them."""


def find_readers(names: tuple[str, ...] = (), family: str = FAMILY) -> dict[str, Reader]:
    """Return the readers by name, sorted; all of them, or those that are named.

    Args:
        names: of readers; all when empty.
        family: package whose modules list them.

    Raises:
        ConfigError: no reader has such a name.
    """
    package = importlib.import_module(family)
    found: dict[str, Reader] = {}
    for module in sorted(m.name for m in pkgutil.iter_modules(package.__path__)):
        for reader in importlib.import_module(f"{family}.{module}").READERS:
            found[reader.name] = reader
    for name in names:
        if name not in found:
            raise ConfigError(f"--readers {name}: no reader is called so; {nearest(name, found)}")
    return {name: found[name] for name in sorted(names or found)}
