"""Multimodal fusion models from Keras ``fit`` to a verified model at the edge.

Importing this package loads neither TensorFlow nor Keras. ``fit`` trains on a table and needs the extras ``train`` and
``export``; the other names are what a device needs.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from mmkeras.bundle import Bundle
    from mmkeras.core.errors import MmkerasError
    from mmkeras.runtime import Predictor

    fit: Any
    """`pipelines._table.fitted.fit`."""

__all__ = ["Bundle", "MmkerasError", "Predictor", "__version__", "fit"]

__version__ = "0.1.0"

# Imported on first use, so that `import mmkeras.core.errors` does not import numpy.
_HOMES = {
    "Bundle": "mmkeras.bundle",
    "MmkerasError": "mmkeras.core.errors",
    "Predictor": "mmkeras.runtime",
    "fit": "pipelines._table.fitted",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'mmkeras' has no attribute {name!r}")
    if name == "fit":
        from mmkeras.runtime.verbs import check_extras

        check_extras("mmkeras.fit")
    return getattr(importlib.import_module(_HOMES[name]), name)


def __dir__() -> list[str]:
    return sorted(__all__)
