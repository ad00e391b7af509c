from __future__ import annotations

from dataclasses import replace

import keras
import numpy as np
import tensorflow as tf
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from mmkeras.core.config import RunConfig, TrainConfig
from mmkeras.training.input_clock import InputClock
from mmkeras.training.optimizer import build_optimizer
from mmkeras.training.tensorboard import Monitor, hyper_parameters


def _train(folder, **options):
    config = RunConfig(train=TrainConfig(batch_size=4, **options))
    model = keras.Sequential([keras.Input((3,)), keras.layers.Dense(1)])
    model.compile(build_optimizer(config.train, 100), "mse", jit_compile=False)
    picture = np.full((8, 8, 3), 200, "uint8")
    monitor = Monitor(folder, config, InputClock(), draw=lambda model: {"picture": picture}, every=10)
    x, y = np.ones((100, 3), "float32"), np.ones((100, 1), "float32")
    model.fit(x, y, batch_size=4, epochs=1, validation_data=(x, y), callbacks=[monitor], verbose=0)
    return {name: EventAccumulator(str(folder / name), {"tensors": 0}).Reload() for name in ("train", "validation")}


def test_scalars_come_every_few_steps_and_at_the_end_of_an_epoch(tmp_path):
    events = _train(tmp_path)
    assert [event.step for event in events["train"].Tensors("step/loss")] == [10, 20, 25]
    rates = [float(tf.make_ndarray(event.tensor_proto)) for event in events["train"].Tensors("step/learning_rate")]
    assert all(rate > 0 for rate in rates)
    assert "epoch/loss" in events["validation"].Tags()["tensors"]
    assert "picture" in events["validation"].Tags()["tensors"]


def test_a_profiler_trace_is_written_when_asked_for(tmp_path):
    _train(tmp_path, profile=True)
    assert list(tmp_path.glob("train/plugins/profile/*/*.xplane.pb"))


def test_hyper_parameters_are_flat_and_complete():
    flat = hyper_parameters(replace(RunConfig(), train=TrainConfig(ema=0.9)))
    assert flat["train.ema"] == 0.9
    assert flat["model.fusion.name"] == "cross_attention"
    assert "train.early_stopping" not in flat
