"""Trains two towers by losses of the whole batch on one device and on two mirrored ones, in float64.

python -m tests.training.cluster.towers_worker   prints the largest differences as JSON
"""

from __future__ import annotations

import json
import os
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from mmkeras.core.config import ClusterConfig, TrainConfig
from mmkeras.layers.tokens import Encoded, Tokens
from mmkeras.training.cluster.connect import ALONE, Cluster, connect
from mmkeras.training.objective import Objective
from mmkeras.training.optimizer import build_optimizer
from tests.training.cluster.equal_worker import Trained, differences, trained
from tests.training.toys import contrastive, towers, two_losses, uniformity

BATCH, STEPS, WIDTH = 12, 10, 6


def losses(*seen: Any) -> dict[str, Any]:
    """Losses of samples that depend on others, losses of single samples, and one of the batch alone."""
    return {**two_losses(*seen), **contrastive(*seen), **uniformity(*seen)}


def fit(cluster: Cluster, accumulate: int) -> Trained:
    """Train, and return all variables and the history."""
    keras.utils.clear_session()
    keras.utils.set_random_seed(1)
    rng = np.random.default_rng(0)
    image = rng.normal(size=(BATCH * STEPS, WIDTH))
    inputs = {"image": image, "text": image[:, ::-1] ** 2}
    weights = rng.uniform(0.5, 1.5, BATCH * STEPS)
    weights[::7] = 0
    data = tf.data.Dataset.from_tensor_slices((inputs, {}, weights))
    size = BATCH // cluster.replicas
    with cluster.scope():
        given = {name: keras.Input((WIDTH,), name=name) for name in inputs}
        tokens = {
            name: Tokens(keras.layers.Reshape((1, WIDTH))(value), None, of=(name,)) for name, value in given.items()
        }
        model = keras.Model(given, towers(Encoded(tokens)))
        settings = TrainConfig(learning_rate=3e-2, clip_norm=0.5, accumulate=accumulate)
        model.compile(build_optimizer(settings, 2 * STEPS), jit_compile=False)
        objective = Objective(model, losses, {}, None)
        batches = data.batch(size, drop_remainder=True).repeat()
        objective.prepare(batches.element_spec)
    return trained(model, cluster, size, batches, data.take(24).batch(size), STEPS)


def main() -> None:
    """Compare."""
    two = connect(ClusterConfig(devices=2), {})
    assert two.replicas == 2
    keras.config.set_floatx("float64")
    keras.config.set_dtype_policy("float64")
    found = []
    for accumulate in (1, 2):
        alone, spread_out = fit(ALONE, accumulate), fit(two, accumulate)
        history = alone[1]
        found.append({**differences(alone, spread_out), "loss": history["loss"], "names": sorted(history)})
    print(json.dumps(found))


if __name__ == "__main__":
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    main()
