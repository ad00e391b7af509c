"""From serialised records to tensors, a batch at a time, in the graph."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import tensorflow as tf

from mmkeras.core.components import find
from mmkeras.core.errors import DataError
from mmkeras.data.encode import room, target_key
from mmkeras.data.fingerprint import ENCODING
from mmkeras.data.index import Index
from mmkeras.data.targets import decode_target
from mmkeras.modalities import ModalitySpec
from mmkeras.tasks import TaskSpec

__all__ = ["Batch", "check_specs", "decode", "decode_targets", "parse", "ready", "to_elements"]


@dataclass(frozen=True)
class Batch:
    """B parsed records."""

    raw: dict[str, tf.Tensor]
    """string (B,) by modality; empty where it is missing."""
    present: dict[str, tf.Tensor]
    """bool (B,) by modality."""
    targets: dict[str, tf.Tensor]
    """string (B,) by target: its encoded bytes."""
    weight: tf.Tensor
    """float32 (B,)."""


def check_specs(index: Index, specs: Mapping[str, ModalitySpec], task: TaskSpec) -> None:
    """Check that the data fits a model.

    Raises:
        DataError: a modality is missing, or the targets have another encoding, other labels, or another camera.
    """
    got = {name: room(spec) for name, spec in specs.items()}
    missing = {name: kind for name, kind in got.items() if index.modalities.get(name) != kind}
    if missing:
        raise DataError(f"{index.folder}: expected the modalities {missing}, got {index.modalities}. Convert again")
    for key in ENCODING:
        converted, wanted = _plain(index.task.get(key)), _plain(getattr(task, key, None))
        if converted != wanted:
            raise DataError(
                f"{index.folder}: the targets were encoded with the {key} {converted}, the task has {wanted}. "
                "Take what the index says, or convert again"
            )
    targets = {target.name: str(target) for target in task.targets}
    if index.targets != targets:
        raise DataError(
            f"{index.folder}: the records hold the targets {index.targets}, the task {task.kind} has {targets}. "
            "Convert again"
        )


def _plain(value: Any) -> Any:
    """Return an option as JSON has it: a tuple and a list are the same."""
    return [_plain(each) for each in value] if isinstance(value, list | tuple) else value


def parse(specs: Mapping[str, ModalitySpec], task: TaskSpec, serialised: tf.Tensor) -> Batch:
    """Parse serialised records, string (B,)."""
    features: dict[str, Any] = {"weight": tf.io.FixedLenFeature((), tf.float32)}
    for target in task.targets:
        features[target_key(target.name)] = tf.io.FixedLenFeature((), tf.string)
    for name in specs:
        features[name] = tf.io.FixedLenFeature((), tf.string)
        features[f"{name}_present"] = tf.io.FixedLenFeature((), tf.int64)
    parsed = tf.io.parse_example(serialised, features)
    return Batch(
        raw={name: parsed[name] for name in specs},
        present={name: parsed[f"{name}_present"] > 0 for name in specs},
        targets={target.name: parsed[target_key(target.name)] for target in task.targets},
        weight=parsed["weight"],
    )


def decode(specs: Mapping[str, ModalitySpec], batch: Batch) -> dict[str, tf.Tensor]:
    """Decode every modality; a missing one becomes zeros with presence 0."""
    inputs: dict[str, tf.Tensor] = {}
    for name, spec in specs.items():
        rows = tf.where(batch.present[name])
        decoded = find("modalities", room(spec), "records").decode(spec, tf.gather_nd(batch.raw[name], rows))
        count = tf.size(batch.weight, tf.int64)
        for tensor in spec.tensors:
            shape = tf.concat([[count], tf.constant(tensor.shape, tf.int64)], axis=0)
            values = tf.scatter_nd(rows, decoded[tensor.name], shape)
            inputs[tensor.name] = tf.ensure_shape(values, (None, *tensor.shape))
        inputs[spec.present.name] = tf.cast(batch.present[name], tf.float32)
    return inputs


def decode_targets(task: TaskSpec, batch: Batch) -> dict[str, tf.Tensor]:
    """Decode every target, (B, ...) by name in its own dtype."""
    return {target.name: decode_target(target, batch.targets[target.name]) for target in task.targets}


def to_elements(
    inputs: dict[str, tf.Tensor],
    task: TaskSpec,
    targets: Mapping[str, tf.Tensor],
    weight: tf.Tensor,
    batch_size: int | None,
) -> tuple[dict[str, tf.Tensor], dict[str, tf.Tensor], tf.Tensor]:
    """Return what ``fit`` takes: inputs, targets by output name, weights, all with a static batch size."""

    def sized(value: tf.Tensor) -> tf.Tensor:
        return tf.ensure_shape(value, (batch_size, *value.shape[1:]))

    names = {output.name: task.target_of(output.name) for output in task.outputs}
    by_output = {output: sized(targets[name]) for output, name in names.items() if name is not None}
    return {name: sized(value) for name, value in inputs.items()}, by_output, sized(weight)


def ready(dataset: tf.data.Dataset) -> tf.data.Dataset:
    """Return a dataset in a fixed order, prefetched, that TensorFlow does not share out among workers once more."""
    options = tf.data.Options()
    options.deterministic = True
    options.experimental_distribute.auto_shard_policy = tf.data.experimental.AutoShardPolicy.OFF
    return dataset.with_options(options).prefetch(tf.data.AUTOTUNE)
