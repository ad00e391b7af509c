"""``manifest.json`` of a bundle: its inputs, task, files and provenance. No TensorFlow.

Its schema is ``mmkeras/schemas/manifest.schema.json``; the dataclasses below are the same in Python. Reading checks
every key and type; the error for a damaged file names the wrong key.
"""

from __future__ import annotations

import dataclasses
import json
import os
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from mmkeras.core.errors import BundleError
from mmkeras.core.typed import Checked, read_json
from mmkeras.storage.files import write_json
from mmkeras.storage.hashes import digest, size
from mmkeras.storage.litert_file import needed_runtime

__all__ = [
    "MANIFEST_NAME",
    "SCHEMA_VERSION",
    "ExportedFile",
    "GoldenFiles",
    "Manifest",
    "read_manifest",
    "resolve",
    "write_manifest",
    "exported_file",
]

SCHEMA_VERSION = 2
"""Version of the manifest's schema; other versions are refused."""
MANIFEST_NAME = "manifest.json"
_HINT = "Copy or export the bundle again."


@dataclass(frozen=True)
class ExportedFile:
    """One exported form of the model."""

    format: str
    """``saved_model``, ``tflite`` or ``onnx``."""
    precision: str
    """``float32``, ``float16``, ``int8-dynamic``, ``int8-weights``, ``int8`` or ``int8-full``."""
    path: str
    """Relative to the bundle, with forward slashes; ``.`` for the SavedModel: the bundle folder itself."""
    bytes: int
    """Size on disk."""
    sha256: str
    """Hex digest of the file; for a folder see `mmkeras.bundle.digest`."""
    tolerances: dict[str, dict[str, list[float]]]
    """Largest accepted difference to the golden float32 Keras outputs, by scenario and output: one number, or one per
    channel (last axis), whose units may differ."""
    accepted: bool
    """Whether it passed its gate. A rejected file is kept for inspection and never run."""
    reason: str = ""
    """Why it was rejected; empty for an accepted file."""
    flipped: list[int] = field(default_factory=list)
    """Rows of golden.npz on which its decision differs from the Keras model's; a self-test checks the others."""
    min_runtime: str = ""
    """Oldest version of TensorFlow Lite that loads a LiteRT file; empty where unknown."""

    @property
    def tolerance(self) -> float:
        """The largest tolerance, for tables; 0 without tolerances."""
        limits = [x for outputs in self.tolerances.values() for channels in outputs.values() for x in channels]
        return max(limits, default=0.0)


@dataclass(frozen=True)
class GoldenFiles:
    """The files of the golden samples."""

    samples: int
    """Rows in ``golden.npz``, over all scenarios."""
    files: dict[str, str]
    """sha256 by path relative to the bundle: ``golden.npz``, ``golden/raw.json`` and the raw inputs."""


@dataclass(frozen=True)
class Manifest:
    """The whole of ``manifest.json``."""

    name: str
    version: int
    """Version of the model, also the name of its folder."""
    created: str
    """ISO 8601 in UTC."""
    modalities: tuple[dict[str, Any], ...]
    """`ModalitySpec.to_json` of every modality, in the order of the model's fields."""
    task: dict[str, Any]
    """`TaskSpec.to_json`."""
    files: tuple[ExportedFile, ...]
    """Every exported file, including rejected ones."""
    golden: GoldenFiles
    """Samples with reference outputs, against which every file is tested on the device."""
    provenance: dict[str, Any] = field(default_factory=dict)
    """``config``, ``data_fingerprint``, ``code_revision``, ``packages`` and ``metrics``."""
    schema_version: int = SCHEMA_VERSION
    columns: dict[str, Any] = field(default_factory=dict)
    """Columns of the table that the model was trained on, by modality: a name, or a list of names; empty for other
    data. With them the bundle predicts for the rows of another table."""
    documents: dict[str, str] = field(default_factory=dict)
    """sha256 by path of documents about the files: ``edge/tensorrt.md``."""


def resolve(path: str | Path) -> Path:
    """Return the bundle at a path: a folder, the newest version in ``saved_models/<name>``, or a packed bundle.

    Raises:
        BundleError: neither.
    """
    path = Path(path)
    try:
        os.fsencode(path)
    except UnicodeEncodeError as error:
        raise BundleError(
            f"{path}: the encoding of this locale ({sys.getfilesystemencoding()}) lacks a character of this path. "
            "Set LC_ALL=C.UTF-8 or PYTHONUTF8=1."
        ) from error
    if path.is_file() or (path / MANIFEST_NAME).is_file():
        return path
    if not path.is_dir():
        raise BundleError(f"There is no folder {path}. Name a bundle such as saved_models/vqa/1.")
    versions = [p for p in path.iterdir() if p.name.isdecimal() and (p / MANIFEST_NAME).is_file()]
    if versions:
        return max(versions, key=lambda p: int(p.name))
    raise BundleError(
        f"{path} is not a bundle: expected a {MANIFEST_NAME} in it, or version folders that have one. "
        "Name a folder that `python -m export` wrote, for example saved_models/vqa/1."
    )


def write_manifest(folder: Path, manifest: Manifest) -> Path:
    """Write ``manifest.json`` into a bundle folder and return its path.

    Raises:
        BundleError: a value has the wrong type, or `read_manifest` would refuse the file. Nothing is written.
    """
    value = {"schema_version": manifest.schema_version} | dataclasses.asdict(manifest)
    path = Path(folder) / MANIFEST_NAME
    try:
        plain = json.loads(json.dumps(value, allow_nan=False))
    except (TypeError, ValueError) as error:
        raise BundleError(f"{path}: holds a value that JSON cannot represent: {error}. Nothing was written.") from error
    Checked(str(path), BundleError, _HINT).build(Manifest, plain)
    write_json(path, value)
    return path


def read_manifest(folder: Path) -> Manifest:
    """Read and check ``manifest.json`` of a bundle folder.

    Raises:
        BundleError: missing, truncated, of another schema version, or with a missing key or a wrong type.
    """
    path = Path(folder) / MANIFEST_NAME
    try:
        value = read_json(path, BundleError, "Copy the bundle again.")
    except FileNotFoundError as error:
        raise BundleError(
            f"{folder} is not a bundle: expected a {MANIFEST_NAME} in it. "
            "Name a folder that `python -m export` wrote, for example saved_models/vqa/1."
        ) from error
    version = value.get("schema_version")
    if version != SCHEMA_VERSION:
        raise BundleError(
            f"{path}: schema_version: expected {SCHEMA_VERSION}, got {version!r}. "
            "Use the mmkeras version that wrote the bundle, or export it again with this one."
        )
    return Checked(str(path), BundleError, _HINT).build(Manifest, value)


def exported_file(
    folder: Path,
    path: str,
    *,
    format: str,
    precision: str,
    tolerances: Mapping[str, Mapping[str, Sequence[float]]],
    accepted: bool,
    reason: str = "",
    flipped: Sequence[int] = (),
) -> ExportedFile:
    """Return the manifest entry of a file just written, ``.`` for the SavedModel; see `ExportedFile`."""
    return ExportedFile(
        format=format,
        precision=precision,
        path=path,
        bytes=size(folder, path),
        sha256=digest(folder, path),
        tolerances={name: {output: list(map(float, x)) for output, x in by.items()} for name, by in tolerances.items()},
        accepted=accepted,
        reason=reason,
        flipped=list(map(int, flipped)),
        min_runtime=needed_runtime((folder / path).read_bytes()) if format == "tflite" else "",
    )
