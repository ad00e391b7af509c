"""Builds an untrained model with random weights, from a run's folder or a pipeline's configuration.

What comes from data (a vocabulary, the labels) is made up: sizes change, operations do not.
"""

from __future__ import annotations

import dataclasses
import importlib
from collections.abc import Iterator, Sequence
from dataclasses import field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from export.doctor.verdicts import reason
from mmkeras.core.command_line import parse, read_toml, to_toml
from mmkeras.core.components import find
from mmkeras.core.config import ModelConfig, RunConfig
from mmkeras.core.errors import ConfigError, MmkerasError
from mmkeras.core.modalities import branches, declared_modalities, follow, modality_configs

if TYPE_CHECKING:
    import keras

    from mmkeras.training.run import Run

__all__ = ["UNTRAINED", "model_of_pipeline", "model_of_run", "pipelines"]

UNTRAINED = "the weights are random: the run has not finished an epoch"
_ROOT = Path(__file__).resolve().parents[2]
_LABELS = ("first", "second", "third")


def pipelines() -> dict[str, Path]:
    """Return the default configuration file of each pipeline by the pipeline's name."""
    folder = _ROOT / "pipelines"
    files = {path.stem: folder / "configs" / f"{path.stem}.toml" for path in sorted(folder.glob("[!_]*.py"))}
    return {name: defaults for name, defaults in files.items() if defaults.is_file()}


def model_of_pipeline(name: str, options: Sequence[str], work: Path) -> tuple[keras.Model, tuple[str, ...]]:
    """Build the model that a pipeline trains with ``options``: ``--config FILE`` and dotted options.

    Returns:
        The model, and notes about what was made up.

    Raises:
        ConfigError: an unknown key or a value that does not fit.
    """
    # Imported by the name from the user: export depends on no pipeline.
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
    """Build the model of an unfinished run from its folder alone; ``work`` is a scratch folder.

    Raises:
        ConfigError: its config.toml is missing, damaged or of another version.
    """
    where = run.folder / "config.toml"
    table = read_toml(where).get("model")
    if not isinstance(table, dict):
        raise ConfigError(f"{where}: expected a table [model], got none. Start the run again.")
    fields: list[Any] = []
    for name, spec in run.specs.items():
        component = find("modalities", spec.kind, "spec")
        fields.append((name, component.Config, field(default_factory=component.Config)))
    recorded: Any = dataclasses.make_dataclass("RecordedModel", fields, bases=(ModelConfig,), frozen=True)
    # Modalities in `without` have no spec.
    known = {each.name for each in dataclasses.fields(recorded)} - {"without"}
    # A modality may share weights with one of these, whose table has a kind.
    known |= {key for key, value in table.items() if isinstance(value, dict) and "kind" in value}
    unbuilt = [name for name in table.get("without", []) if name in known]
    whole = dataclasses.make_dataclass("Recorded", [("model", recorded, field(default_factory=recorded))], frozen=True)
    kept = work / "model.toml"
    model = {"without": unbuilt, **{key: value for key, value in table.items() if key in known}}
    kept.write_text(to_toml(dataclasses.make_dataclass("Table", ["model"])(model)), encoding="utf-8")
    config: Any = parse(whole, ["--config", str(kept)], program=str(where), description="")[0]
    changes: dict[str, Any] = {}
    every = declared_modalities(config.model)
    for name, group in branches(config.model).items():
        changes[name] = every[name].recorded(run.specs[name], run.folder)
        changes |= {other: follow(every[other], changes[name]) for other in group if other != name}
    return _build(dataclasses.replace(config.model, **changes))


def _complete(model: Any, work: Path) -> tuple[Any, tuple[str, ...]]:
    """Fill in what comes from data, from the modalities' probes."""
    from mmkeras.modalities import Facts
    from mmkeras.model import specs_before_data
    from mmkeras.training.resolve import resolve_model

    specs = specs_before_data(model)

    def values(names: Sequence[str]) -> Iterator[Any]:
        for name in names:
            if name in specs:
                yield from specs[name].probes()

    made = resolve_model(model, values, Facts(_LABELS), work)
    before, after = modality_configs(model), modality_configs(made)
    learned = [name for name in before if after[name] != before[name]]
    options = [key for key, value in made.task.options.items() if model.task.options.get(key) != value]
    notes = [f"{name}: values that are learned from data are made up; table sizes differ" for name in learned]
    return made, (*notes, *(f"{key}: made up, because they come from the data" for key in options))


def _build(model: ModelConfig) -> keras.Model:
    import keras

    from mmkeras.model import build_model

    keras.config.set_dtype_policy("float32")
    # Without pretrained weights, which would be downloaded.
    random = {name: modality.untrained() for name, modality in declared_modalities(model).items()}
    try:
        return build_model(dataclasses.replace(model, **random))
    except MmkerasError:
        raise
    except Exception as error:  # Keras and keras_nlp raise whatever a layer raises
        raise ConfigError(
            f"The model cannot be built: {reason(str(error))} Change the options that set its shapes."
        ) from error
