"""Opens the model to examine: from a run, a bundle, a ``.keras`` file or a pipeline."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from export.doctor.untrained import UNTRAINED, model_of_pipeline, model_of_run, pipelines
from export.doctor.verdicts import reason
from export.source import check_float32
from mmkeras.bundle import Bundle
from mmkeras.bundle.manifest import MANIFEST_NAME
from mmkeras.core.errors import ConfigError, DataError, ExportError, nearest

if TYPE_CHECKING:
    import keras

__all__ = ["Subject", "open_subject"]


@dataclass(frozen=True)
class Subject:
    """A Keras model, ready to be converted."""

    name: str
    """The name that the user gave."""
    model: keras.Model
    trained: bool
    notes: tuple[str, ...] = ()
    """What was substituted for unknown parts."""


def open_subject(name: str, options: Sequence[str], modules: Sequence[str], work: Path) -> Subject:
    """Find and build or load a model: of a run, a bundle, a ``.keras`` file or a pipeline (``vqa``, ``pipelines.vqa``).

    ``options`` are further command-line options for a pipeline's configuration, ``modules`` Python modules to import
    first, which register layers, and ``work`` is a scratch folder.

    Raises:
        MmkerasError: no such model, no configuration to change, files missing or damaged, or it cannot be converted.
    """
    path = Path(name)
    known = pipelines()
    stem = name.removesuffix(".py").replace("/", ".").removeprefix("pipelines.")
    kind = _kind(path)
    if kind == "" and stem in known:
        model, notes = model_of_pipeline(stem, options, work)
        return Subject(name, _named(model), False, notes)
    if kind == "":
        what = "a folder without run.json or a manifest" if path.is_dir() else "a file" if path.exists() else "nothing"
        raise ConfigError(
            f"{name}: expected a run such as runs/vqa/latest, a bundle such as saved_models/vqa/1, a .keras file or "
            f"the name of a pipeline, got {what} of that name; {nearest(stem, known)}"
        )
    if options:
        raise ConfigError(
            f"{' '.join(options)}: unknown here. {name} is a {kind} with its own configuration; options such as "
            "--model.width 32 and --config FILE are for the name of a pipeline."
        )
    _import(modules)
    if kind == "run":
        from mmkeras.training.run import Run

        run = Run.open(path)
        if (run.folder / "best.keras").is_file():
            return Subject(name, _named(_loaded(run.folder / "best.keras", run.model)), True)
        return Subject(name, _named(model_of_run(run, work)), False, (UNTRAINED,))
    if kind == "bundle":
        with Bundle.open(path) as bundle:
            if bundle.packed is not None or not (bundle.folder / "model.keras").is_file():
                raise ExportError(
                    f"{name} is packed or holds no model.keras: name the bundle's folder, or the run it came from."
                )
            path = bundle.folder / "model.keras"
    return Subject(name, _named(_load(path)), True)


def _kind(path: Path) -> str:
    if (path / "run.json").is_file():
        return "run"
    versions = [p for p in path.iterdir() if p.name.isdecimal()] if path.is_dir() else []
    if path.suffix == ".mmk" or any((folder / MANIFEST_NAME).is_file() for folder in (path, *versions)):
        return "bundle"
    return "Keras file" if path.suffix == ".keras" else ""


def _import(modules: Sequence[str]) -> None:
    import importlib

    for module in modules:
        try:
            importlib.import_module(module)
        except Exception as error:  # a user's module may raise anything
            raise ConfigError(f"--import {module}: {type(error).__name__}: {error}") from error


def _load(path: Path) -> keras.Model:
    from mmkeras.layers.keras_files import load_model
    from mmkeras.training.run import register_layers

    if not path.is_file():
        raise ConfigError(f"There is no file {path}. Name a .keras file that model.save has written.")
    register_layers()
    return _loaded(path, lambda: load_model(path))


def _loaded(path: Path, load: Callable[[], keras.Model]) -> keras.Model:
    try:
        return load()
    except DataError as error:
        raise ExportError(
            f"{path} cannot be loaded: {reason(str(error))} Import your own layers with --import MODULE; they must be "
            "registered (keras.saving.register_keras_serializable). A Lambda layer is not loaded, because it may run "
            "any code: write it as a layer."
        ) from error


def _named(model: keras.Model) -> keras.Model:
    """Return a model with a dict of inputs and a dict of outputs, with the same layers."""
    import keras

    if not isinstance(model, keras.src.models.Functional):
        raise ExportError(
            f"Expected a functional model, got {type(model).__name__}, whose layers cannot be distinguished. Build "
            "it with keras.Model(inputs, outputs)."
        )
    text = [tensor.name for tensor in model.inputs if tensor.dtype == "string"]
    if text:
        raise ExportError(f"Expected numbers as inputs, got text in {text}: edge files tokenize on the host.")
    check_float32(model)
    inputs = {tensor.name: tensor for tensor in model.inputs}
    if isinstance(model.input, dict) and isinstance(model.output, dict) and set(model.input) == set(inputs):
        return model
    outputs = model.output
    if not isinstance(outputs, dict):
        outputs = {}
        for index, (name, tensor) in enumerate(zip(model.output_names, model.outputs, strict=True)):
            # Two outputs of one layer have the same name.
            outputs[name if name not in outputs else f"{name}_{index}"] = tensor
    return keras.Model(inputs, outputs, name=model.name)
