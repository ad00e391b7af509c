"""Two outputs of one head, trained by one hook with a part for each and one of the batch as a whole."""

from __future__ import annotations

from typing import Any

import keras
from keras import ops

from mmkeras.layers.batch import LossHook
from mmkeras.layers.encoded import pooled
from mmkeras.layers.tokens import Encoded
from tests.toys.tasks.two_targets.spec import Config, Spec


def build(encoded: Encoded, spec: Spec, config: Config) -> dict[str, Any]:
    x = pooled(encoded, spec.kind)
    return {
        "what": keras.layers.Dense(len(spec.kinds), "softmax", dtype="float32", name="head_what")(x),
        "where": keras.layers.Dense(2, dtype="float32", name="head_where")(x),
    }


def losses(spec: Spec, config: Config, class_counts: Any = None) -> LossHook:
    def hook(outputs: Any, targets: Any, inputs: Any, context: Any) -> dict[str, Any]:
        mean = ops.mean(context.gather(outputs["what"]), axis=0)
        return {
            "what": keras.losses.sparse_categorical_crossentropy(targets["what"], outputs["what"]),
            "where": keras.losses.mean_squared_error(targets["where"], outputs["where"]),
            "balance": ops.sum(mean * ops.log(mean + 1e-6)),
        }

    return hook
