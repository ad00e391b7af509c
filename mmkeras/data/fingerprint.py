"""The fingerprint of converted data: its inputs, and the part of the configuration that changes the shards."""

from __future__ import annotations

import contextlib
import dataclasses
import hashlib
import json
from collections.abc import Mapping
from typing import Any

from mmkeras.core.components import find
from mmkeras.core.config import DataConfig
from mmkeras.core.errors import ConfigError
from mmkeras.data.encode import kind_of
from mmkeras.data.index import SCHEMA_VERSION
from mmkeras.modalities import ModalitySpec
from mmkeras.tasks import TaskSpec

__all__ = ["fingerprint", "shaped_by"]

SHAPING = (
    *("source", "train_share", "validation_share", "split_by_group", "keep_together", "split_seed"),
    *("samples_per_shard", "limit"),
)
"""Fields of `DataConfig` that change the content of shards."""


def shaped_by(config: DataConfig, modalities: Mapping[str, ModalitySpec], task: Any) -> dict[str, Any]:
    """Return the configuration that changes the shards, as JSON values.

    Records keep images at their own size and text as text, so of a modality only its kind counts, and the fields that
    its spec names in ``shapes_records``. The same holds for the task.
    """
    spec = task if isinstance(task, TaskSpec) else None
    if spec is None:
        with contextlib.suppress(ConfigError):  # it may need facts of the data, such as labels
            spec = task.spec(modalities)
    shaping = find("tasks", kind_of(task), "spec").Spec.shapes_records
    options = {key: getattr(spec or task, key) for key in shaping if spec or key in vars(task)}
    every = dataclasses.asdict(config)
    # The place of the dataset does not count: `SourceBase.fingerprint_inputs` identifies its content.
    reads = find("data.sources", config.source.name).Source.reads
    every["source"]["options"] = {k: v for k, v in every["source"]["options"].items() if k not in reads}
    value = {
        # Data that was converted before this option existed keeps its fingerprint.
        "data": {key: every[key] for key in SHAPING} | ({"stratify": True} if config.stratify else {}),
        "modalities": {name: _kind(modality) for name, modality in sorted(modalities.items())},
        "task": {"kind": kind_of(task), **options},
        # They may derive from the modalities: the size of a mask does.
        "targets": None if spec is None else {target.name: str(target) for target in spec.targets},
    }
    result: dict[str, Any] = json.loads(json.dumps(value, default=str))
    return result


def _kind(modality: ModalitySpec) -> Any:
    shaping = {key: getattr(modality, key) for key in modality.shapes_records}
    return {"kind": kind_of(modality), **shaping} if shaping else kind_of(modality)


def fingerprint(inputs: Mapping[str, str], shaped: Mapping[str, Any]) -> str:
    """Return the sha256 of inputs and configuration."""
    value = {"schema_version": SCHEMA_VERSION, "inputs": dict(inputs), "shaped_by": dict(shaped)}
    return hashlib.sha256(json.dumps(value, sort_keys=True, default=str).encode()).hexdigest()
