"""A worker that trains with Keras alone, on a plain dataset that TensorFlow shares out, and the cure of Keras' faults.

python -m tests.training.cluster.plain_worker OUT...   with TF_CONFIG set; each worker writes into a file of its own
"""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

import keras
import numpy as np
import tensorflow as tf

from mmkeras.core.config import ClusterConfig
from mmkeras.training.cluster.connect import connect
from mmkeras.training.cluster.keras_faults import faults_fixed

SAMPLES, BATCH = 22, 8


def datasets() -> tuple[tf.data.Dataset, tf.data.Dataset]:
    """Return batches of 8, 8 and 6 samples for training, and an odd number of samples for validation."""
    rng = np.random.default_rng(0)
    x = rng.normal(size=(SAMPLES, 3)).astype("float32")
    y = (x @ np.array([[1.0], [2.0], [3.0]], "float32")).astype("float32")
    options = tf.data.Options()
    options.experimental_distribute.auto_shard_policy = tf.data.experimental.AutoShardPolicy.DATA
    whole = tf.data.Dataset.from_tensor_slices((x, y)).batch(BATCH).with_options(options)
    return whole, tf.data.Dataset.from_tensor_slices((x[:10], y[:10])).batch(4).with_options(options)


def model() -> keras.Model:
    """Return a compiled model of one layer; plain SGD, so that every gradient shows."""
    keras.utils.set_random_seed(0)
    inputs = keras.Input((3,))
    built = keras.Model(inputs, keras.layers.Dense(1)(inputs))
    built.compile(keras.optimizers.SGD(0.05), "mse", metrics=["mae"], jit_compile=False)
    return built


def main() -> None:
    """Fail as Keras does, then train."""
    cluster = connect(ClusterConfig())
    with cluster.scope():
        trained = model()
    train, validation = datasets()
    try:
        trained.fit(train, epochs=1, verbose=0)
        fault = ""
    except ValueError as error:
        fault = str(error)
    with faults_fixed(trained, train.element_spec):
        history = trained.fit(train, validation_data=validation, epochs=3, verbose=0).history
        evaluated = trained.evaluate(validation, verbose=0, return_dict=True)
    weights = [weight.tolist() for weight in trained.get_weights()]
    result = {"fault": fault, "history": history, "evaluated": evaluated, "weights": weights}
    Path(sys.argv[1 + cluster.rank]).write_text(json.dumps(result), encoding="utf-8")
    cluster.barrier("done")


if __name__ == "__main__":
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    main()
