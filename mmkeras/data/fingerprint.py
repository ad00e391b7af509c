"""What identifies converted data: its inputs, and that part of the configuration that shapes shards."""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections.abc import Mapping
from typing import Any

from mmkeras.core.components import find
from mmkeras.core.config import DataConfig
from mmkeras.core.errors import ConfigError
from mmkeras.data.encode import room
from mmkeras.data.index import SCHEMA_VERSION
from mmkeras.modalities import ModalitySpec
from mmkeras.tasks import TaskSpec

__all__ = ["ENCODING", "fingerprint", "shaped_by"]

SHAPING = (
    *("source", "train_share", "validation_share", "split_by_group", "keep_together", "split_seed"),
    *("samples_per_shard", "limit"),
)
"""Fields of `DataConfig` that change what is written; the others change how."""
ENCODING = ("labels", "names", "max_objects", "camera", "camera_pose")
"""Options of a task that its encoded targets depend on; the others belong to its head."""


def shaped_by(config: DataConfig, modalities: Mapping[str, ModalitySpec], task: Any) -> dict[str, Any]:
    """Return the configuration that shapes shards, as JSON values.

    Records keep images at their own size and text as text, so a modality counts with its kind alone, and with what its
    spec names in ``shapes_records``.
    """
    spec = _early(task, modalities)
    options = {key: getattr(spec or task, key) for key in ENCODING if hasattr(spec or task, key)}
    every = dataclasses.asdict(config)
    # Where the dataset lies does not count: what is in it does, by `SourceBase.fingerprint_inputs`.
    reads = find("data.sources", config.source.name).Source.reads
    every["source"]["options"] = {k: v for k, v in every["source"]["options"].items() if k not in reads}
    value = {
        "data": {key: every[key] for key in SHAPING},
        "modalities": {name: _kind(modality) for name, modality in sorted(modalities.items())},
        "task": {"kind": room(task), **options},
        # What is derived from the modalities, such as the size of a mask.
        "targets": None if spec is None else {target.name: str(target) for target in spec.targets},
    }
    result: dict[str, Any] = json.loads(json.dumps(value, default=str))
    return result


def _early(task: Any, modalities: Mapping[str, ModalitySpec]) -> TaskSpec | None:
    """Return the task's spec; None where it needs something that only the data knows, such as labels."""
    if isinstance(task, TaskSpec):
        return task
    try:
        spec: TaskSpec = task.spec(modalities)
    except ConfigError:
        return None
    return spec


def _kind(modality: ModalitySpec) -> Any:
    shaping = {key: getattr(modality, key) for key in modality.shapes_records}
    return {"kind": room(modality), **shaping} if shaping else room(modality)


def fingerprint(inputs: Mapping[str, str], shaped: Mapping[str, Any]) -> str:
    """Return the sha256 of inputs and configuration."""
    value = {"schema_version": SCHEMA_VERSION, "inputs": dict(inputs), "shaped_by": dict(shaped)}
    return hashlib.sha256(json.dumps(value, sort_keys=True, default=str).encode()).hexdigest()
