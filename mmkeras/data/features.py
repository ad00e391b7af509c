"""Parses and decodes serialised records into batches of tensors, in the graph."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import tensorflow as tf

from mmkeras.core.errors import DataError
from mmkeras.data.encode import kind_of, target_key
from mmkeras.data.index import Index
from mmkeras.data.modules import records_of
from mmkeras.modalities import ModalitySpec
from mmkeras.tasks import TargetSpec, TaskSpec

__all__ = [
    "BATCH_BYTES",
    "Batch",
    "check_specs",
    "decode",
    "decode_target",
    "decode_targets",
    "parse",
    "ready",
    "rows_at_once",
    "to_elements",
]

BATCH_BYTES = 32 * 2**20
"""Most bytes of targets that are decoded at once."""
_PNG_SIZE = 16  # offset of width and height in a PNG file: two big-endian numbers of 4 bytes


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
    got = {name: kind_of(spec) for name, spec in specs.items()}
    missing = {name: kind for name, kind in got.items() if index.modalities.get(name) != kind}
    if missing:
        raise DataError(f"{index.folder}: expected the modalities {missing}, got {index.modalities}. Convert again")
    for key in task.shapes_records:
        converted, wanted = _plain(index.task.get(key)), _plain(getattr(task, key))
        if converted != wanted:
            raise DataError(
                f"{index.folder}: the targets were encoded with the {key} {converted}, the task has {wanted}. "
                "Use the value of the index, or convert again"
            )
    targets = {target.name: str(target) for target in task.targets}
    if index.targets != targets:
        raise DataError(
            f"{index.folder}: the records hold the targets {index.targets}, the task {task.kind} has {targets}. "
            "Convert again"
        )


def _plain(value: Any) -> Any:
    """Return an option as JSON holds it: tuples become lists."""
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
        decoded = records_of(kind_of(spec)).decode(spec, tf.gather_nd(batch.raw[name], rows))
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


def rows_at_once(specs: Sequence[TargetSpec], most: int) -> int:
    """Return how many samples to decode at once, at most ``most``, so that large targets do not fill the memory."""
    size = sum(int(np.prod(spec.shape)) * np.dtype(spec.dtype).itemsize for spec in specs)
    return max(1, min(most, BATCH_BYTES // max(1, size)))


def decode_target(spec: TargetSpec, raw: tf.Tensor) -> tf.Tensor:
    """Decode the bytes of a target; equals `TargetSpec.from_bytes`.

    Args:
        spec: of the target.
        raw: string (B,).

    Returns:
        (B, *shape) of the spec's dtype. Bytes of another size raise an InvalidArgumentError.
    """
    kind = tf.as_dtype(spec.dtype)
    if spec.encoding == "raw":
        shape = tf.concat([[tf.size(raw)], tf.constant(spec.shape, tf.int32)], axis=0)
        return tf.ensure_shape(tf.reshape(tf.io.decode_raw(raw, kind), shape), (None, *spec.shape))

    def picture(one: tf.Tensor) -> tf.Tensor:
        sides = tf.io.decode_raw(tf.strings.substr([one], _PNG_SIZE, 8), tf.int32, little_endian=False)
        # Checked before the pixels are decoded: a damaged header could cause an allocation of gigabytes.
        with tf.control_dependencies([tf.debugging.assert_equal(sides[0], [spec.shape[1], spec.shape[0]])]):
            pixels = tf.io.decode_png(one, (*spec.shape, 1)[2], kind)
        return tf.reshape(pixels, spec.shape)

    return tf.map_fn(picture, raw, fn_output_signature=tf.TensorSpec(spec.shape, kind))


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
    """Return the dataset in a fixed order and prefetched; TensorFlow must not shard it again among workers."""
    options = tf.data.Options()
    options.deterministic = True
    options.experimental_distribute.auto_shard_policy = tf.data.experimental.AutoShardPolicy.OFF
    return dataset.with_options(options).prefetch(tf.data.AUTOTUNE)
