"""The configuration of a run, read back without the pipeline that wrote it."""

from __future__ import annotations

import dataclasses
import tempfile
from pathlib import Path
from typing import Any

import tomlkit

from mmkeras.core.command_line import parse, read_toml
from mmkeras.core.components import find
from mmkeras.core.config import ModelConfig, RunConfig
from mmkeras.training.moved import placed
from mmkeras.training.run import Run

__all__ = ["read_config"]


def read_config(run: Run) -> RunConfig:
    """Return a run's resolved configuration.

    A pipeline adds its modalities to `ModelConfig` and its own sections to `RunConfig`. The modalities follow from the
    run's specs; sections that are the pipeline's alone are left out.

    Raises:
        ConfigError: config.toml is missing, is not TOML, or holds what this version does not know.
    """
    content = read_toml(run.folder / "config.toml")
    base = {field.name for field in dataclasses.fields(ModelConfig)}
    table = content.get("model", {})
    # What the model was built without has no spec; its table says its kind.
    kinds = {key for key, value in table.items() if isinstance(value, dict) and "kind" in value}
    model = {key: value for key, value in table.items() if key in base or key in run.specs or key in kinds}
    model["without"] = [name for name in table.get("without", []) if name in kinds]
    kept = {field.name for field in dataclasses.fields(RunConfig)}
    whole = {**{key: value for key, value in content.items() if key in kept}, "model": model}
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "config.toml"
        path.write_text(tomlkit.dumps(whole), encoding="utf-8")
        config, _ = parse(_config_class(run), ["--config", str(path)], program=run.folder.name, description="")
    return placed(config, run.folder)


def _config_class(run: Run) -> type[RunConfig]:
    configs = {name: find("modalities", spec.kind, "spec").Config for name, spec in run.specs.items()}
    modalities = [(name, each, dataclasses.field(default_factory=each)) for name, each in configs.items()]
    model: Any = dataclasses.make_dataclass("RunModel", modalities, bases=(ModelConfig,), frozen=True)
    fields = [("model", model, dataclasses.field(default_factory=model))]
    config: Any = dataclasses.make_dataclass("ReadConfig", fields, bases=(RunConfig,), frozen=True)
    return config
