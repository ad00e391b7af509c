"""The exceptions that a user can see. Every message says what was expected, what was got and what to do next.

MmkerasError
├── ConfigError
├── DataError
├── DependencyError
├── BundleError
│   └── ArchiveError, which is a DataError too
├── ExportError
│   └── VerificationError
└── TrainingError
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
    """Base class of the errors of mmkeras."""


class ConfigError(MmkerasError):
    """A configuration has an unknown key, a wrong value or the name of a component that does not exist."""


class DataError(MmkerasError):
    """A dataset, one of its rows or one of its files cannot be used."""


class DependencyError(MmkerasError):
    """An optional package is not installed; the message names the extra that installs it."""


class BundleError(MmkerasError):
    """An exported bundle is incomplete, altered or written by an incompatible version."""


class ArchiveError(BundleError, DataError):
    """A packed bundle (.mmk) is damaged, altered or not signed as required; the message names the member."""


class ExportError(MmkerasError):
    """A conversion failed, or its result must not be shipped."""


class VerificationError(ExportError):
    """An exported file does not behave like its Keras model."""


class TrainingError(MmkerasError):
    """A training run cannot start, continue or be resumed."""


def named(path: str | os.PathLike[str]) -> str:
    """Return a path for a message: a long path as its file name, a long text that is no path as its length."""
    text = os.fspath(path)
    if len(text) <= _LONGEST:
        return text
    name = PurePath(text).name
    return f".../{name}" if len(name) <= _LONGEST // 2 else f"text of {len(text):,} characters"


def nearest(name: str, valid: Iterable[str]) -> str:
    """Return a hint for a name that is not valid, such as ``did you mean 'max'? Valid: 'max', 'mean'``."""
    choices = sorted(valid)
    listing = "Valid: " + ", ".join(repr(choice) for choice in choices) if choices else "There are none."
    close = difflib.get_close_matches(name, choices, n=1, cutoff=0.5)
    return f"did you mean {close[0]!r}? {listing}" if close else listing


def require(module: str, extra: str, package: str = "") -> ModuleType:
    """Import an optional module.

    Args:
        module: dotted module name, for example ``"onnxruntime"``.
        extra: the extra of mmkeras that depends on it, for example ``"onnx"``; empty for a package of the base install.
        package: its name in package indexes, for a device that runs a packed bundle without mmkeras.

    Raises:
        DependencyError: the module is not installed; the message says how to install it.
    """
    try:
        return importlib.import_module(module)
    except ModuleNotFoundError as error:
        if error.name is None or not module.startswith(error.name):
            raise
        name = module if extra else package
        raise DependencyError(f"{name} is not installed. Install it with: {install_hint(extra, package)}") from error


def install_hint(extra: str, package: str = "") -> str:
    """Return the command that installs an optional package; see `require`."""
    if not extra:
        return f"pip install {package}"
    # A device that runs a packed bundle does not have mmkeras and its extras.
    return f"pip install 'mmkeras[{extra}]'" + (f" (or only: pip install {package})" if package else "")
