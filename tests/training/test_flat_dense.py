from __future__ import annotations

import contextlib
from contextlib import AbstractContextManager
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import layers

from mmkeras.training.flat_dense import flat_dense
from tests.training.graphs import traced_operations


def _attention() -> keras.Model:
    keras.utils.set_random_seed(0)
    query, memory = keras.Input((5, 8)), keras.Input((7, 6))
    attend = layers.MultiHeadAttention(num_heads=2, key_dim=4, bias_initializer="random_normal")
    return keras.Model([query, memory], attend(query, memory))


def _step(model: keras.Model, context: AbstractContextManager[Any], training: bool = True) -> tuple[Any, list[Any]]:
    """Return the traced step, and its output and gradients."""
    rng = np.random.default_rng(0)
    inputs = [tf.constant(rng.normal(size=(3, *each.shape[1:])).astype("float32")) for each in model.inputs]

    @tf.function(autograph=False, jit_compile=False)
    def step(*inputs: Any) -> Any:
        with tf.GradientTape() as tape:
            tape.watch(inputs)
            outputs = model(list(inputs), training=training)
            loss = tf.reduce_sum(outputs**2)
        return outputs, *tape.gradient(loss, [*inputs, *(weight.value for weight in model.trainable_weights)])

    with context:
        return step.get_concrete_function(*inputs), [part.numpy() for part in step(*inputs)]


def test_outputs_and_gradients_are_those_of_keras():
    model = _attention()
    flat, ours = _step(model, flat_dense(model))
    by_keras, theirs = _step(model, contextlib.nullcontext())
    for mine, other in zip(ours, theirs, strict=True):
        np.testing.assert_allclose(mine, other, rtol=1e-5, atol=1e-5)
    # Four projections, each with two gradients.
    batched, plain = ([traced_operations(each)[op] for each in (by_keras, flat)] for op in ("BatchMatMulV2", "MatMul"))
    assert (batched, plain) == ([12, 0], [0, 12])


def test_inference_keeps_the_operations_of_keras():
    model = _attention()
    within, _ = _step(model, flat_dense(model), training=False)
    without, _ = _step(model, contextlib.nullcontext(), training=False)
    assert traced_operations(within) == traced_operations(without)
    assert all("call" not in vars(layer) for layer in model._flatten_layers())


@pytest.mark.parametrize("equation", ["abc,cb->abc", "abc,acd->abd", "abc,dc->abd", "abc,bd->acd"])
def test_other_sums_are_left_to_keras(equation: str):
    inputs = keras.Input((4, 4), batch_size=4)
    shape = {"abc": (4, 4), "abd": (4, 4), "acd": (4, 4)}[equation.split("->")[1]]
    dense = layers.EinsumDense(equation, shape)
    model = keras.Model(inputs, dense(inputs))
    with flat_dense(model):
        within = dense(tf.ones((4, 4, 4)), training=True)
    np.testing.assert_array_equal(within, dense(tf.ones((4, 4, 4)), training=True))
