"""Puts a bundle together in a folder aside and moves it to its place as the next version."""

from __future__ import annotations

import dataclasses
import datetime
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np

from export.model_card import METRICS_NAME
from export.results import FileResult
from export.scenarios import ALL
from export.source import Source
from export.tensorrt_notes import write_notes
from export.verify import Reference
from mmkeras.bundle import Golden, GoldenFiles, Manifest, digest, exported_file, write_golden, write_manifest
from mmkeras.errors import ExportError
from mmkeras.files import write_json

__all__ = ["build_folder", "next_version", "publish", "with_file", "write_description"]

GOLDEN_SAMPLES = 8
"""Golden samples of the scenario ``all``, with their raw inputs."""
GOLDEN_PER_SCENARIO = 2
"""Golden samples of every other scenario."""
_PACKAGES = ("mmkeras", "tensorflow", "keras", "onnx", "tf2onnx", "onnxruntime", "ai-edge-litert")


@contextmanager
def build_folder(root: Path, name: str) -> Iterator[Path]:
    """Yield an empty folder on the same file system as ``<root>/<name>``, removed unless it was published."""
    folder = root / name / f".export.{os.getpid()}"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def next_version(parent: Path) -> int:
    """Return the first free integer above every version in a folder."""
    return 1 + max([int(p.name) for p in parent.iterdir() if p.name.isdecimal()], default=0)


def publish(folder: Path, version: int) -> Path:
    """Move a finished build to ``<parent>/<version>``.

    Raises:
        ExportError: another export took the version meanwhile.
    """
    target = folder.parent / str(version)
    try:
        # An existing folder with content is not overwritten by rename.
        folder.rename(target)
    except OSError as error:
        raise ExportError(f"{target} was written by another export meanwhile. Run this one again.") from error
    return target


def write_description(
    folder: Path, source: Source, version: int, files: list[FileResult], reference: Reference
) -> None:
    """Write model.keras, metrics.json, the specs' files, golden samples, TensorRT notes and the manifest into a build.

    Args:
        folder: the build.
        source: what was exported.
        version: the version it will get.
        files: every result; those that left no file are not in the manifest.
        reference: the Keras model's outputs, which the golden samples are taken from.
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
            tolerance=file.tolerance,
            accepted=file.accepted,
            reason=file.reason,
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
        golden=_write_golden(folder, source, reference),
        documents={notes: digest(folder, notes)} if notes else {},
        provenance={**source.provenance, "exported_with": _packages()},
    )
    write_manifest(folder, manifest)


def _write_golden(folder: Path, source: Source, reference: Reference) -> GoldenFiles:
    """Write samples spread over the test samples, each with the Keras model's outputs."""
    keys: list[str] = []
    names: list[str] = []
    rows: list[tuple[Any, np.ndarray]] = []
    raw_index: list[int] = []
    raw: list[dict[str, Any]] = []
    for case in reference.cases:
        whole = case.scenario.name == ALL
        wanted = min(GOLDEN_SAMPLES if whole else GOLDEN_PER_SCENARIO, len(reference.keys))
        chosen = np.unique(np.linspace(0, len(reference.keys) - 1, wanted).round().astype(int))
        rows.append((case, chosen))
        for row in chosen:
            keys.append(reference.keys[row])
            names.append(case.scenario.name)
            raw_index.append(len(raw) if whole else -1)
            if whole:
                raw.append(source.samples[row].values)
    golden = Golden(
        keys=tuple(keys),
        scenarios=tuple(names),
        inputs={
            name: np.concatenate([np.asarray(case.inputs[name])[chosen] for case, chosen in rows])
            for name in rows[0][0].inputs
        },
        outputs={
            name: np.concatenate([case.outputs[name][chosen] for case, chosen in rows]) for name in rows[0][0].outputs
        },
        targets=np.concatenate([reference.targets[chosen] for _, chosen in rows]),
        raw=np.array(raw_index, np.int32),
    )
    return write_golden(folder, golden, raw)


def _packages() -> dict[str, str]:
    found = {}
    for name in _PACKAGES:
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return found


def with_file(result: FileResult, folder: Path, path: str) -> FileResult:
    """Return a result with the place, size and hash of the file that was written for it."""
    described = exported_file(
        folder, path, format=result.format, precision=result.precision, tolerance=0.0, accepted=False
    )
    return dataclasses.replace(result, path=path, bytes=described.bytes, sha256=described.sha256)
