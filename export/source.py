"""What is exported: a Keras model with its specs, its real test samples and where it came from."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from mmkeras.bundle import Bundle
from mmkeras.command_line import read_toml
from mmkeras.errors import DataError, ExportError
from mmkeras.manifest import MANIFEST_NAME
from mmkeras.modalities import ModalitySpec
from mmkeras.tasks import TaskSpec
from mmkeras.typed import parse_json

if TYPE_CHECKING:
    import keras

    from mmkeras.data.index import Index
    from mmkeras.training.run import Run

__all__ = ["Sample", "Source", "load_source", "source_from_run", "verification_samples", "groups_of", "read_metrics"]


@dataclass(frozen=True)
class Sample:
    """A real test sample with its raw values."""

    key: str
    """Key in its dataset."""
    values: dict[str, Any]
    """Raw value by modality: bytes or text; ``None`` where it is missing."""
    target: np.ndarray
    """Encoded target."""
    weight: float = 1.0
    """Weight in the metric."""
    columns: dict[str, str] = field(default_factory=dict)
    """Columns of the data, by which the metric is also held slice by slice."""
    group: str | int | None = None
    """What it depends on together with other samples (a scene, a picture, a patient); None for a group of its own."""


@dataclass(frozen=True)
class Source:
    """A model to export. Its inputs and outputs are those of the specs, checked on creation."""

    name: str
    """Name of the saved model."""
    model: keras.Model
    """The float32 Keras model."""
    specs: dict[str, ModalitySpec]
    """Modality specs by name."""
    task: TaskSpec
    """The task."""
    samples: Sequence[Sample]
    """Test samples to verify on."""
    provenance: dict[str, Any] = field(default_factory=dict)
    """``config``, ``data_fingerprint``, ``data_folder``, ``data_samples``, ``code_revision``, ``packages``, ``metrics``
    and, where the run has one, its ``notice``."""
    metrics: dict[str, Any] = field(default_factory=dict)
    """The whole evaluation of the Keras model, metrics.json; empty without one."""
    index: Index | None = None
    """The converted data that the model was trained on, for calibration; None where it is not at hand."""
    training: Sequence[Sample] = ()
    """Training samples in memory, to calibrate on where there is no index."""

    def __post_init__(self) -> None:
        """Check that model, specs and task belong together and that there is something to verify on.

        Raises:
            ExportError: they do not, or there are no samples.
        """
        import keras

        if not self.samples:
            raise ExportError(
                "There are no test samples, so nothing exported could be proven. Give the data a test split."
            )
        tensors = [tensor for spec in self.specs.values() for tensor in (*spec.tensors, spec.present)]
        expected = {t.name: (t.shape, t.dtype) for t in tensors}
        got = {i.name: (tuple(i.shape[1:]), keras.backend.standardize_dtype(i.dtype)) for i in self.model.inputs}
        if expected != got:
            raise ExportError(f"The model's inputs are not those of its specs: expected {expected}, got {got}.")
        reduced = sorted(
            {layer.name for layer in self.model._flatten_layers() if layer.compute_dtype not in ("float32", None)}
        )
        if reduced:
            raise ExportError(
                f"Expected a float32 model, got layers that compute in a lower precision: {reduced[:5]}. Save it "
                "in float32 (keras.config.set_dtype_policy('float32') before it is built); weights stay the same."
            )
        # A loaded functional model exports without its variables until it has been called once.
        outputs = self.model({t.name: t.zeros() for t in tensors}, training=False)
        names = [output.name for output in self.task.outputs]
        if not isinstance(outputs, dict) or sorted(outputs) != sorted(names):
            found = sorted(outputs) if isinstance(outputs, dict) else type(outputs).__name__
            raise ExportError(f"The model's outputs are not those of its task: expected {names}, got {found}.")


def load_source(path: Path, samples: int) -> Source:
    """Open a run's folder or a bundle.

    Args:
        path: ``runs/vqa/latest``, ``saved_models/vqa/1`` or ``saved_models/vqa`` (its newest version).
        samples: test samples to verify on; all of them where there are fewer.

    Raises:
        ExportError: neither a run nor a bundle.
        DataError: the data it was trained on is gone or has changed.
        MmkerasError: a file of it is missing or damaged.
    """
    from mmkeras.training.run import Run

    if (path / "run.json").is_file():
        return source_from_run(Run.open(path), samples)
    versions = [p for p in path.iterdir() if p.name.isdecimal()] if path.is_dir() else []
    if (path / MANIFEST_NAME).is_file() or versions:
        return _from_bundle(path, samples)
    raise ExportError(
        f"{path}: expected a run such as runs/vqa/latest (with run.json) or a bundle such as saved_models/vqa/1 "
        f"(with {MANIFEST_NAME}), got {'a folder without either' if path.is_dir() else 'no folder'}."
    )


def source_from_run(run: Run, samples: int, model: keras.Model | None = None) -> Source:
    """Return what a finished run exports.

    Args:
        run: the run.
        samples: test samples to verify on.
        model: the model, where the caller has it in memory; else the run's best one.
    """
    keys = ("data_fingerprint", "data_folder", "code_revision", "packages", "created")
    provenance = {key: run.provenance[key] for key in keys if key in run.provenance}
    provenance["config"] = read_toml(run.folder / "config.toml")
    metrics = read_metrics(run.folder)
    if metrics:
        provenance["metrics"] = metrics.get("test", {})
        if notice := metrics.get("provenance", {}).get("notice"):
            provenance["notice"] = notice
    index = run.index
    provenance["data_samples"] = {name: split.samples for name, split in index.splits.items() if split.samples}
    return Source(
        name=run.provenance.get("name", run.folder.parent.name),
        model=run.model() if model is None else model,
        specs=run.specs,
        task=run.task,
        samples=verification_samples(index, samples),
        provenance=provenance,
        metrics=metrics,
        index=index,
    )


def groups_of(samples: Sequence[Sample]) -> np.ndarray:
    """Return the number of each sample's group, int64 (N,); a sample without a group has a number of its own."""
    numbers: dict[object, int] = {}
    names = [("", place) if sample.group is None else sample.group for place, sample in enumerate(samples)]
    return np.asarray([numbers.setdefault(name, len(numbers)) for name in names], np.int64)


