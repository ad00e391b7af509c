"""Contents of an exported file: operators, and bytes of weights by type and by part of the model.

The part follows from the names that Keras gives its layers and that the converters keep: ``<modality>_branch`` and
``<modality>_null_token`` belong to a modality, ``fusion_...`` to the fusion and ``head_...`` to the head. Other names,
above all shared constants, count as ``other``.
"""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass, field

__all__ = ["Contents", "part_of"]

_PART = re.compile(r"(?:^|[/;])(?:(\w+?)_(?:branch|null_token)|(fusion|head)_)")


@dataclass
class Contents:
    """The make-up of one file."""

    operators: Counter[str] = field(default_factory=Counter)
    """Occurrences of each operator."""
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
