"""The kinds of faults; every module here holds ``KINDS``."""

from __future__ import annotations

import importlib
import pkgutil
from pathlib import Path

from tests.mutants.kind import Kind, Variant

__all__ = ["every_kind", "variants"]


def every_kind() -> tuple[Kind, ...]:
    """Return all kinds; the modules in the order of their names."""
    modules = sorted(info.name for info in pkgutil.iter_modules([str(Path(__file__).parent)]))
    return tuple(kind for name in modules for kind in importlib.import_module(f"{__name__}.{name}").KINDS)


def variants(names: tuple[str, ...] = ()) -> list[Variant]:
    """Return every variant of the named kinds; of all when no name is given."""
    return [Variant(kind, key) for kind in every_kind() if not names or kind.name in names for key in kind.variants]
