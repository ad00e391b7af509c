"""Writes a bundle's description in a temporary folder, and moves the folder to its place as the next version."""

from __future__ import annotations

import dataclasses
import datetime
import os
import shutil
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np

from export.card.model_card import METRICS_NAME
from export.source import Source
from export.to_tensorrt.notes import write_notes
from export.verification.proof.probes import PROBES
from export.verification.proof.proof import Proof
from export.verification.report import FileResult
from export.verification.scenarios import ALL
from mmkeras.bundle import GoldenFiles, Manifest, digest, exported_file, write_golden, write_manifest
from mmkeras.core.errors import ExportError, MmkerasError
from mmkeras.runtime.replay import answers_of
from mmkeras.storage.disk import explain
from mmkeras.storage.files import held, sweep, write_json
from mmkeras.storage.privacy import recorded, redaction

__all__ = ["build_folder", "next_version", "publish", "write_description"]

_PACKAGES = ("mmkeras", "tensorflow", "keras", "onnx", "tf2onnx", "onnxruntime", "ai-edge-litert", "ai-edge-quantizer")


@contextmanager
def build_folder(root: Path, name: str) -> Iterator[Path]:
    """Yield an empty folder on the same file system as ``<root>/<name>``; it is removed unless it is published.

    Folders that killed exports left there are removed, too.

    Raises:
        ExportError: the disk is full or cannot be written.
    """
    folder = root / name / f".export.{os.getpid()}-{threading.get_native_id()}"
    sweep((root / name).glob(".export.*"))
    try:
        folder.mkdir(parents=True)
        with held(folder):
            yield folder
    except Exception as error:
        if isinstance(error, MmkerasError) or not (said := explain(error, folder)):
            raise
        raise ExportError(said) from error
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def next_version(parent: Path) -> int:
    """Return the first free integer above every version in a folder."""
    return 1 + max([int(p.name) for p in parent.iterdir() if p.name.isdecimal()], default=0)


def publish(folder: Path, version: int) -> Path:
    """Move a finished build to ``<parent>/<version>``.

    Raises:
        ExportError: another export has taken the version.
    """
    target = folder.parent / str(version)
    try:
        # rename does not overwrite an existing folder with content
        folder.rename(target)
    except OSError as error:
        raise ExportError(f"{target} was written by another export meanwhile. Run this one again.") from error
    return target


def write_description(
    folder: Path,
    source: Source,
    version: int,
    files: list[FileResult],
    proof: Proof,
    calibration: dict[str, Any],
) -> None:
    """Write model.keras, metrics.json, the specs' files, golden samples, TensorRT notes and the manifest into a build.

    ``calibration`` describes the samples that static int8 was calibrated on; it is empty where no file needed them.
    """
    source.model.save(folder / "model.keras")
    if source.metrics:
        write_json(folder / METRICS_NAME, source.metrics)
    for spec in source.specs.values():
        spec.save_files(folder)
    written = tuple(
        exported_file(
            folder,
            file.path,
            format=file.format,
            precision=file.precision,
            tolerances=file.tolerances,
            accepted=file.accepted,
            reason=file.reason,
            flipped=file.flipped,
        )
        for file in files
        if file.path
    )
    notes = write_notes(folder, source.name, version, {file.path: file.engine for file in files if file.engine})
    manifest = Manifest(
        name=source.name,
        version=version,
        created=datetime.datetime.now(datetime.timezone.utc).isoformat(timespec="seconds"),
        modalities=tuple(spec.to_json() for spec in source.specs.values()),
        task=source.task.to_json(),
        files=written,
        golden=_write_golden(folder, source, proof),
        columns=_columns(source),
        documents={notes: digest(folder, notes)} if notes else {},
        provenance=_provenance(source, calibration, folder.parent / str(version)),
    )
    write_manifest(folder, manifest)


def _write_golden(folder: Path, source: Source, proof: Proof) -> GoldenFiles:
    """Write the golden samples, and the raw inputs of probes and of the scenario ``all``."""
    # The run's own privacy setting applies, wherever the run is exported from.
    now = recorded(source.provenance) or redaction()
    golden = proof.golden
    raw: list[dict[str, Any]] = []
    index = np.full(len(golden), -1, np.int32)
    keys = []
    for row, (key, scenario, values) in enumerate(zip(golden.keys, golden.scenarios, proof.values, strict=True)):
        probe = scenario == PROBES
        keys.append(key if probe else now.name(key))
        # Redacted values are not written; a part of a sample's raw inputs would prove nothing.
        if probe or (scenario == ALL and all(value is None or now.value(value) == value for value in values.values())):
            index[row] = len(raw)
            raw.append(
                {name: None if each is None else source.specs[name].by_name(each) for name, each in values.items()}
            )
    named = dataclasses.replace(golden, keys=tuple(keys), raw=index)
    return write_golden(folder, named, raw, answers_of(source.task, named))


def _provenance(source: Source, calibration: dict[str, Any], place: Path) -> dict[str, Any]:
    """Return the source's provenance without an earlier export's calibration, and this export's.

    The data's folder is relative to the final place of the bundle.
    """
    kept = {name: value for name, value in source.provenance.items() if name != "calibration"}
    if source.index is not None:
        kept["data_folder"] = Path(os.path.relpath(source.index.folder.resolve(), place.resolve())).as_posix()
    return {**kept, **({"calibration": calibration} if calibration else {}), "exported_with": _packages()}


def _columns(source: Source) -> dict[str, Any]:
    """Return the columns of the table that the model was trained on, by modality; empty for other data."""
    chosen = source.provenance.get("config", {}).get("data", {}).get("source", {})
    if chosen.get("name") != "table":
        return {}
    own = {name: spec.columns for name, spec in source.specs.items() if spec.columns}
    return own | {name: each for name, each in chosen["options"].get("columns", {}).items() if name in source.specs}


def _packages() -> dict[str, str]:
    found = {}
    for name in _PACKAGES:
        with suppress(metadata.PackageNotFoundError):
            found[name] = metadata.version(name)
    return found
