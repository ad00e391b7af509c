"""AdamW with warm-up and cosine decay, learning-rate factors by branch, and its gradient norm on record.

On several replicas it sums the gradients before anything else is done with them: Keras 3 clips those of each replica by
their own norm and adds them up afterwards. All replicas then take the same step, each on its own copy of the weights.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import keras
from keras import ops

from mmkeras.config import TrainConfig
from mmkeras.errors import TrainingError

__all__ = ["BranchAdamW", "build_optimizer", "inner_optimizer", "variable_factors"]

# Norms, biases and embeddings: decay would pull them to values that mean nothing; the recipes of BERT and ViT
# leave them out as well.
_UNDECAYED = ["bias", "gamma", "beta", "embedding", "token"]


@keras.saving.register_keras_serializable("mmkeras")
class BranchAdamW(keras.optimizers.AdamW):
    """AdamW that scales the learning rate by branch and keeps the last global gradient norm.

    Scaling gradients would not do: Adam divides the scale out again.

    Args:
        factors: learning-rate factor of every trainable variable, in their order; empty means 1 for all.
        **options: those of `keras.optimizers.AdamW`.
    """

    def __init__(self, *args: Any, factors: Sequence[float] = (), **options: Any) -> None:
        super().__init__(*args, **options)
        self.factors = list(factors)

    def build(self, variables: list[Any]) -> None:
        """Create the moments and the variable that holds the gradient norm before clipping."""
        if self.factors and len(self.factors) != len(variables):
            raise TrainingError(
                f"Expected a learning-rate factor for each of {len(variables)} variables, got {len(self.factors)}"
            )
        if not self.built:
            self.gradient_norm = self.add_variable((), name="gradient_norm")
        super().build(variables)

    def update_step(self, gradient: Any, variable: Any, learning_rate: Any) -> None:
        """Update one variable at its branch's learning rate."""
        if self.factors:
            learning_rate = ops.multiply(learning_rate, self.factors[self._get_variable_index(variable)])
        super().update_step(gradient, variable, learning_rate)

    # === Several replicas ===

    def _backend_apply_gradients(self, grads: list[Any], trainable_variables: list[Any]) -> None:
        if keras.backend.backend() == "tensorflow":
            replicas = _replicas()
            grads = [_small_as_table(*pair, replicas) for pair in zip(grads, trainable_variables, strict=True)]
            if replicas > 1:
                pairs = self._all_reduce_sum_gradients(list(zip(grads, trainable_variables, strict=True)))
                grads = [gradient for gradient, _ in pairs]
            grads = [_one_row_each(gradient) for gradient in grads]
        super()._backend_apply_gradients(grads, trainable_variables)

    # Keras leaves the replicas for these three, which it cannot do inside the condition that accumulation needs.

    def _backend_update_step(self, grads: list[Any], trainable_variables: list[Any], learning_rate: Any) -> None:
        for gradient, variable in zip(grads, trainable_variables, strict=True):
            self.update_step(gradient, variable, learning_rate)

    def _apply_weight_decay(self, variables: list[Any]) -> None:
        for variable in variables if self.weight_decay is not None else ():
            if self._use_weight_decay(variable):
                rate, decay = (ops.cast(each, variable.dtype) for each in (self.learning_rate, self.weight_decay))
                variable.assign(variable - variable * decay * rate)

    def _backend_increment_gradient_accumulators(self, grads: list[Any], acc_grads: list[Any]) -> None:
        for gradient, sum_so_far in zip(grads, acc_grads, strict=True):
            sum_so_far.assign(sum_so_far + gradient)

    # === Norm and average ===

    def _clip_gradients(self, gradients: list[Any]) -> list[Any]:
        squares = [ops.sum(ops.square(ops.cast(g, keras.config.floatx()))) for g in gradients if g is not None]
        self.gradient_norm.assign(ops.sqrt(sum(squares)))
        return super()._clip_gradients(gradients)

    def finalize_variable_values(self, var_list: list[Any]) -> None:
        """Do nothing: Keras would put the average in after every ``fit``, and a broken epoch takes two of them."""

    def put_average(self, variables: list[Any]) -> None:
        """Overwrite the model's variables with their moving average."""
        super().finalize_variable_values(variables)

    def get_config(self) -> dict[str, Any]:
        """Return the constructor's arguments."""
        return {**super().get_config(), "factors": self.factors}


def build_optimizer(config: TrainConfig, steps: int, factors: Sequence[float] = ()) -> keras.optimizers.Optimizer:
    """Build the optimizer of a run.

    Args:
        config: learning rate, warm-up, decay, clipping, EMA.
        steps: training steps of the whole run; with accumulation, several of them make one update.
        factors: from `variable_factors`.
    """
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

    Args:
        model: from `build_model`.
        by_layer: factor by name of the model's layers (``image_branch``); others have 1.
    """
    by_variable = {
        id(variable): factor
        for name, factor in by_layer.items()
        for variable in model.get_layer(name).trainable_variables
    }
    return [by_variable.get(id(variable), 1.0) for variable in model.trainable_variables] if by_layer else []


def _replicas() -> int:
    """Return how many replicas compute together here; 1 outside of them."""
    import tensorflow as tf

    context = tf.distribute.get_replica_context()
    return context.num_replicas_in_sync if context is not None else 1


def _small_as_table(gradient: Any, variable: Any, replicas: int) -> Any:
    """Return the rows of an embedding's gradient as the whole table, where that is no more than they are.

    It then takes part in the one sum of all dense gradients. Rows (`tf.IndexedSlices`) are gathered from all replicas
    in exchanges of their own, sizes, places and values, each a wait, which pays for a large vocabulary alone.
    """
    import tensorflow as tf

    if not isinstance(gradient, tf.IndexedSlices):
        return gradient
    rows = gradient.indices.shape[0]
    return tf.convert_to_tensor(gradient) if rows is not None and variable.shape[0] <= rows * replicas else gradient


def _one_row_each(gradient: Any) -> Any:
    """Return the gradient of an embedding with one row for each word.

    A word that occurs twice in a batch has two, and Keras 3 squares them one by one, for the norm and for Adam's second
    moment; other backends have their sum, which is the gradient.
    """
    import tensorflow as tf

    if not isinstance(gradient, tf.IndexedSlices):
        return gradient
    words, rows = tf.unique(gradient.indices)
    sums = tf.math.unsorted_segment_sum(gradient.values, rows, tf.size(words))
    return tf.IndexedSlices(sums, words, gradient.dense_shape)


def inner_optimizer(model: keras.Model) -> Any:
    """Return a compiled model's own optimizer, also where loss scaling wraps it."""
    return getattr(model.optimizer, "inner_optimizer", model.optimizer)
