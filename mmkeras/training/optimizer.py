"""AdamW with warm-up and cosine decay, learning-rate factors by branch, and its gradient norm on record.

On several replicas it sums the gradients before anything else is done with them: Keras 3 clips those of each replica by
their own norm and adds them up afterwards. All replicas then take the same step, each on its own copy of the weights.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import keras
from keras import ops

from mmkeras.core.config import TrainConfig
from mmkeras.core.errors import TrainingError

__all__ = ["BranchAdamW", "build_optimizer", "inner_optimizer", "variable_factors"]

# Norms, biases and embeddings: decay would pull them to values that mean nothing; the recipes of BERT and ViT
# leave them out as well.
_UNDECAYED = ["bias", "gamma", "beta", "embedding", "token"]


@keras.saving.register_keras_serializable("mmkeras")
class BranchAdamW(keras.optimizers.AdamW):
    """AdamW that scales the learning rate, and with it the weight decay, and keeps the last global gradient norm.

    Scaling gradients would not do: Adam divides the scale out again. With accumulated gradients the moving average
    moves once for each update of the weights; Keras moves it in every step.

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
        super().update_step(gradient, variable, self._own_rate(learning_rate, variable))

    def _own_rate(self, learning_rate: Any, variable: Any) -> Any:
        if not self.factors:
            return learning_rate
        return ops.multiply(learning_rate, self.factors[self._get_variable_index(variable)])

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
        # Up to the first update the average is the weights themselves; between updates it stays.
        share = ops.where(done <= steps, 1.0, ops.where(done % steps == 0, 1.0 - self.ema_momentum, 0.0))
        for variable, average in zip(trainable_variables, self._model_variables_moving_average, strict=True):
            if average is not None:
                own = ops.cast(share, variable.dtype)
                average.assign((1 - own) * average + own * variable)

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

    The factor of a branch with an encoder, a model within it such as ``efficientnetb0``, is that of the encoder's
    variables: it may be pretrained, while the projection behind it is new and learns at the full rate.

    Args:
        model: from `build_model`.
        by_layer: factor by name of the model's layers (``image_branch``); others have 1.
    """
    by_variable = {
        id(variable): factor
        for name, factor in by_layer.items()
        for part in _encoders(model.get_layer(name))
        for variable in part.trainable_variables
    }
    return [by_variable.get(id(variable), 1.0) for variable in model.trainable_variables] if by_layer else []


def _encoders(branch: keras.layers.Layer) -> list[keras.layers.Layer]:
    """Return the models within a branch, or the branch itself where it has none."""
    return [layer for layer in getattr(branch, "layers", ()) if isinstance(layer, keras.Model)] or [branch]


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
