"""Operations on a batch of model inputs and targets, eagerly and in tf.data."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import tensorflow as tf

from mmkeras.data.encode import kind_of
from mmkeras.data.modules import records_of, target_records_of
from mmkeras.data.seeds import derive
from mmkeras.layers.draws import uniform
from mmkeras.modalities import ModalitySpec
from mmkeras.modalities.image.moving import move_picture
from mmkeras.tasks import TaskSpec
from mmkeras.tasks._moves import leader

__all__ = ["augment", "drop_modalities", "zero_missing"]


def augment(
    inputs: dict[str, tf.Tensor],
    targets: dict[str, tf.Tensor],
    specs: Mapping[str, ModalitySpec],
    configs: Mapping[str, Any],
    task: TaskSpec,
    seed: tf.Tensor,
) -> tuple[dict[str, tf.Tensor], dict[str, tf.Tensor]]:
    """Move whole samples of a batch, then augment every modality in its own way.

    Args:
        inputs: tensors (B, ...) by name.
        targets: (B, ...) by name.
        specs: the modalities.
        configs: their configurations, which name the augmentation; `check_moves` has checked them.
        task: determines how the targets move.
        seed: int32 (2,).

    Returns:
        Inputs and targets.
    """
    seeds = {name: derive(seed[0], seed[1], number) for number, name in enumerate(specs)}
    records = {name: records_of(kind_of(spec)) for name, spec in specs.items()}
    first, _ = leader(specs, configs)
    if first:
        count = tf.shape(inputs[specs[first].tensors[0].name])[0]
        move = records[first].draw_move(configs[first], count, seeds[first])
        for name, spec in specs.items():
            inputs = records[name].move(spec, inputs, move)
        pictures = {spec.name for spec in task.targets if spec.encoding == "png"}
        targets = {name: move_picture(value, move) if name in pictures else value for name, value in targets.items()}
        targets = target_records_of(task.kind).move(task, targets, move)
    for name, spec in specs.items():
        inputs = records[name].augment(configs[name], spec, inputs, seeds[name])
    return inputs, targets


def drop_modalities(
    inputs: dict[str, tf.Tensor], specs: Mapping[str, ModalitySpec], rate: float | tf.Tensor, seed: tf.Tensor
) -> dict[str, tf.Tensor]:
    """Drop modalities at random: their presence becomes 0.

    Their tensors stay, and the model replaces them by the null token: zeros in a tenth of every batch would shift the
    statistics of batch normalisation.

    A sample keeps at least one of its modalities, chosen at random where the draw would drop all. The tensors of
    modalities that are missing in the data are set to zeros.

    Args:
        inputs: tensors and presences (B, ...) by name.
        specs: the modalities.
        rate: probability that a modality is dropped, 0 to 1.
        seed: int32 (2,).
    """
    inputs = zero_missing(inputs, specs)
    if len(specs) < 2:
        return inputs
    present = tf.stack([inputs[spec.present.name] > 0 for spec in specs.values()], axis=1)
    draws = tf.where(present, uniform(tf.shape(present), seed), -1.0)
    last = tf.one_hot(tf.argmax(draws, axis=1), len(specs), on_value=True, off_value=False)
    kept = present & ((draws >= rate) | last)
    presences = {spec.present.name: tf.cast(kept[:, number], tf.float32) for number, spec in enumerate(specs.values())}
    return {**inputs, **presences}


def zero_missing(inputs: dict[str, tf.Tensor], specs: Mapping[str, ModalitySpec]) -> dict[str, tf.Tensor]:
    """Set the tensors of missing modalities to zero: augmentation changes zeros too.

    A frozen branch (`mmkeras.data.frozen`) leaves out tensors of its modality; it has no augmentation.
    """
    result = dict(inputs)
    for spec in specs.values():
        present = inputs[spec.present.name] > 0
        for tensor in spec.tensors:
            if tensor.name not in inputs:
                continue
            value = inputs[tensor.name]
            mask = tf.cast(tf.reshape(present, (-1, *(1 for _ in tensor.shape))), value.dtype)
            # tf.where with a broadcast mask takes 25 times as long.
            result[tensor.name] = tf.math.multiply_no_nan(value, mask) if value.dtype.is_floating else value * mask
    return result
