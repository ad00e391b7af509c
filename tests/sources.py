"""The modules of the library, of the programs and of the documentation: what tests that read source code look at."""

from __future__ import annotations

from pathlib import Path

from tests.conftest import REPOSITORY

__all__ = ["MODULES", "PACKAGES", "PROGRAMS", "modules"]

PACKAGES = ("mmkeras", "export", "pipelines")
"""The library and what is built on it."""
PROGRAMS = tuple(f"tests.{name}" for name in ("bench", "cluster", "coverage", "faults", "fuzz", "results", "threads"))
"""Measurements of the project, each a program: ``python -m tests.fuzz`` and the like. The mutants are made of tests."""


def modules(*packages: str) -> dict[str, Path]:
    """Return the modules of packages by their dotted name, without tests."""
    found = {}
    for package in packages:
        for path in sorted((REPOSITORY / package.replace(".", "/")).rglob("*.py")):
            if package in PROGRAMS and path.name.startswith(("test_", "conftest")):
                continue
            parts = path.relative_to(REPOSITORY).with_suffix("").parts
            found[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    return found


MODULES = modules(*PACKAGES, *PROGRAMS, "docs")
"""All of them."""
