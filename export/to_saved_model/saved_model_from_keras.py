"""SavedModel from Keras, with two endpoints; TensorFlow Serving loads it as it is."""

from __future__ import annotations

from pathlib import Path

from export.formats import Format, Job
from export.to_saved_model.endpoints import SAVED_MODEL, write_saved_model

__all__ = ["FORMAT", "convert"]


def convert(job: Job, precision: str, path: Path) -> None:
    """Write the SavedModel into a folder; float32 is the only precision."""
    del precision
    write_saved_model(job.source, path)


FORMAT = Format(SAVED_MODEL, suffix="", precisions=("float32",), tolerance=1e-5, convert=convert)
"""Found by `export.formats`."""
