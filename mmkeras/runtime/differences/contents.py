"""What an exported file is made of: operators, and bytes of weights by type and by part of the model.

Read from the file itself without an engine. The parts are told by the names that Keras gives its layers and that the
converters keep: ``<modality>_branch`` and ``<modality>_null_token`` belong to a modality, ``fusion_...`` to the fusion
and ``head_...`` to the head. What carries no such name, shared constants above all, is ``other``.
"""

from __future__ import annotations

import re
import struct
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from mmkeras.core.errors import DataError

__all__ = ["Contents", "part_of", "read_contents"]

_PART = re.compile(r"(?:^|[/;])(?:(\w+?)_(?:branch|null_token)|(fusion|head)_)")


@dataclass
class Contents:
    """The make-up of one file."""

    operators: Counter[str] = field(default_factory=Counter)
    """How often each operator stands in the file."""
    types: Counter[str] = field(default_factory=Counter)
    """Bytes of constants by their type."""
    parts: Counter[str] = field(default_factory=Counter)
    """Bytes of constants by part of the model."""

    def add_weight(self, name: str, kind: str, size: int) -> None:
        """Count a constant."""
        if size:
            self.types[kind] += size
            self.parts[part_of(name)] += size


def part_of(name: str) -> str:
    """Return the part of the model that a tensor belongs to: a modality, ``fusion``, ``head`` or ``other``."""
    found = _PART.search(name)
    return (found[1] or found[2]) if found else "other"


def read_contents(path: Path, format: str) -> Contents | None:
    """Read a file's make-up; None for a format that is not read here.

    Raises:
        DataError: the file is not of its format, or cut off.
    """
    from mmkeras.runtime.differences.onnx_contents import read_onnx
    from mmkeras.runtime.differences.tflite_contents import read_tflite

    readers: dict[str, Callable[[bytes], Contents]] = {"tflite": read_tflite, "onnx": read_onnx}
    if format not in readers:
        return None
    try:
        return readers[format](path.read_bytes())
    except (struct.error, IndexError, ValueError, RecursionError) as error:
        raise DataError(f"{path}: cannot be read as {format}: {error}. Copy or export the bundle again.") from error
