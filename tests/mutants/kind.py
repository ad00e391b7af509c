"""What a planted fault is."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np

__all__ = [
    "BOTH",
    "MEASUREMENTS",
    "READING",
    "Arrays",
    "Edit",
    "FileEdit",
    "HostChange",
    "Kind",
    "ModelChange",
    "OtherFile",
    "Plant",
    "Scene",
    "Signal",
    "Variant",
]

Arrays: TypeAlias = dict[str, np.ndarray]
"""Arrays (B, ...) by tensor name."""


READING, MEASUREMENTS = ("reading",), ("measurements",)
"""Subjects of a kind: a picture with a question, or a row of a table with a series."""
BOTH = READING + MEASUREMENTS


@dataclass
class Scene:
    """What a change of inputs or outputs may look at."""

    labels: tuple[str, ...]
    """The task's labels; empty for a task without."""
    rng: np.random.Generator
    """Drawn from the seed, the kind and the variant."""
    given: Arrays = field(default_factory=dict)
    """The inputs of this call as the caller gave them."""
    state: dict[str, Any] = field(default_factory=dict)
    """What a fault remembers from one call to the next; empty when a file is opened."""


@dataclass(frozen=True)
class Signal:
    """A file with changed inputs or outputs, as if operations were put before it or after it."""

    inputs: Callable[[Arrays, Scene], Arrays] | None = None
    outputs: Callable[[Arrays, Scene], Arrays] | None = None


@dataclass(frozen=True)
class FileEdit:
    """An exported file with other content; returns False where the file has nothing to change."""

    litert: Callable[[Any, np.random.Generator], bool] | None = None
    """Changes a ``ModelT``."""
    onnx: Callable[[Any, np.random.Generator], bool] | None = None
    """Changes a ``ModelProto``."""
    keras: Callable[[Any, np.random.Generator], bool] | None = None
    """Changes a Keras model, which is then converted to a SavedModel."""


@dataclass(frozen=True)
class ModelChange:
    """An honest file of another model: name of the model in `models`."""

    model: str


@dataclass(frozen=True)
class OtherFile:
    """Another file under the right name; returns False where there is none."""

    write: Callable[[Path, str, str, Path], bool]
    """Called with the honest bundle, format, precision and the path to write."""


@dataclass(frozen=True)
class Edit:
    """A bundle that was altered after its export, with hashes made consistent unless the edit says otherwise."""

    change: Callable[[Path, Path, np.random.Generator], None]
    """Called with the copied bundle and with the bundle of another training."""
    per_file: bool = False
    """Whether every file of the bundle is a chance to notice; else the bundle is one."""


@dataclass(frozen=True)
class HostChange:
    """Other preprocessing on the host, for as long as the context lasts."""

    change: Callable[[], AbstractContextManager[Any]]


Plant: TypeAlias = Signal | FileEdit | ModelChange | OtherFile | Edit | HostChange


@dataclass(frozen=True)
class Kind:
    """One kind of fault, in one or several strengths or places."""

    name: str
    """Lower case with hyphens."""
    what: str
    """One line: what is wrong."""
    variants: Mapping[str, Plant]
    """By strength or place; the key is empty for a kind with one variant."""
    place: str = "file"
    """``file``: wrong at export, or in the bundle afterwards; ``bundle``: the bundle was edited; ``device``: the host
    preprocesses otherwise on the device; ``export``: it does so while the export verifies, and on the device too."""
    precisions: tuple[str, ...] = ()
    """Precisions it exists for; all when empty."""
    subjects: tuple[str, ...] = READING
    """Models that it is planted in, see `tests.mutants.subject`."""


@dataclass(frozen=True)
class Variant:
    """One fault to plant."""

    kind: Kind
    variant: str

    @property
    def plant(self) -> Plant:
        """What is done."""
        return self.kind.variants[self.variant]

    @property
    def name(self) -> str:
        """``kind`` or ``kind/variant``; for kinds of several places also the place."""
        return f"{self.kind.place}:{self.kind.name}" + (f"/{self.variant}" if self.variant else "")
