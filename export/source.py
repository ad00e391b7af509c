"""The source of an export: a Keras model with its specs, test samples and provenance, from a run or a bundle."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from export.verification.samples import Sample, draw
from mmkeras.bundle import Bundle
from mmkeras.bundle.manifest import MANIFEST_NAME
from mmkeras.core.command_line import read_toml
from mmkeras.core.errors import DataError, ExportError
from mmkeras.core.typed import read_json
from mmkeras.modalities import ModalitySpec
from mmkeras.tasks import TaskSpec

if TYPE_CHECKING:
    import keras

    from mmkeras.data.index import Index
    from mmkeras.training.run import Run

__all__ = [
    "Sample",
    "Source",
    "check_float32",
    "load_source",
    "read_metrics",
    "source_from_run",
]


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
    and, where the run has one, its ``notice``; of a model the names of its ``submodels``, of a submodel ``part_of``,
    with the whole model's name."""
    metrics: dict[str, Any] = field(default_factory=dict)
    """The evaluation of the Keras model, metrics.json; empty without one."""
    index: Index | None = None
    """The converted data that the model was trained on, for calibration; None where it is not available."""
    training: Sequence[Sample] = ()
    """Training samples in memory, to calibrate on where there is no index."""
    held_to_itself: bool = False
    """Whether the targets are the model's own float32 outputs, as for a submodel; see `export.submodels`."""

    def __post_init__(self) -> None:
        """Check that model, specs and task fit together and that there are samples.

        Raises:
            ExportError: they do not, or there are none.
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
        check_float32(self.model)
        # A loaded functional model exports without its variables until it has been called once.
        outputs = self.model({t.name: t.zeros() for t in tensors}, training=False)
        names = [output.name for output in self.task.outputs]
        if not isinstance(outputs, dict) or sorted(outputs) != sorted(names):
            found = sorted(outputs) if isinstance(outputs, dict) else type(outputs).__name__
            raise ExportError(f"The model's outputs are not those of its task: expected {names}, got {found}.")


def check_float32(model: keras.Model) -> None:
    """Check that every layer of a model computes in float32.

    Raises:
        ExportError: a layer computes in another precision.
    """
    others = sorted({each.name for each in model._flatten_layers() if each.compute_dtype not in ("float32", None)})
    if others:
        raise ExportError(
            f"Expected a float32 model, got layers that compute in another precision: {others[:5]}. Save it in float32 "
            "(keras.config.set_dtype_policy('float32') before it is built); weights stay the same."
        )


def load_source(path: Path, samples: int) -> Source:
    """Open a run's folder or a bundle.

    Args:
        path: ``runs/vqa/latest``, ``saved_models/vqa/1`` or ``saved_models/vqa`` (its newest version).
        samples: largest number of test samples to verify on.

    Raises:
        ExportError: neither a run nor a bundle.
        DataError: the data that the model was trained on is missing or has changed.
        MmkerasError: a file of the run or bundle is missing or damaged.
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
    """Return the best model of a finished run as a source, with at most ``samples`` test samples.

    ``model`` is that model, if it is in memory already; otherwise it is loaded.
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
        samples=_test_samples(index, samples),
        provenance=provenance,
        metrics=metrics,
        index=index,
    )


def read_metrics(folder: Path) -> dict[str, Any]:
    """Return the content of ``metrics.json`` in a folder; empty where there is none.

    Raises:
        DataError: it is not a JSON object.
    """
    try:
        return read_json(folder / "metrics.json", DataError, "Evaluate the run again.")
    except FileNotFoundError:
        return {}


def _from_bundle(path: Path, samples: int) -> Source:
    from mmkeras.data.index import Index
    from mmkeras.layers.keras_files import load_model
    from mmkeras.training.run import register_layers

    bundle = Bundle.open(path)
    provenance = bundle.manifest.provenance
    folder = provenance.get("data_folder")
    where = f"{bundle.folder / MANIFEST_NAME}: provenance.data_folder"
    if not folder:
        raise DataError(f"{where}: not recorded, so there are no samples to verify on. Export the run again.")
    # Relative to the bundle; in bundles of earlier versions, relative to the folder where the model was trained.
    places = (Path(os.path.normpath(bundle.folder.resolve() / folder)), Path(folder))
    found = next((each for each in places if each.is_dir()), None)
    if found is None:
        raise DataError(
            f"{where}: {places[0]} is missing, and a new export is verified on real samples. Put the data back, "
            "export the run instead of the bundle, or convert the data again (the pipeline does so from its config)."
        )
    index = Index.load(found)
    if index.fingerprint != provenance.get("data_fingerprint"):
        raise DataError(
            f"{where}: {found} holds other data (fingerprint {index.fingerprint}) than the model was exported "
            f"with ({provenance.get('data_fingerprint')}). Convert the data again with the run's config.toml."
        )
    register_layers()
    return Source(
        name=bundle.manifest.name,
        model=load_model(bundle.folder / "model.keras"),
        specs=bundle.specs,
        task=bundle.task,
        samples=_test_samples(index, samples),
        provenance=provenance,
        metrics=read_metrics(bundle.folder),
        index=index,
        held_to_itself="part_of" in provenance,
    )


def _test_samples(index: Index, limit: int) -> list[Sample]:
    """Read at most ``limit`` test samples of converted data, see `export.verification.samples.draw`.

    Raises:
        ExportError: there is no test split.
    """
    if not index.samples("test"):
        raise ExportError(
            f"{index.folder}: has no test split, only {sorted(index.splits)}. Every exported file is verified on test "
            "samples: lower data.train_share and data.validation_share so that their sum is below 1."
        )
    return draw(index, "test", limit)
