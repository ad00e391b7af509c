"""The exceptions a user can meet.

Every message says what was expected, what was got and what to do next.

MmkerasError
├── ConfigError           a key, value or component name in a configuration
├── DataError             a dataset, row, file or record
├── DependencyError       an optional package is missing; names the extra that brings it
├── BundleError           an exported bundle is incomplete, altered or of another version
│   └── ArchiveError      a packed bundle (.mmk) is damaged, altered or not signed as asked; a DataError too
├── ExportError           a converter failed or produced something that must not ship
│   └── VerificationError a file was exported but missed its gate
└── TrainingError         a run cannot start, go on or be resumed
"""

from __future__ import annotations

import difflib
import importlib
import os
from collections.abc import Iterable
from pathlib import PurePath
from types import ModuleType

__all__ = [
    "ArchiveError",
    "BundleError",
    "ConfigError",
    "DataError",
    "DependencyError",
    "ExportError",
    "MmkerasError",
    "TrainingError",
    "VerificationError",
    "install_hint",
    "named",
    "nearest",
    "require",
]

_LONGEST = 200


class MmkerasError(Exception):
    """Base of every error that mmkeras raises on purpose."""


class ConfigError(MmkerasError):
    """A configuration has an unknown key, a wrong value or names a component that does not exist."""


class DataError(MmkerasError):
    """A dataset, one of its rows or one of its files cannot be used."""


class DependencyError(MmkerasError):
    """An optional package is not installed."""


class BundleError(MmkerasError):
    """An exported bundle is incomplete, altered or written by an incompatible version."""


class ArchiveError(BundleError, DataError):
    """A packed bundle is damaged, altered or not signed as asked; the message names the member."""


class ExportError(MmkerasError):
    """A conversion failed, or its result must not be shipped."""


class VerificationError(ExportError):
    """An exported file does not behave like the Keras model it came from."""


class TrainingError(MmkerasError):
    """A training run cannot start, go on or be resumed."""


def named(path: str | os.PathLike[str]) -> str:
    """Return how a message names a path; of a long one the file's name alone, and of what is no path its length."""
    text = os.fspath(path)
    if len(text) <= _LONGEST:
        return text
    name = PurePath(text).name
    return f".../{name}" if len(name) <= _LONGEST // 2 else f"text of {len(text):,} characters"


def nearest(name: str, valid: Iterable[str]) -> str:
    """Return a hint such as ``did you mean 'max'? Valid: 'max', 'mean'``.

    Args:
        name: what the user wrote.
        valid: the names that would have been accepted.
    """
    choices = sorted(valid)
    listing = "Valid: " + ", ".join(repr(choice) for choice in choices) if choices else "There are none."
    close = difflib.get_close_matches(name, choices, n=1, cutoff=0.5)
    return f"did you mean {close[0]!r}? {listing}" if close else listing


def require(module: str, extra: str, package: str = "") -> ModuleType:
    """Import an optional module or say what installs it.

    Args:
        module: dotted module name, for example ``"onnxruntime"``.
        extra: the extra of mmkeras that depends on it, for example ``"onnx"``; empty for a package of the base install.
        package: its name in package indexes, for a device that runs a packed bundle without mmkeras.

    Raises:
        DependencyError: the module is not installed.
    """
    try:
        return importlib.import_module(module)
    except ModuleNotFoundError as error:
        if error.name is None or not module.startswith(error.name):
            raise
        name = module if extra else package
        raise DependencyError(f"{name} is not installed. Install it with: {install_hint(extra, package)}") from error


def install_hint(extra: str, package: str = "") -> str:
    """Return the command that installs an optional package.

    Args:
        extra: the extra of mmkeras that depends on it; empty for a package of the base install.
        package: its name in package indexes.
    """
    if not extra:
        return f"pip install {package}"
    # A device that runs a packed bundle has no mmkeras, and so none of its extras.
    return f"pip install 'mmkeras[{extra}]'" + (f" (or only: pip install {package})" if package else "")
