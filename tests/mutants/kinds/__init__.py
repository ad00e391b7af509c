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


def variants(names: tuple[str, ...] = (), subject: str = "reading") -> list[Variant]:
    """Return every variant of a subject's kinds that are named; of all when no name is given."""
    chosen = [kind for kind in every_kind() if subject in kind.subjects and (not names or kind.name in names)]
    return [Variant(kind, key) for kind in chosen for key in kind.variants]
