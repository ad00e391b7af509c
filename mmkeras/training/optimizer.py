"""AdamW with warm-up and cosine decay, learning-rate factors by branch, and a record of the gradient norm.

On several replicas it first sums the gradients: Keras 3 clips the gradients of each replica by their own norm before
the sum. All replicas then take the same step, each on its own copy of the weights.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import keras
import tensorflow as tf
from keras import ops

from mmkeras.core.config import TrainConfig
from mmkeras.core.errors import TrainingError

__all__ = ["BranchAdamW", "build_optimizer", "inner_optimizer", "variable_factors"]

# Norms, biases and embeddings: decay would pull them to meaningless values. BERT and ViT do not decay them either.
_UNDECAYED = ["bias", "gamma", "beta", "embedding", "token"]


@keras.saving.register_keras_serializable("mmkeras")
class BranchAdamW(keras.optimizers.AdamW):
    """AdamW that scales learning rate and weight decay by variable, and keeps the last global gradient norm.

    It does not scale gradients, because Adam is invariant to their scale. With accumulated gradients, the moving
    average changes with each update of the weights; in Keras it changes in every step.

    Args:
        factors: learning-rate factor of every trainable variable, in their order; empty means 1 for all.
        **options: options of `keras.optimizers.AdamW`.
    """

    def __init__(self, *args: Any, factors: Sequence[float] = (), **options: Any) -> None:
        super().__init__(*args, **options)
        self.factors = list(factors)

    def build(self, variables: list[Any]) -> None:
        """Create the moments and the variable of the gradient norm before clipping."""
        if self.factors and len(self.factors) != len(variables):
            raise TrainingError(
                f"Expected a learning-rate factor for each of {len(variables)} variables, got {len(self.factors)}"
            )
        if not self.built:
            self.gradient_norm = self.add_variable((), name="gradient_norm")
        super().build(variables)

    def update_step(self, gradient: Any, variable: Any, learning_rate: Any) -> None:
        """Update one variable at its branch's learning rate."""
        super().update_step(gradient, variable, self._own_rate(learning_rate, variable))

    def _own_rate(self, learning_rate: Any, variable: Any) -> Any:
        if not self.factors:
            return learning_rate
        return ops.multiply(learning_rate, self.factors[self._get_variable_index(variable)])

    # === Several replicas ===

    def _backend_apply_gradients(self, grads: list[Any], trainable_variables: list[Any]) -> None:
        context = tf.distribute.get_replica_context()  # None outside of replicas
        replicas = context.num_replicas_in_sync if context is not None else 1
        grads = [_small_as_table(*pair, replicas) for pair in zip(grads, trainable_variables, strict=True)]
        if replicas > 1:
            pairs = self._all_reduce_sum_gradients(list(zip(grads, trainable_variables, strict=True)))
            grads = [gradient for gradient, _ in pairs]
        super()._backend_apply_gradients([_one_row_each(gradient) for gradient in grads], trainable_variables)

    # Keras runs these three in the cross-replica context, which it cannot enter inside the condition of accumulation.

    def _backend_update_step(self, grads: list[Any], trainable_variables: list[Any], learning_rate: Any) -> None:
        for gradient, variable in zip(grads, trainable_variables, strict=True):
            self.update_step(gradient, variable, learning_rate)

    def _apply_weight_decay(self, variables: list[Any]) -> None:
        for variable in variables if self.weight_decay is not None else ():
            if self._use_weight_decay(variable):
                own = self._own_rate(self.learning_rate, variable)
                rate, decay = (ops.cast(each, variable.dtype) for each in (own, self.weight_decay))
                variable.assign(variable - variable * decay * rate)

    def _backend_increment_gradient_accumulators(self, grads: list[Any], acc_grads: list[Any]) -> None:
        for gradient, sum_so_far in zip(grads, acc_grads, strict=True):
            sum_so_far.assign(sum_so_far + gradient)

    # === Norm and average ===

    def _clip_gradients(self, gradients: list[Any]) -> list[Any]:
        squares = [ops.sum(ops.square(ops.cast(g, keras.config.floatx()))) for g in gradients if g is not None]
        self.gradient_norm.assign(ops.sqrt(sum(squares)))
        return super()._clip_gradients(gradients)

    def _update_model_variables_moving_average(self, trainable_variables: list[Any]) -> None:
        if not self.use_ema:
            return
        steps = self.gradient_accumulation_steps or 1
        done = self._iterations + 1
        # Until the first update the average equals the weights; between updates it stays the same.
        share = ops.where(done <= steps, 1.0, ops.where(done % steps == 0, 1.0 - self.ema_momentum, 0.0))
        for variable, average in zip(trainable_variables, self._model_variables_moving_average, strict=True):
            if average is not None:
                own = ops.cast(share, variable.dtype)
                average.assign((1 - own) * average + own * variable)

    def finalize_variable_values(self, var_list: list[Any]) -> None:
        """Do nothing: Keras would overwrite the weights after every ``fit``, and a resumed epoch needs two calls."""

    def put_average(self, variables: list[Any]) -> None:
        """Overwrite the model's variables with their moving average."""
        super().finalize_variable_values(variables)

    def get_config(self) -> dict[str, Any]:
        """Return the constructor's arguments."""
        return {**super().get_config(), "factors": self.factors}


