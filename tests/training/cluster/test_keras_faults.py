from __future__ import annotations

import json
import sys
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf

from mmkeras.training.cluster.keras_faults import faults_fixed, reduces_scalars_by_axis, reduces_the_first_batch
from tests.cluster.trained import start_workers
from tests.training.cluster import plain_worker


@pytest.fixture
def mended(monkeypatch):
    """A later Keras, in which both faults are gone."""
    trainer: Any = sys.modules["keras.src.backend.tensorflow.trainer"]

    def reduce_per_replica(values, strategy, reduction):
        return strategy.reduce("MEAN", values, axis=None)

    def build(self, iterator=None, data_batch=None):
        for _, _, batches in iterator:
            self._symbolic_build(data_batch=tf.distribute.get_strategy().experimental_local_results(next(batches))[0])
            break

    monkeypatch.setattr(trainer, "reduce_per_replica", reduce_per_replica)
    monkeypatch.setattr(trainer.TensorFlowTrainer, "_maybe_symbolic_build", build)


def test_this_keras_has_both_faults():
    """When this fails after an upgrade, Keras is mended: the cure steps aside by itself and can be taken out."""
    assert reduces_the_first_batch()
    assert reduces_scalars_by_axis()


def test_a_mended_keras_is_left_alone(mended):
    assert not reduces_the_first_batch()
    assert not reduces_scalars_by_axis()
    model = plain_worker.model()
    before = dict(vars(model))
    with faults_fixed(model, plain_worker.datasets()[0].element_spec):
        assert {name: value for name, value in vars(model).items() if before.get(name) is not value} == {}


def test_the_model_is_as_before_after_the_cure():
    model = plain_worker.model()
    before = set(vars(model))
    with faults_fixed(model, plain_worker.datasets()[0].element_spec):
        assert "train_step" in vars(model)
    assert set(vars(model)) == before
    model.fit(plain_worker.datasets()[0], shuffle=False, verbose=0)


def test_plain_datasets_train_on_two_workers_as_on_one(tmp_path):
    """With an uneven last batch (3 samples a worker) and validation whose workers have 5 samples in uneven batches."""
    outs = [tmp_path / f"{rank}.json" for rank in range(2)]
    logs = [tmp_path / f"{rank}.log" for rank in range(2)]
    # One command for all: each writes into the place that its number names.
    workers = start_workers(["tests.training.cluster.plain_worker", *map(str, outs)], logs)
    statuses = [worker.wait(timeout=300) for worker in workers]
    assert statuses == [0, 0], "".join(log.read_text() for log in logs)
    first, second = (json.loads(out.read_text()) for out in outs)
    assert "PerReplica" in first.pop("fault")
    assert "PerReplica" in second.pop("fault")
    assert first == second

    model = plain_worker.model()
    train, validation = plain_worker.datasets()
    history = model.fit(train, validation_data=validation, epochs=3, shuffle=False, verbose=0).history
    for ours, theirs in zip(first["weights"], model.get_weights(), strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-6)
    assert first["history"].keys() == history.keys()
    for name in ("val_loss", "val_mae"):
        np.testing.assert_allclose(first["history"][name], history[name], rtol=1e-6)
    assert first["evaluated"]["mae"] == pytest.approx(keras.ops.convert_to_numpy(history["val_mae"][-1]), rel=1e-6)
