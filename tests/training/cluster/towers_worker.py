"""Trains towers by losses of the whole batch, and the matching task, on one device and on two, in float64.

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
from mmkeras.tasks.matching.head import build
from mmkeras.tasks.matching.losses import MatchingLoss
from mmkeras.tasks.matching.spec import Config
from mmkeras.training.cluster.connect import ALONE, Cluster, connect
from mmkeras.training.objective import Objective
from mmkeras.training.optimizer import build_optimizer
from tests.training.cluster.equal_worker import Trained, differences, trained
from tests.training.toys import contrastive, towers, two_losses, uniformity

BATCH, STEPS, WIDTH = 12, 10, 6


def losses(*seen: Any) -> dict[str, Any]:
    """Losses of samples that depend on others, losses of single samples, and one of the batch alone."""
    return {**two_losses(*seen), **contrastive(*seen), **uniformity(*seen)}


def matching(given: dict[str, Any]) -> tuple[keras.Model, MatchingLoss]:
    """Return the towers of the matching task with a discrepancy and hard negatives, and its loss."""
    config = Config(size=4, heads=2, mmd=0.5, pairs=1, hard_negatives=2)
    tokens = {}
    for name in ("image", "text"):
        values = keras.layers.Reshape((2, WIDTH // 2))(given[name])
        values = keras.layers.Dense(WIDTH)(values)
        tokens[name] = Tokens(values, keras.ops.ones_like(values[:, :, 0], dtype="int32"), of=(name,))
    return keras.Model(given, build(Encoded(tokens), config.spec(), config)), MatchingLoss(config.spec(), config)


def fit(cluster: Cluster, accumulate: int, task: bool = False) -> Trained:
    """Train, and return all variables and the history; ``task`` trains the matching task in place of the toys."""
    keras.utils.clear_session()
    keras.utils.set_random_seed(1)
    rng = np.random.default_rng(0)
    image = rng.normal(size=(BATCH * STEPS, WIDTH))
    inputs = {"image": image, "text": image[:, ::-1] ** 2}
    weights = rng.uniform(0.5, 1.5, BATCH * STEPS)
    weights[::7] = 0
    targets: dict[str, np.ndarray] = {}
    if task:
        # Some pictures have several captions, and some samples lack one side.
        groups = rng.integers(0, 60, BATCH * STEPS)
        names = ("image_embedding", "text_embedding", "similarity", "match")
        targets = dict.fromkeys(names, np.stack([groups, groups, np.arange(len(groups))], axis=1))
        for name in ("image", "text"):
            inputs[f"{name}_present"] = (rng.random(BATCH * STEPS) > 0.1).astype("float64")
    data = tf.data.Dataset.from_tensor_slices((inputs, targets, weights))
    size = BATCH // cluster.replicas
    with cluster.scope():
        given = {name: keras.Input(value.shape[1:], name=name) for name, value in inputs.items()}
        hook: Any = losses
        if task:
            model, hook = matching(given)
        else:
            tokens = {
                name: Tokens(keras.layers.Reshape((1, WIDTH))(value), None, of=(name,)) for name, value in given.items()
            }
            model = keras.Model(given, towers(Encoded(tokens)))
        settings = TrainConfig(learning_rate=3e-2, clip_norm=0.5, accumulate=accumulate)
        model.compile(build_optimizer(settings, 2 * STEPS), jit_compile=False)
        objective = Objective(model, hook, {}, None)
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
    for accumulate, task in ((1, False), (2, False), (1, True)):
        alone, spread_out = fit(ALONE, accumulate, task), fit(two, accumulate, task)
        history = alone[1]
        found.append({**differences(alone, spread_out), "loss": history["loss"], "names": sorted(history)})
    print(json.dumps(found))


if __name__ == "__main__":
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    main()
