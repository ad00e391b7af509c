"""What is exported: a Keras model with its specs, its real test samples and where it came from."""

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
from mmkeras.core.typed import parse_json
from mmkeras.modalities import ModalitySpec
from mmkeras.tasks import TaskSpec

if TYPE_CHECKING:
    import keras

    from mmkeras.data.index import Index
    from mmkeras.training.run import Run

__all__ = ["Sample", "Source", "load_source", "source_from_run", "verification_samples", "read_metrics"]


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
    and, where the run has one, its ``notice``; the names of its ``submodels``, or for a submodel what it is
    ``part_of``."""
    metrics: dict[str, Any] = field(default_factory=dict)
    """The whole evaluation of the Keras model, metrics.json; empty without one."""
    index: Index | None = None
    """The converted data that the model was trained on, for calibration; None where it is not at hand."""
    training: Sequence[Sample] = ()
    """Training samples in memory, to calibrate on where there is no index."""
    held_to_itself: bool = False
    """Whether it is a submodel, whose targets are its own float32 outputs; see `export.submodels`."""

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
    from mmkeras.layers.keras_files import load_model
    from mmkeras.training.run import register_layers

    bundle = Bundle.open(path)
    provenance = bundle.manifest.provenance
    folder = provenance.get("data_folder")
    where = f"{bundle.folder / MANIFEST_NAME}: provenance.data_folder"
    if not folder:
        raise DataError(f"{where}: not recorded, so there are no samples to verify on. Export the run again.")
    # Relative to the bundle; bundles of earlier versions name it from where the model was trained.
    places = (Path(os.path.normpath(bundle.folder.resolve() / folder)), Path(folder))
    found = next((each for each in places if each.is_dir()), None)
    if found is None:
        raise DataError(
            f"{where}: {places[0]} is gone, and a new export is verified on real samples. Put the data back, export "
            "the run in place of the bundle, or convert the data again (the pipeline does so from its config)."
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
        samples=verification_samples(index, samples),
        provenance=provenance,
        metrics=read_metrics(bundle.folder),
        index=index,
        held_to_itself="part_of" in provenance,
    )


def verification_samples(index: Index, limit: int) -> list[Sample]:
    """Read test samples of converted data, each class and group with its share, see `export.verification.samples.draw`.

    Raises:
        ExportError: there is no test split.
    """
    if not index.samples("test"):
        raise ExportError(
            f"{index.folder}: has no test split, only {sorted(index.splits)}. Every exported file is verified on test "
            "samples: give data.train_share and data.validation_share room for one."
        )
    return draw(index, "test", limit)
