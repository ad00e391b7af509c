"""The extra outputs of a modality that answers by itself: in training, and nowhere else."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf

from mmkeras.core.components import Choice, find
from mmkeras.fusion.spatial_attention import extra_outputs
from mmkeras.model import build_model, task_config
from mmkeras.training.objective import Objective
from tests.tasks.detection.maps import random_boxes
from tests.tiny import tiny_drive_config, tiny_drive_inputs, tiny_inputs, tiny_model_config

ALONE = {"alone": True}


def _targets(config: Any) -> dict[str, np.ndarray]:
    spec = task_config(config).spec()
    rng = np.random.default_rng(5)
    target = np.stack([spec.encode({"boxes": random_boxes(rng, 4)}) for _ in range(3)])
    return {output.name: target for output in spec.outputs}


def _trained(dropout: float) -> tuple[keras.Model, Any]:
    keras.utils.clear_session()
    keras.utils.set_random_seed(3)
    config = tiny_drive_config(fusion={**ALONE, "dropout": dropout})
    model, task = build_model(config), task_config(config)
    losses = find("tasks", "detection", "head").losses(task.spec(), task)
    model.compile(keras.optimizers.SGD(0.01), loss=losses, jit_compile=False)
    Objective(model, losses, {}, extra_outputs(model))
    return model, config


@pytest.mark.parametrize(
    ("dropout", "expected"),
    [(0.0, [16.945833, 14.678150, 8.283001]), (0.1, [18.151207, 14.539460, 8.219701])],
)
def test_losses_are_those_of_the_batch_that_held_every_sample_again(dropout: float, expected: list[float]):
    """Numbers of the code in which one output held both answers; random numbers are drawn in the same order."""
    model, config = _trained(dropout)
    batch = (tiny_drive_inputs(config), _targets(config), np.array([1.0, 0.5, 2.0], "float32"))
    losses = [float(model.train_on_batch(*batch, return_dict=True)["loss"]) for _ in range(2)]
    assert losses == pytest.approx(expected[:2], rel=1e-5)
    for _ in range(2):
        model.train_on_batch(*batch)
    assert float(model.test_on_batch(*batch, return_dict=True)["loss"]) == pytest.approx(expected[2], rel=1e-3)


def test_a_saved_model_has_them_too(tmp_path: Path):
    model, config = _trained(0.0)
    model.save(tmp_path / "best.keras")
    again = keras.models.load_model(tmp_path / "best.keras", compile=False)
    inputs = tiny_drive_inputs(config)
    assert set(again(inputs, training=True)) == set(again.output), "the saved model is the plain one"
    both = extra_outputs(again)
    assert both is not None
    assert set(both(inputs)) == set(again.output) | {f"{name}_alone" for name in again.output}


def test_they_cost_nothing_outside_training():
    config = tiny_drive_config(fusion=ALONE)
    operations = []
    for each in (config, tiny_drive_config()):
        keras.utils.clear_session()
        model = build_model(each)
        extra_outputs(model)
        signature = {name: tf.TensorSpec((1, *x.shape[1:]), x.dtype) for name, x in model.input.items()}
        function = tf.function(lambda inputs, model=model: model(inputs, training=False))
        graph = function.get_concrete_function(signature).graph
        operations.append(Counter(operation.type for operation in graph.get_operations()))
    assert operations[0] == operations[1]


def test_without_another_modality_there_are_none():
    assert extra_outputs(build_model(tiny_drive_config(fusion=ALONE, without=("radar",)))) is None


def test_a_task_of_one_vector_is_answered_alone_as_well(tmp_path: Path):
    config = tiny_model_config(tmp_path, fusion="spatial_attention")
    model = build_model(type(config)(text=config.text, fusion=Choice("spatial_attention", {"heads": 2, **ALONE})))
    both = extra_outputs(model)
    assert both is not None
    found = {name: keras.ops.convert_to_numpy(value) for name, value in both(tiny_inputs()).items()}
    assert set(found) == {"probabilities", "probabilities_alone"}
    assert not np.allclose(found["probabilities"], found["probabilities_alone"])
