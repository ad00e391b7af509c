"""Builds a model that was never trained, with random weights: from a run's folder or from a pipeline's configuration.

What only data knows (a vocabulary, the labels) is stood in for: sizes change, operations do not.
"""

from __future__ import annotations

import dataclasses
import importlib
from collections.abc import Sequence
from dataclasses import field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from export.doctor.verdicts import reason
from mmkeras.core.command_line import parse, read_toml, to_toml
from mmkeras.core.components import Choice, find
from mmkeras.core.config import ModelConfig, RunConfig, modality_configs
from mmkeras.core.errors import ConfigError, MmkerasError

if TYPE_CHECKING:
    import keras

    from mmkeras.training.run import Run

__all__ = ["UNTRAINED", "model_of_pipeline", "model_of_run", "pipelines"]

UNTRAINED = "the weights are random: the run has not finished an epoch"
_ROOT = Path(__file__).resolve().parents[2]
_LABELS = ("first", "second", "third")
_CORPUS = ("a few words stand in for a corpus", "the words change nothing but the size of a table")


def pipelines() -> dict[str, Path]:
    """Return the pipelines of this checkout by name, with the files of their defaults."""
    folder = _ROOT / "pipelines"
    files = {path.stem: folder / "configs" / f"{path.stem}.toml" for path in sorted(folder.glob("[!_]*.py"))}
    return {name: defaults for name, defaults in files.items() if defaults.is_file()}


def model_of_pipeline(name: str, options: Sequence[str], work: Path) -> tuple[keras.Model, tuple[str, ...]]:
    """Build the model that a pipeline would train.

    Args:
        name: one of `pipelines`.
        options: ``--config FILE`` and dotted options, as the pipeline takes them.
        work: scratch folder.

    Returns:
        The model, and what was stood in for.

    Raises:
        ConfigError: an unknown key or a value that does not fit.
    """
    # By name, as the user gives it: an export depends on no pipeline.
    module = importlib.import_module(f"pipelines.{name}")
    classes = [value for value in vars(module).values() if isinstance(value, type) and issubclass(value, RunConfig)]
    own = [each for each in classes if each.__module__ == module.__name__]
    if len(own) != 1:
        raise ConfigError(f"pipelines/{name}.py: expected one configuration (a RunConfig), got {len(own)}.")
    program = f"python -m export doctor {name}"
    config, _ = parse(own[0], options, program=program, description="", defaults=pipelines()[name])
    model, notes = _complete(config.model, work)
    return _build(model), ("the weights are random: nothing was trained", *notes)


def model_of_run(run: Run, work: Path) -> keras.Model:
    """Build the model that a run is to train, from its own folder alone.

    Args:
        run: one without a model.
        work: scratch folder.

    Raises:
        ConfigError: its config.toml is missing, damaged or of another version.
    """
    where = run.folder / "config.toml"
    table = read_toml(where).get("model")
    if not isinstance(table, dict):
        raise ConfigError(f"{where}: expected a table [model], got none. Start the run again.")
    fields: list[Any] = []
    for name, spec in run.specs.items():
        room = find("modalities", spec.kind, "spec")
        fields.append((name, room.Config, field(default_factory=room.Config)))
    recorded: Any = dataclasses.make_dataclass("RecordedModel", fields, bases=(ModelConfig,), frozen=True)
    # Modalities that the run was made without have no spec.
    known = {each.name for each in dataclasses.fields(recorded)} - {"without"}
    whole = dataclasses.make_dataclass("Recorded", [("model", recorded, field(default_factory=recorded))], frozen=True)
    kept = work / "model.toml"
    kept.write_text(to_toml(_Table({key: value for key, value in table.items() if key in known})), encoding="utf-8")
    config: Any = parse(whole, ["--config", str(kept)], program=str(where), description="")[0]
    changes = {}
    for name, modality in modality_configs(config.model).items():
        # What was derived from a modality that the run was made without, such as the camera of a radar alone.
        spec = run.specs[name]
        derived: dict[str, Any] = {
            each.name: getattr(spec, each.name, ())
            for each in dataclasses.fields(modality)
            if getattr(modality, each.name) == ()
        }
        vocabulary = run.folder / f"{name}_vocabulary.txt"
        if vocabulary.is_file():  # the recorded path starts from where the run was started
            derived["vocabulary"] = str(vocabulary)
        changes[name] = dataclasses.replace(modality, **derived)
    return _build(dataclasses.replace(config.model, **changes))


@dataclasses.dataclass(frozen=True)
class _Table:
    model: dict[str, Any]


def _complete(model: Any, work: Path) -> tuple[Any, tuple[str, ...]]:
    """Fill in what only the data knows, as `mmkeras.training.resolve` does from data."""
    from mmkeras.data.encode import room as room_of
    from mmkeras.modalities import Facts
    from mmkeras.model import task_config

    notes = []
    changes: dict[str, Any] = {}
    for name, modality in modality_configs(model).items():
        room = find("modalities", room_of(modality))
        if hasattr(room, "resolve"):
            changes[name] = room.resolve(modality, iter(_CORPUS), work / name)
            if changes[name] != modality:
                notes.append(f"{name}: what is learned from data is made up; table sizes differ")
    task = task_config(model)
    completed = task.completed(Facts(_LABELS))
    options = dict(model.task.options)
    for each in dataclasses.fields(completed):
        value = getattr(completed, each.name)
        if value != getattr(task, each.name):
            options[each.name] = list(value) if isinstance(value, tuple) else value
            notes.append(f"{each.name}: made up, as only the data has them")
    return dataclasses.replace(model, task=Choice(model.task.name, options), **changes), tuple(notes)


def _build(model: ModelConfig) -> keras.Model:
    import keras

    from mmkeras.model import build_model

    keras.config.set_dtype_policy("float32")
    random = {
        name: dataclasses.replace(modality, weights="none")
        for name, modality in modality_configs(model).items()
        if getattr(modality, "weights", "none") != "none"  # pretrained weights would be downloaded for nothing
    }
    try:
        return build_model(dataclasses.replace(model, **random))
    except MmkerasError:
        raise
    except Exception as error:  # Keras and keras_nlp raise whatever a layer raises
        raise ConfigError(
            f"The model cannot be built: {reason(str(error))} Change what its shapes follow from."
        ) from error
