"""The exported bundle: a folder with a model in several formats, and the files to run and check it.

::

    saved_models/<name>/<version>/
      saved_model.pb variables/ assets/   float32 SavedModel; TensorFlow Serving loads the folder unchanged
      edge/<name>.<precision>.tflite      and .onnx: the accepted edge files
      edge/tensorrt.md                    how to build TensorRT engines of the ONNX files
      engines/                            engines built on this machine; not a part of the bundle
      rejected/                           files that missed their gate, kept for inspection
      manifest.json export.json           the content and its provenance; how every file was verified
      golden.npz golden/                  samples with reference outputs; their raw inputs
      <modality>_vocabulary.txt ...       files that a modality's preprocessing needs
      model.keras                         the Keras model
      MODEL_CARD.md metrics.json          the measurements, for people and for programs

A packed bundle (``.mmk``) is opened like a folder; its files are unpacked on demand.
"""

from __future__ import annotations

import dataclasses
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any

from mmkeras.bundle.archive import Archive
from mmkeras.bundle.archive.unpacked import Unpacked
from mmkeras.bundle.golden import ANSWERS, Golden, check_tensors, read_golden, read_raw
from mmkeras.bundle.manifest import MANIFEST_NAME, ExportedFile, Manifest, read_manifest, resolve
from mmkeras.core.errors import BundleError, ConfigError, DataError
from mmkeras.core.typed import read_json
from mmkeras.modalities import ModalitySpec, TensorSpec, check_shapes, spec_from_json
from mmkeras.storage.hashes import digest, is_part_of
from mmkeras.tasks import TaskSpec, task_from_json

__all__ = ["Bundle"]