def read_metrics(folder: Path) -> dict[str, Any]:
    """Return what ``metrics.json`` in a folder holds; empty where there is none.

    Raises:
        DataError: it is no JSON object.
    """
    path = folder / "metrics.json"
    if not path.is_file():
        return {}
    try:
        value: dict[str, Any] = parse_json(path.read_text("utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise DataError(f"{path} cannot be read as JSON: {error}. Evaluate the run again.") from error
    if not isinstance(value, dict):
        raise DataError(f"{path}: expected an object, got {type(value).__name__}. Evaluate the run again.")
    return value


def _from_bundle(path: Path, samples: int) -> Source:
    from mmkeras.data.index import Index
    from mmkeras.keras_files import load_model
    from mmkeras.training.run import register_layers

    bundle = Bundle.open(path)
    provenance = bundle.manifest.provenance
    folder = provenance.get("data_folder")
    where = f"{bundle.folder / MANIFEST_NAME}: provenance.data_folder"
    if not folder:
        raise DataError(f"{where}: not recorded, so there are no samples to verify on. Export the run again.")
    if not Path(folder).is_dir():
        raise DataError(
            f"{where}: {folder} is gone, and a new export is verified on real samples. Convert the data again "
            "(the pipeline does so from its config), and run this from the folder the model was trained in."
        )
    index = Index.load(Path(folder))
    if index.fingerprint != provenance.get("data_fingerprint"):
        raise DataError(
            f"{where}: {folder} holds other data (fingerprint {index.fingerprint}) than the model was exported "
            f"with ({provenance.get('data_fingerprint')}). Convert the data again with the run's config.toml."
        )
    register_layers()
    return Source(
        name=bundle.manifest.name,
        model=load_model(bundle.folder / "model.keras"),
        specs=bundle.specs,
        task=bundle.task,
        samples=verification_samples(index, samples),
        provenance=provenance,
        metrics=read_metrics(bundle.folder),
        index=index,
    )


def verification_samples(index: Index, limit: int) -> list[Sample]:
    """Read test samples of converted data, spread evenly over the split, which may be sorted by label.

    Raises:
        ExportError: there is no test split.
    """
    from mmkeras.data.read import iterate_samples

    available = index.samples("test")
    if not available:
        raise ExportError(
            f"{index.folder}: has no test split, only {sorted(index.splits)}. Every exported file is verified on test "
            "samples: give data.train_share and data.validation_share room for one."
        )
    records = itertools.islice(iterate_samples(index, "test"), 0, None, max(1, available // limit))
    return [
        Sample(record.key, dict(record.values), record.target, record.weight, dict(record.columns), record.group)
        for record in itertools.islice(records, limit)
    ]
