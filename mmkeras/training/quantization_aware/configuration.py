"""Reads the configuration of a run without the pipeline that wrote it."""

from __future__ import annotations

import dataclasses
import tempfile
from pathlib import Path

import tomlkit

from mmkeras.core.command_line import parse, read_toml
from mmkeras.core.components import find
from mmkeras.core.config import ModelConfig, RunConfig
from mmkeras.core.declared import extended
from mmkeras.training.moved import placed
from mmkeras.training.run import Run

__all__ = ["read_config"]


def read_config(run: Run) -> RunConfig:
    """Return a run's resolved configuration.

    A pipeline adds modalities to `ModelConfig` and sections to `RunConfig`. The modalities follow from the run's specs;
    the pipeline's own sections are left out.

    Raises:
        ConfigError: config.toml is missing, is not TOML, or has unknown keys.
    """
    content = read_toml(run.folder / "config.toml")
    base = {field.name for field in dataclasses.fields(ModelConfig)}
    table = content.get("model", {})
    # A modality that the model was built without has no spec, but its table has a kind.
    kinds = {key for key, value in table.items() if isinstance(value, dict) and "kind" in value}
    model = {key: value for key, value in table.items() if key in base or key in run.specs or key in kinds}
    model["without"] = [name for name in table.get("without", []) if name in kinds]
    kept = {field.name for field in dataclasses.fields(RunConfig)}
    whole = {**{key: value for key, value in content.items() if key in kept}, "model": model}
    modalities = tuple((name, find("modalities", spec.kind, "spec").Config) for name, spec in run.specs.items())
    config_class: type[RunConfig] = extended(RunConfig, (("model", extended(ModelConfig, modalities)),))
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "config.toml"
        path.write_text(tomlkit.dumps(whole), encoding="utf-8")
        config, _ = parse(config_class, ["--config", str(path)], program=run.folder.name, description="")
    return placed(config, run.folder)
