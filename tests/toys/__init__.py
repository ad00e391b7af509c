"""Toys: the smallest models that use a contract of the library, each taken through the whole chain.

A toy is a configuration, a table, and where a contract needs it a component of its own in fewer than 60 lines, found
below ``tests/toys/<family>`` as if it were in ``mmkeras/<family>``. `tests.toys.chain` runs it from the table to
answers of the packed bundle.
"""

from __future__ import annotations

import contextlib
import importlib
from collections.abc import Iterator
from pathlib import Path

import pytest

__all__ = ["components"]


@contextlib.contextmanager
def components(family: str) -> Iterator[None]:
    """Let the components of ``tests/toys/<family>`` be found as those of ``mmkeras/<family>``."""
    package = importlib.import_module(f"mmkeras.{family}")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(package, "__path__", [*package.__path__, str(Path(__file__).parent / family)])
        yield