@dataclass(frozen=True)
class Bundle:
    """An opened bundle. Files are hashed when they are loaded; those of a packed bundle also when it is opened.

    A context manager. Its end and `close` remove unpacked files, which are otherwise removed when Python ends.
    """

    folder: Path
    """The bundle's folder; for a packed bundle a private one with its loaded files."""
    manifest: Manifest
    specs: dict[str, ModalitySpec]
    """Modalities by name, with their host-side preprocessing."""
    task: TaskSpec
    packed: Unpacked | None = None
    """Source of the files of a packed bundle."""
    _checked: dict[str, str] = field(default_factory=dict, repr=False, compare=False)

    @classmethod
    def open(cls, path: str | Path, key: str | Path | None = None) -> Bundle:
        """Open a bundle folder, the newest version below ``saved_models/<name>``, or a packed bundle (``.mmk``).

        Args:
            path: the bundle.
            key: file with an Ed25519 public key (PEM); the bundle must be packed and signed with its private half.

        Raises:
            BundleError: no bundle, a damaged or incompatible manifest, or a missing vocabulary.
            ArchiveError: a packed bundle is damaged, altered or without the required signature.
            DependencyError: a key is given, and the package that checks signatures is not installed.
        """
        found = resolve(path)
        if not found.is_file():
            if key is not None:
                raise BundleError(f"{found} is a folder, which has no signature: expected a packed bundle with --key.")
            return cls._read(found)
        unpacked = Unpacked(Archive.open(found, key))
        try:
            with unpacked.naming_the_archive():
                unpacked.get_description()
                return dataclasses.replace(cls._read(unpacked.folder), packed=unpacked)
        except BaseException:
            unpacked.close()
            raise

    @classmethod
    def _read(cls, folder: Path) -> Bundle:
        manifest = read_manifest(folder)
        specs: dict[str, ModalitySpec] = {}
        for index, value in enumerate(manifest.modalities):
            spec: ModalitySpec = _rebuild(f"modalities[{index}]", folder, _spec, value, folder)
            if spec.name in specs:
                raise BundleError(f"{folder / MANIFEST_NAME}: modalities[{index}].name: {spec.name!r} is there twice.")
            specs[spec.name] = spec
        return cls(folder, manifest, specs, _rebuild("task", folder, _task, manifest.task))

    @property
    def place(self) -> Path:
        """The folder or the packed bundle, for messages."""
        return self.packed.archive.path if self.packed else self.folder

    def close(self) -> None:
        """Remove unpacked files; a folder stays unchanged."""
        if self.packed:
            self.packed.close()

    def __enter__(self) -> Bundle:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    @property
    def files(self) -> tuple[ExportedFile, ...]:
        """Every exported file, including rejected ones."""
        return self.manifest.files

    @property
    def inputs(self) -> tuple[TensorSpec, ...]:
        """Every model input: each modality's tensors, then its presence."""
        return tuple(tensor for spec in self.specs.values() for tensor in (*spec.tensors, spec.present))

    def holds(self, file: ExportedFile) -> bool:
        """Return whether a file is there: a packed bundle may leave files out."""
        return self.packed is None or bool(self._members(file.path))

    def load(self, path: str, sha256: str) -> Path:
        """Check one file against its hash, once per opened bundle, and return its path.

        Raises:
            BundleError: it is missing, has been altered or lies outside the bundle.
        """
        if Path(path).is_absolute() or ".." in Path(path).parts:
            raise BundleError(f"{self.place / MANIFEST_NAME}: {path} lies outside the bundle; it is not read.")
        if self.packed:
            self.packed.get(self._members(path) or [path])
        if self._checked.get(path) != sha256:
            try:
                got = digest(self.folder, path)
            except OSError as error:
                raise BundleError(
                    f"{self.place / path} is listed in {MANIFEST_NAME} but cannot be read: "
                    f"{error.strerror or 'missing'}. Copy the whole bundle again."
                ) from error
            if got != sha256:
                raise BundleError(
                    f"{self.place / path} is not the file that was exported: expected sha256 {sha256}, "
                    f"got {got}. It was altered or truncated since; copy the bundle again."
                )
            self._checked[path] = sha256
        return self.folder / path

    def golden(self) -> Golden:
        """Return the golden samples.

        Raises:
            BundleError: missing, altered, or without an input or output of the model.
        """
        self._load_golden("golden.npz")
        with self._naming_the_archive():
            golden = read_golden(self.folder)
        check_tensors(golden, self.inputs, self.task.outputs, str(self.place / "golden.npz"))
        return golden

    def golden_raw(self) -> list[dict[str, Any]]:
        """Return the raw values by modality for the indices in ``Golden.raw``: a ``Path``, a text or ``None``."""
        for path in self.manifest.golden.files:
            if path.startswith("golden/"):
                self._load_golden(path)
        with self._naming_the_archive():
            return read_raw(self.folder)

    def golden_answers(self) -> dict[str, Any] | None:
        """Return the task's answers to the golden outputs; None where the bundle was written without them."""
        if ANSWERS not in self.manifest.golden.files:
            return None
        path = self._load_golden(ANSWERS)
        with self._naming_the_archive():
            return read_json(path, BundleError, "Copy the bundle again.")

    def verify(self) -> dict[str, str]:
        """Check every file's hash and return the problems by path; a packed bundle may leave files out."""
        problems = {}
        listed = {file.path: file.sha256 for file in self.files if self.holds(file)}
        listed |= self.manifest.golden.files | self.manifest.documents
        for path, sha256 in listed.items():
            try:
                self.load(path, sha256)
            except BundleError as error:
                problems[path] = str(error)
        return problems

    def _load_golden(self, path: str) -> Path:
        if path not in self.manifest.golden.files:
            raise BundleError(f"{self.place / MANIFEST_NAME}: golden.files: {path} is missing. Export it again.")
        return self.load(path, self.manifest.golden.files[path])

    def _naming_the_archive(self) -> AbstractContextManager[None]:
        return self.packed.naming_the_archive() if self.packed else nullcontext()

    def _members(self, path: str) -> list[str]:
        """Return the members of a packed bundle for a file, or for the SavedModel (``.``)."""
        members = self.packed.archive.members if self.packed else ()
        return [name for name in members if name == path or (path == "." and is_part_of(name))]


def _spec(value: dict[str, Any], folder: Path) -> ModalitySpec:
    spec = spec_from_json(value, folder)
    check_shapes(spec.name, (*spec.tensors, spec.present))
    return spec


def _task(value: dict[str, Any]) -> TaskSpec:
    task = task_from_json(value)
    check_shapes(task.kind, task.outputs)
    return task


def _rebuild(key: str, folder: Path, build: Any, value: dict[str, Any], *rest: Any) -> Any:
    where = f"{folder / MANIFEST_NAME}: {key}"
    if not isinstance(value.get("kind"), str):
        raise BundleError(f"{where}.kind: expected a component's name, got {value.get('kind')!r}.")
    try:
        return build(value, *rest)
    except (ConfigError, DataError, BundleError) as error:
        raise BundleError(f"{where}: {error}") from error
    except (LookupError, TypeError, ValueError, AttributeError, ArithmeticError, OSError) as error:
        raise BundleError(
            f"{where}: this version of mmkeras cannot read it as {value['kind']!r} ({type(error).__name__}: {error}). "
            "Use the version that wrote the bundle, or export it again."
        ) from error
