"""Trains batch normalization with TensorFlow's fused kernel, which is faster than Keras' separate operations.

Keras 3 on TensorFlow computes batch normalization from ``tf.nn.moments`` and elementwise operations, each of which
reads the whole feature map. ``FusedBatchNormV3`` and its gradient read it a few times in total.

Within `fused_batch_norm`, the ``call`` of each `keras.layers.BatchNormalization` of one model is replaced on the layer
object. The layers keep their class, so that saved models, checkpoints and exports are those of Keras. A subclass would
put its name into every saved model, or would have to pretend to be another class when it is saved.
"""

from __future__ import annotations

import contextlib
import functools
import math
from collections.abc import Callable, Iterator
from typing import Any

import keras
import tensorflow as tf

from mmkeras.training.replaced import replaced

__all__ = ["MOST_VALUES", "fused_batch_norm"]

MOST_VALUES = 2**20
"""Values of a channel in a batch (B * H * W) up to which the fused kernel is used.

On a CPU it adds them one after another in float32, so the error of the variance grows with their number. A test holds
it below a thousandth up to here.
"""


@contextlib.contextmanager
def fused_batch_norm(model: keras.Model) -> Iterator[None]:
    """Train a model within the context with the fused kernel, wherever that computes the same as Keras.

    A layer uses it when it normalizes a float32 map (B, H, W, C) over its last axis with the statistics of the batch,
    has ``scale`` and ``center``, and the static shape has at most `MOST_VALUES` values in a channel. Outputs and
    gradients differ from Keras' by rounding; the moving variance is Keras', the biased one, not that of the kernel.

    In all other cases the layer computes as Keras does: inference, frozen layers, quantization-aware training (both use
    the moving statistics), masks, renormalization, ``synchronized``, other ranks and axes, float64 and mixed precision,
    a batch of unknown size, and several replicas, whose moments `mmkeras.training.cluster.global_batch` computes. So
    what holds on a cluster in float64 is not affected.

    The choice is made when TensorFlow traces the training step. The kernel gives the same bits in every step on the
    same number of threads; like convolutions, it may round differently on another number.
    """
    with contextlib.ExitStack() as stack:
        for layer in model._flatten_layers():
            if isinstance(layer, keras.layers.BatchNormalization):
                stack.enter_context(replaced(layer, "call", functools.partial(_call, layer, layer.call)))
        yield


def _call(
    layer: keras.layers.BatchNormalization,
    by_keras: Callable[..., Any],
    inputs: Any,
    training: bool | None = None,
    mask: Any = None,
) -> Any:
    if not (training and mask is None and _fits(layer, inputs)):
        return by_keras(inputs, training=training, mask=mask)
    none = tf.zeros((0,), tf.float32)
    outputs, mean, unbiased, *_ = tf.raw_ops.FusedBatchNormV3(
        x=inputs,
        scale=tf.convert_to_tensor(layer.gamma),
        offset=tf.convert_to_tensor(layer.beta),
        mean=none,
        variance=none,
        epsilon=layer.epsilon,
        exponential_avg_factor=1.0,
        data_format="NHWC",
        is_training=True,
    )
    variance = _biased(unbiased, math.prod(inputs.shape[:-1]))
    for moving, found in ((layer.moving_mean, mean), (layer.moving_variance, variance)):
        moving.assign(moving * layer.momentum + found * (1.0 - layer.momentum))
    return outputs


def _biased(variance: tf.Tensor, count: int) -> tf.Tensor:
    """Return Keras' variance of ``count`` values, a mean of squares, from the kernel's, which divides by count - 1."""
    return variance * ((count - 1) / count)


def _fits(layer: keras.layers.BatchNormalization, inputs: Any) -> bool:
    """Return whether the fused kernel computes what the layer computes in training on these inputs."""
    if not layer.trainable or layer.renorm or layer.synchronized or not (layer.scale and layer.center):
        return False
    if {layer.compute_dtype, layer.variable_dtype, keras.backend.standardize_dtype(inputs.dtype)} != {"float32"}:
        return False
    shape = inputs.shape
    if len(shape) != 4 or layer.axis not in (-1, 3) or None in tuple(shape):
        return False
    # The kernel knows no variance of an empty batch, in which Keras finds NaN.
    return 0 < math.prod(shape[:-1]) <= MOST_VALUES and _replicas() == 1


def _replicas() -> int:
    context = tf.distribute.get_replica_context()  # None outside of replicas
    return 1 if context is None else int(context.num_replicas_in_sync)
