"""Faults of whole files: another model, another precision, another content under the right name."""

from __future__ import annotations

import shutil
from functools import partial
from pathlib import Path

from tests.mutants.kind import BOTH, Kind, ModelChange, OtherFile

__all__ = ["KINDS"]


def _as(other: str, bundle: Path, format: str, precision: str, path: Path) -> bool:
    """Write the bundle's file of another precision."""
    files = sorted((bundle / "edge").glob(f"*.{other}{path.suffix}"))
    if format == "saved_model" or precision == other or not files:
        return False
    shutil.copy(files[0], path)
    return True


def _cut(bundle: Path, format: str, precision: str, path: Path) -> bool:
    files = sorted((bundle / "edge").glob(f"*.{precision}{path.suffix}"))
    if format == "saved_model" or not files:
        return False
    content = files[0].read_bytes()
    path.write_bytes(content[: len(content) * 3 // 4])
    return True


def _flipped(bundle: Path, format: str, precision: str, path: Path) -> bool:
    """Write the file with one high bit flipped in the middle of its weights."""
    files = sorted((bundle / "edge").glob(f"*.{precision}{path.suffix}"))
    if format == "saved_model" or not files:
        return False
    content = bytearray(files[0].read_bytes())
    content[len(content) // 2] ^= 0x40
    path.write_bytes(bytes(content))
    return True


KINDS = (
    Kind(
        "weights-of-another-training",
        "an honest file of the same model, trained from another seed",
        {"": ModelChange("other")},
        subjects=BOTH,
    ),
    Kind(
        "weights-of-another-epoch",
        "an honest file of a neighbouring checkpoint",
        {"": ModelChange("later")},
        subjects=BOTH,
    ),
    Kind(
        "weights-untrained",
        "an honest file of the model before its training",
        {"": ModelChange("untrained")},
        subjects=BOTH,
    ),
    Kind(
        "batch-norm-reset",
        "an honest file of the model with fresh batch norm statistics",
        {"": ModelChange("fresh-norms")},
    ),
    Kind(
        "file-of-another-precision",
        "a file of the same model in another precision under the name",
        {name: OtherFile(partial(_as, name)) for name in ("float32", "int8", "int8-dynamic")},
        subjects=BOTH,
    ),
    Kind("file-cut", "the last quarter of the file is missing", {"": OtherFile(_cut)}, subjects=BOTH),
    Kind("bit-flipped", "one bit in the middle of the file", {"": OtherFile(_flipped)}, subjects=BOTH),
)
