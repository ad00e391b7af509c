"""Training methods that only tests have; `known` lets the library find them by their names."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import mmkeras.training.methods

__all__ = ["known"]


def known(monkeypatch: Any) -> None:
    """Let ``find("training.methods", ...)`` see the files of this folder."""
    places = [*mmkeras.training.methods.__path__, str(Path(__file__).parent)]
    monkeypatch.setattr(mmkeras.training.methods, "__path__", places)
