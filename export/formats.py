"""Finds the converters: every module ``export/<target>_from_<source>.py`` writes one format.

Such a module ends with ``FORMAT``, a `Format`.
"""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from export.source import Source
from mmkeras.errors import ConfigError, nearest

__all__ = ["Format", "Job", "formats", "plan"]


@dataclass(frozen=True)
class Job:
    """What a converter works on."""

    source: Source
    """The Keras model and its specs."""
    work: Path
    """Scratch folder of this export, removed in the end."""

    @cached_property
    def static_saved_model(self) -> Path:
        """A SavedModel with static batch 1, made when first asked for: what batch-1 converters start from."""
        from export.saved_model_from_keras import write_static

        folder = self.work / "static_saved_model"
        write_static(self.source, folder)
        return folder


@dataclass(frozen=True)
class Format:
    """One converter."""

    name: str
    """Name on the command line and in the manifest."""
    suffix: str
    """Of its files; empty for a folder."""
    precisions: tuple[str, ...]
    """What it can write."""
    tolerance: float
    """Largest difference to Keras that its float32 file may have."""
    convert: Callable[[Job, str, Path], None]
    """Writes one file."""


def formats() -> dict[str, Format]:
    """Return every converter by the name of its format."""
    package = importlib.import_module("export")
    found = {}
    for info in pkgutil.iter_modules(package.__path__):
        if "_from_" in info.name:
            # An engine is built on the device: tensorrt_from_onnx is a program, and no format of an export.
            format: Format | None = getattr(importlib.import_module(f"export.{info.name}"), "FORMAT", None)
            if format is not None:
                found[format.name] = format
    return found


def plan(names: Iterable[str], precisions: Iterable[str]) -> list[tuple[Format, str]]:
    """Return what to write: every asked-for precision of every asked-for format that has it.

    Raises:
        ConfigError: an unknown format or precision, or nothing to write.
    """
    known = formats()
    names, precisions = list(dict.fromkeys(names)), list(dict.fromkeys(precisions))
    every = sorted({p for f in known.values() for p in f.precisions})
    problems = [f"format {name!r} is unknown; {_hint(name, known)}" for name in names if name not in known]
    problems += [f"precision {p!r} is unknown; {nearest(p, every)}" for p in precisions if p not in every]
    if problems:
        raise ConfigError("\n".join(problems))
    chosen = [(known[name], p) for name in names for p in precisions if p in known[name].precisions]
    if not chosen:
        raise ConfigError(f"None of the formats {names} is written in any of the precisions {precisions}.")
    return chosen


def _hint(name: str, known: Iterable[str]) -> str:
    if name == "tensorrt":
        return "export onnx; an engine is built from it on the device that runs it: mmkeras build-engine BUNDLE"
    return nearest(name, known)
