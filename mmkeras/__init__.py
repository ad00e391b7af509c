"""Multimodal fusion models from Keras ``fit`` to a verified model at the edge.

The names here are what a device needs, and importing them loads neither TensorFlow nor Keras. A model is built with
``mmkeras.model`` and trained by the programs in ``pipelines/``.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from mmkeras.bundle import Bundle
    from mmkeras.core.errors import MmkerasError
    from mmkeras.runtime import Predictor

__all__ = ["Bundle", "MmkerasError", "Predictor", "__version__"]

__version__ = "0.1.0"

# Imported on first use, so that `import mmkeras.core.errors` does not import numpy.
_HOMES = {"Bundle": "mmkeras.bundle", "MmkerasError": "mmkeras.core.errors", "Predictor": "mmkeras.runtime"}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'mmkeras' has no attribute {name!r}")
    return getattr(importlib.import_module(_HOMES[name]), name)


def __dir__() -> list[str]:
    return sorted(__all__)