def build_optimizer(config: TrainConfig, steps: int, factors: Sequence[float] = ()) -> keras.optimizers.Optimizer:
    """Build the optimizer of a training of ``steps`` steps, not updates; ``factors`` is from `variable_factors`."""
    warmup = min(round(config.warmup_share * steps), steps - 1)
    schedule = keras.optimizers.schedules.CosineDecay(
        initial_learning_rate=0.0 if warmup else config.learning_rate,
        decay_steps=max(1, steps - warmup),
        alpha=config.final_share,
        warmup_target=config.learning_rate if warmup else None,
        warmup_steps=warmup,
    )
    optimizer = BranchAdamW(
        schedule,
        weight_decay=config.weight_decay,
        epsilon=config.epsilon,
        global_clipnorm=config.clip_norm,
        use_ema=config.ema is not None,
        ema_momentum=config.ema or 0.99,
        gradient_accumulation_steps=config.accumulate if config.accumulate > 1 else None,
        factors=factors,
    )
    optimizer.exclude_from_weight_decay(var_names=_UNDECAYED)
    return optimizer


def variable_factors(model: keras.Model, by_layer: Mapping[str, float]) -> list[float]:
    """Return the learning-rate factor of every trainable variable of a model, in their order.

    In a branch with an encoder (a model within it, such as ``efficientnetb0``) the factor holds for the encoder alone:
    it may be pretrained, but the projection behind it is new and learns at the full rate.
    ``by_layer`` has the factor by the name of a layer (``image_branch``); other layers have 1.
    """
    by_variable = {
        id(variable): factor
        for name, factor in by_layer.items()
        for part in _encoders(model.get_layer(name))
        for variable in part.trainable_variables
    }
    return [by_variable.get(id(variable), 1.0) for variable in model.trainable_variables] if by_layer else []


def _encoders(branch: keras.layers.Layer) -> list[keras.layers.Layer]:
    """Return the models within a branch, or the branch itself if it has none."""
    return [layer for layer in getattr(branch, "layers", ()) if isinstance(layer, keras.Model)] or [branch]


def _small_as_table(gradient: Any, variable: Any, replicas: int) -> Any:
    """Return the gradient of an embedding as a dense table if the table has no more rows than all replicas together.

    A dense gradient is part of the one sum of all dense gradients. Rows (`tf.IndexedSlices`) need three exchanges of
    their own (sizes, indices and values), which is only faster for a large vocabulary.
    """
    if not isinstance(gradient, tf.IndexedSlices):
        return gradient
    rows = gradient.indices.shape[0]
    return tf.convert_to_tensor(gradient) if rows is not None and variable.shape[0] <= rows * replicas else gradient


def _one_row_each(gradient: Any) -> Any:
    """Return the gradient of an embedding with one row for each word, the sum of its rows.

    A word that occurs twice in a batch has two rows, and Keras 3 on TensorFlow squares each of them for the norm and
    for Adam's second moment.
    """
    if not isinstance(gradient, tf.IndexedSlices):
        return gradient
    words, rows = tf.unique(gradient.indices)
    sums = tf.math.unsorted_segment_sum(gradient.values, rows, tf.size(words))
    return tf.IndexedSlices(sums, words, gradient.dense_shape)


def inner_optimizer(model: keras.Model) -> Any:
    """Return a compiled model's optimizer without the wrapper of loss scaling."""
    return getattr(model.optimizer, "inner_optimizer", model.optimizer)
