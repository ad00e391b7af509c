"""Writes faulty files, and compares what comes out of them."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from export.formats import Job, formats
from export.source import Source
from export.to_litert.flatbuffer import read_model, write_model
from mmkeras.core.config import ExportConfig
from tests.mutants.keras_weights import copy_of
from tests.mutants.kind import FileEdit, ModelChange, OtherFile, Plant, Signal

__all__ = ["SAVED_MODEL", "Place", "difference_of", "honest_file", "keep_files", "no_part", "plant_file"]

SAVED_MODEL = ("saved_model.pb", "variables", "assets", "fingerprint.pb")
"""What a SavedModel consists of, in a bundle's folder."""


@dataclass(frozen=True)
class Place:
    """Where faults are planted."""

    source: Source
    """The honest model."""
    bundle: Path
    """Its honest export."""
    models: Path
    """Files of other models, by the name of the model."""
    config: ExportConfig
    """What was exported."""
    folder: Path
    """Where faulty files are written."""


def honest_file(name: str, bundle: Path, format: str, precision: str) -> Path:
    """Return a file of an export; for the SavedModel the bundle, whose folder it shares."""
    if format == "saved_model":
        return bundle
    return bundle / "edge" / f"{name}.{precision}{formats()[format].suffix}"


def plant_file(plant: Plant, place: Place, format: str, precision: str, rng: np.random.Generator) -> Path | None:
    """Write a faulty file.

    Args:
        plant: the fault.
        place: where it is planted.
        format: of the file.
        precision: of the file.
        rng: for faults that are drawn.

    Returns:
        The file; the honest one where the fault is not in the file itself; None where the fault does not apply.
    """
    honest = honest_file(place.source.name, place.bundle, format, precision)
    path = place.folder / (honest.name if format != "saved_model" else "saved_model")
    if isinstance(plant, Signal):
        return honest
    if isinstance(plant, ModelChange):
        given = place.models / plant.model / path.name
        return given if given.exists() else None
    if isinstance(plant, OtherFile):
        return path if plant.write(place.bundle, format, precision, path) else None
    if isinstance(plant, FileEdit):
        done = {"tflite": _edit_litert, "onnx": _edit_onnx, "saved_model": _edit_keras}[format]
        return path if done(plant, place, honest, precision, path, rng) else None
    return None


def _edit_litert(
    plant: FileEdit, place: Place, honest: Path, precision: str, path: Path, rng: np.random.Generator
) -> bool:
    model = read_model(honest.read_bytes())
    if plant.litert is None or not plant.litert(model, rng):
        return False
    path.write_bytes(write_model(model))
    return True


def _edit_onnx(
    plant: FileEdit, place: Place, honest: Path, precision: str, path: Path, rng: np.random.Generator
) -> bool:
    import onnx

    proto = onnx.load(honest)
    if plant.onnx is None or not plant.onnx(proto, rng):
        return False
    onnx.save(proto, path)
    return True


def _edit_keras(
    plant: FileEdit, place: Place, honest: Path, precision: str, path: Path, rng: np.random.Generator
) -> bool:
    model = copy_of(place.source.model)
    if plant.keras is None or not plant.keras(model, rng):
        return False
    changed = dataclasses.replace(place.source, model=model)
    formats()["saved_model"].convert(Job(changed, place.folder, place.config), precision, path)
    return True


def no_part(folder: str, names: list[str]) -> list[str]:
    """Return what stands beside a SavedModel in a bundle, for `shutil.copytree`."""
    return [name for name in names if Path(folder, "saved_model.pb").exists() and name not in SAVED_MODEL]


def keep_files(manifest: dict[str, Any], keep: set[tuple[str, str]]) -> None:
    """Leave only some files in a manifest, by format and precision."""
    manifest["files"] = [file for file in manifest["files"] if (file["format"], file["precision"]) in keep]
    manifest["documents"] = {}


def difference_of(honest: list[dict[str, np.ndarray]], seen: list[dict[str, np.ndarray]]) -> float | None:
    """Return the largest difference of two series of outputs; None where they cannot be compared."""
    if len(honest) != len(seen):
        return None
    worst = 0.0
    for one, two in zip(honest, seen, strict=True):
        for name, value in one.items():
            other = two.get(name)
            if other is None or other.shape != value.shape or not np.isfinite(other).all():
                return None
            worst = max(worst, float(np.abs(np.float64(value) - np.float64(other)).max(initial=0)))
    return worst
