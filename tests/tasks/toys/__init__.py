"""Tiny tasks that are found like those of the library, to try its contracts with targets of other kinds."""

from __future__ import annotations

from pathlib import Path

import pytest

import mmkeras.tasks

__all__ = ["add"]


def add(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the tasks of this folder be found as ``mmkeras.tasks.<name>`` during a test."""
    monkeypatch.setattr(mmkeras.tasks, "__path__", [*mmkeras.tasks.__path__, str(Path(__file__).parent)])
