"""Trains one model on one device and on two mirrored ones, in float64, where rounding hides nothing.

python -m tests.training.cluster.equal_worker ACCUMULATE   prints the largest differences as JSON
"""

from __future__ import annotations

import json
import os
import sys
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from keras import ops

from mmkeras.core.config import ClusterConfig, TrainConfig
from mmkeras.layers.batch import batch_mean
from mmkeras.training.cluster.connect import ALONE, Cluster, connect
from mmkeras.training.cluster.spread import distributed, spread
from mmkeras.training.optimizer import build_optimizer

BATCH, STEPS = 12, 15
Trained = tuple[list[np.ndarray], dict[str, list[float]]]
"""All variables of a trained model, and the history."""


class CountingLoss(keras.losses.Loss):
    """Cross-entropy over something counted in the batch, as detection losses have it."""

    def call(self, y_true: Any, y_pred: Any) -> Any:
        counted = batch_mean(ops.cast(ops.equal(y_true, 1), y_pred.dtype))
        return keras.losses.sparse_categorical_crossentropy(y_true, y_pred) / ops.maximum(counted, 0.1)


class Noise(keras.layers.Layer):
    """Adds normal numbers, and hides what uniform ones say."""

    def __init__(self) -> None:
        super().__init__()
        self.seed_generator = keras.random.SeedGenerator(7)

    def call(self, x: Any, training: bool | None = None) -> Any:
        if not training:
            return x
        shown = keras.random.uniform(ops.shape(x), seed=self.seed_generator) > 0.2
        return ops.where(shown, x + 0.1 * keras.random.normal(ops.shape(x), seed=self.seed_generator), 0.0)


class Halves(keras.layers.Layer):
    """Adds up the halves of a batch."""

    def call(self, x: Any) -> Any:
        half = ops.shape(x)[0] // 2
        return x[:half] + x[half:]


def build(accumulate: int) -> keras.Model:
    """Return a compiled model with everything that looks at a batch as a whole."""
    keras.utils.set_random_seed(1)
    image = keras.Input((6, 6, 3), name="image")
    words = keras.Input((5,), dtype="int32", name="words")
    x = keras.layers.Conv2D(8, 3, use_bias=False)(image)
    x = keras.layers.BatchNormalization(momentum=0.9)(x)
    x = keras.layers.GlobalAveragePooling2D()(keras.layers.ReLU()(x))
    y = keras.layers.Flatten()(
        keras.layers.Dropout(0.2, noise_shape=(None, 1, 8))(keras.layers.Embedding(11, 8)(words))
    )
    # A table of few rows joins the sum of dense gradients; the rows of a large one are gathered.
    z = keras.layers.Flatten()(keras.layers.Embedding(500, 2)(words))
    x = keras.layers.Dense(16, activation="tanh")(keras.layers.Concatenate()([x, y, z]))
    # A batch that the model holds twice.
    x = ops.concatenate([x, -x], axis=0)
    x = Noise()(keras.layers.Dropout(0.3)(x))
    x = keras.layers.BatchNormalization(momentum=0.9)(keras.layers.Dense(8, use_bias=False)(x))
    x = Halves()(x)
    model = keras.Model(
        {"image": image, "words": words}, {"answer": keras.layers.Dense(3, activation="softmax", name="answer")(x)}
    )
    settings = TrainConfig(learning_rate=3e-3, clip_norm=0.05, ema=0.9, accumulate=accumulate)
    accuracy = keras.metrics.SparseCategoricalAccuracy(name="accuracy")
    model.compile(
        build_optimizer(settings, STEPS),
        loss={"answer": CountingLoss()},
        weighted_metrics={"answer": [accuracy]},
        jit_compile=False,
    )
    return model


def fit(cluster: Cluster, accumulate: int) -> Trained:
    """Train, and return all variables and the history."""
    keras.utils.clear_session()
    rng = np.random.default_rng(0)
    samples = BATCH * STEPS
    image = rng.normal(size=(samples, 6, 6, 3)) + 3
    words, answer = rng.integers(0, 11, (samples, 5)).astype("int32"), rng.integers(0, 3, samples).astype("int32")
    weight = rng.uniform(0.5, 1.5, samples)
    size = BATCH // cluster.replicas
    data = tf.data.Dataset.from_tensor_slices(({"image": image, "words": words}, {"answer": answer}, weight))
    data = data.batch(size, drop_remainder=True).repeat()
    # 20 samples in parts of 5 and 5, or of 10.
    check = tf.data.Dataset.from_tensor_slices(({"image": image, "words": words}, {"answer": answer}, weight))
    check = check.take(20).batch(10 // cluster.replicas)
    with cluster.scope():
        model = build(accumulate)
    return trained(model, cluster, size, data, check, STEPS)


def trained(
    model: keras.Model, cluster: Cluster, size: int, data: tf.data.Dataset, check: tf.data.Dataset, steps: int
) -> Trained:
    """Train for two epochs, ``size`` samples for each replica in a step, and return all variables and the history."""
    with spread(model, cluster, size, data.element_spec, None):
        history = model.fit(
            distributed(cluster, data),
            validation_data=distributed(cluster, check),
            steps_per_epoch=steps,
            epochs=2,
            shuffle=False,
            verbose=0,
        ).history
    variables = model.variables + model.optimizer.variables
    return [np.asarray(v.numpy(), "float64") for v in variables if "seed" not in v.path], history


def differences(one: Trained, two: Trained) -> dict[str, float]:
    """Return the largest difference of variables, relative to the largest number of each, and of logged numbers."""
    (first, history), (second, other) = one, two
    weights = max(float(np.abs(a - b).max() / max(np.abs(a).max(), 1e-30)) for a, b in zip(first, second, strict=True))
    logs = max(abs(a - b) for name in history for a, b in zip(history[name], other[name], strict=True))
    return {"weights": weights, "logs": logs}


def main() -> None:
    """Compare."""
    accumulate = int(sys.argv[1])
    two = connect(ClusterConfig(devices=2), {})
    assert two.replicas == 2
    keras.config.set_floatx("float64")
    keras.config.set_dtype_policy("float64")
    alone, spread_out = fit(ALONE, accumulate), fit(two, accumulate)
    print(json.dumps({**differences(alone, spread_out), "loss": alone[1]["loss"]}))


if __name__ == "__main__":
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    main()
