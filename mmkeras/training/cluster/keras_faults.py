"""Fixes two faults of Keras 3 on MultiWorkerMirroredStrategy; both need several workers.

1. ``fit`` reduces its first batch, a value for each replica, outside of the replicas: "Attempt to convert a value
   (PerReplica ...) to a Tensor".
2. ``fit`` reduces each scalar of a step's logs over replicas along axis 0: "Invalid reduction dimension 0".

Keras 3.15 has both. A strategy that only records calls tests for them; a Keras without them is not changed.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from types import SimpleNamespace
from typing import Any

import keras
import numpy as np
import tensorflow as tf

__all__ = ["faults_fixed", "reduces_scalars_by_axis", "reduces_the_first_batch", "replaced_methods"]


class _Recorder(tf.distribute.MultiWorkerMirroredStrategy):
    """A strategy that records the axes of its reductions and does not join a cluster."""

    def __init__(self) -> None:
        self.axes: list[int | None] = []

    @property
    def extended(self) -> Any:
        return SimpleNamespace(_in_multi_worker_mode=lambda: True)

    def scope(self) -> Any:
        return contextlib.nullcontext()

    def reduce(self, reduce_op: Any, value: Any, axis: int | None = None) -> Any:
        self.axes.append(axis)
        return value


def reduces_the_first_batch() -> bool:
    """Return whether Keras has the first fault."""
    from tensorflow.python.distribute.values import PerReplica

    build = getattr(keras.Model, "_maybe_symbolic_build", None)
    if build is None:
        return False
    recorder = _Recorder()
    model = SimpleNamespace(
        _distribute_strategy=recorder, distribute_strategy=recorder, _symbolic_build=lambda **_: None
    )
    build(model, iterator=[(0, 0, iter([PerReplica([tf.zeros((2, 1))])]))])
    return bool(recorder.axes)


def reduces_scalars_by_axis() -> bool:
    """Return whether Keras has the second fault."""
    try:
        from keras.src.backend.tensorflow.trainer import reduce_per_replica
    except ImportError:
        return False
    recorder = _Recorder()
    reduce_per_replica(tf.constant(1.0), recorder, "auto")
    return 0 in recorder.axes


@contextlib.contextmanager
def faults_fixed(model: keras.Model, element: Any) -> Iterator[None]:
    """Fix ``fit`` and ``evaluate`` of a compiled model within the context.

    ``element`` has the specs (`tf.TensorSpec`) of a replica's batch: inputs, targets, weights.
    """
    strategy = model.distribute_strategy
    replaced: dict[str, Any] = {}
    if reduces_the_first_batch():
        batch = tf.nest.map_structure(
            lambda spec: np.zeros([n or 1 for n in spec.shape], spec.dtype.as_numpy_dtype), element
        )
        with strategy.scope():
            model._symbolic_build(data_batch=batch)
        replaced["_maybe_symbolic_build"] = lambda **_: None
    if reduces_scalars_by_axis():
        replaced["train_step"] = _with_an_axis(model.train_step)
        replaced["test_step"] = _with_an_axis(model.test_step)
    with replaced_methods(model, replaced):
        yield


@contextlib.contextmanager
def replaced_methods(model: keras.Model, methods: dict[str, Any]) -> Iterator[None]:
    """Replace methods of one model within the context, and retrace its steps before and after."""
    before = {name: vars(model)[name] for name in methods if name in vars(model)}
    vars(model).update(methods)
    model.train_function = model.test_function = None
    try:
        yield
    finally:
        for name in methods:
            vars(model).pop(name)
        vars(model).update(before)
        model.train_function = model.test_function = None


def _with_an_axis(step: Callable[[Any], Any]) -> Callable[[Any], Any]:
    def with_an_axis(data: Any) -> Any:
        return tf.nest.map_structure(lambda value: tf.reshape(value, (1,)), step(data))

    return with_an_axis
