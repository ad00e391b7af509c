"""Adds a head's loss hook and a fusion's extra outputs to the training of a Keras model.

It replaces methods of the one model that is trained. The model's class, variables, saved files and outputs outside of
training stay the same. A head with Keras losses and a fusion without extra outputs do not need this module.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

import keras
import numpy as np
from keras import ops

from mmkeras.core.errors import ConfigError, TrainingError
from mmkeras.fusion._alone import SHARE, SUFFIX
from mmkeras.layers.batch import LossContext, Losses

__all__ = ["ExtraOutputs", "Objective", "Value", "graph_of"]

ExtraOutputs = Callable[[Any], dict[str, Any]]
"""From inputs to the outputs in training and the extra outputs."""


def graph_of(model: keras.Model) -> keras.Model:
    """Return the functional model of a trained model: its ``float_model`` if it wraps one, else the model itself."""
    return getattr(model, "float_model", model)


class Objective:
    """The losses of one model's training.

    Args:
        model: a model, compiled with ``losses`` if those are Keras losses. Its methods ``call``, ``compute_loss`` and
            ``compute_metrics`` are replaced.
        losses: losses of the head.
        class_counts: training samples by label.
        extra: computes the fusion's extra outputs in training, if it has any.
    """

    def __init__(
        self,
        model: keras.Model,
        losses: Losses,
        class_counts: Mapping[str, int],
        extra: ExtraOutputs | None,
    ) -> None:
        self.losses = losses
        self._model = model
        self._class_counts = dict(class_counts)
        self._parts: dict[str, keras.metrics.Mean] = {}
        self._graph = graph_of(model)
        self._outputs = list(self._graph.output)
        self._keras_loss, self._keras_metrics = model.compute_loss, model.compute_metrics
        # In the instance's own dictionary: Keras would track an attribute that is set.
        vars(model).update(compute_loss=self._compute_loss, compute_metrics=self._compute_metrics)
        if extra is not None:
            vars(self._graph)["call"] = _with_extra(self._graph.call, extra)

    def release(self) -> None:
        """Restore the model's own methods, so that another stage can train it."""
        for part in self._parts.values():
            self._model._metrics.remove(part)
        self._parts = {}
        for name in ("compute_loss", "compute_metrics"):
            vars(self._model).pop(name, None)
        vars(self._graph).pop("call", None)

    @property
    def of_the_batch(self) -> bool:
        """Whether a hook computes the losses, so that the loss of a sample may depend on the whole batch."""
        return callable(self.losses)

    def prepare(self, batch: Any) -> None:
        """Add the parts of a hook's loss to the logs if there are several; call before ``fit``, in its scope.

        ``batch`` has the specs (`tf.TensorSpec`) of a batch: inputs, targets, weights.

        Raises:
            TrainingError: the hook returns no part, or a part with a shape other than () or (B,).
        """
        if not callable(self.losses):
            return
        inputs, targets, weights = keras.tree.map_structure(
            lambda spec: keras.KerasTensor(tuple(spec.shape), keras.backend.standardize_dtype(spec.dtype)), batch
        )

        def shapes(inputs: Any, targets: Any, weights: Any) -> dict[str, Any]:
            outputs = self._model(inputs, training=False)
            return self.parts(outputs, targets, inputs, weights, training=False)

        found = keras.src.backend.compute_output_spec(shapes, inputs, targets, weights)
        if not found or any(len(part.shape) > 1 for part in found.values()):
            got = {name: tuple(part.shape) for name, part in found.items()}
            raise TrainingError(f"losses: expected parts of the loss by name, each of shape () or (B,); got {got}")
        for name in found if len(found) > 1 and not self._parts else ():
            self._parts[name] = keras.metrics.Mean(name=f"{name}_loss")
            # Keras resets it in every epoch and adds it to the logs. `list.append`, so that it is not saved.
            list.append(self._model._metrics, self._parts[name])

    def parts(self, outputs: Any, targets: Any, inputs: Any, weights: Any, *, training: bool) -> dict[str, Any]:
        """Return the unweighted parts of the loss by name, each () or (B,).

        Raises:
            ConfigError: the hook does not read the extra outputs.
        """
        if not callable(self.losses):
            raise TypeError("Keras losses have no parts")
        seen = _Seen(outputs)
        found = self.losses(seen, targets, inputs, LossContext(weights, self._class_counts, training))
        extra = set(outputs) - set(self._outputs)
        if extra and not extra & seen.read:
            raise ConfigError(
                f"model.fusion.options.alone: the losses of this task read none of {', '.join(sorted(extra))}; leave "
                "the option out"
            )
        return dict(found)

    def of_samples(self, outputs: Any, targets: Any, inputs: Any, weights: Any) -> np.ndarray | None:
        """Return the loss (B,) of each sample in a whole batch, or None if the loss has no values per sample."""
        found = self.parts(outputs, targets, inputs, weights, training=False).values()
        rows = [keras.ops.convert_to_numpy(part) for part in found if len(part.shape) == 1]
        return np.asarray(sum(rows), np.float32) if rows else None

    def influences(self, outputs: Any, targets: Any, inputs: Any, weights: Any) -> np.ndarray:
        """Return the contribution (B,) of each sample: the loss of the whole batch less the loss without the sample.

        It is infinite if only the loss without the sample is finite, and 0 if that loss is not finite.
        """
        batch = [outputs, targets, inputs, weights]
        every = np.arange(len(weights))

        def loss(rows: np.ndarray) -> float:
            taken = keras.tree.map_structure(lambda value: ops.take(value, rows, axis=0), batch)
            found = self.parts(*taken, training=False).values()
            return float(sum(np.mean(ops.convert_to_numpy(part)) for part in found))

        whole = loss(every)
        if len(every) == 1:
            return np.array([whole], np.float32)
        without = np.array([loss(np.delete(every, row)) for row in every])
        found = np.inf if not np.isfinite(whole) else whole - without
        return np.asarray(np.where(np.isfinite(without), found, 0.0), np.float32)

    # === Replaced methods ===

    def _compute_loss(
        self, x: Any = None, y: Any = None, y_pred: Any = None, sample_weight: Any = None, training: bool = True
    ) -> Any:
        if callable(self.losses):
            return self._of_hook(x, y, y_pred, sample_weight, training)
        total = self._keras_loss(x, y, self._own(y_pred), sample_weight, training=training)
        for name, loss in self.losses.items():
            if name + SUFFIX in y_pred:
                total = total + SHARE * loss(y[name], y_pred[name + SUFFIX], sample_weight)
        return total

    def _of_hook(self, inputs: Any, targets: Any, outputs: Any, weights: Any, training: bool) -> Any:
        samples = ops.shape(next(iter(outputs.values())))[0]
        if weights is None:
            weights = ops.ones((samples,), dtype=keras.config.floatx())
        total = 0.0
        for name, part in self.parts(outputs, targets, inputs, weights, training=training).items():
            loss = _reduced(part, weights)
            if name in self._parts:
                self._parts[name].update_state(_unscaled(part, weights), sample_weight=samples)
            total = total + loss
        for loss in self._model.losses:
            total = total + _reduced(loss, weights)
        return total

    def _compute_metrics(self, x: Any, y: Any, y_pred: Any, sample_weight: Any = None) -> Any:
        return self._keras_metrics(x, y, self._own(y_pred), sample_weight)

    def _own(self, outputs: Mapping[str, Any]) -> dict[str, Any]:
        return {name: outputs[name] for name in self._outputs}


def _with_extra(call: Callable[..., Any], extra: ExtraOutputs) -> Callable[..., Any]:
    def with_extra(inputs: Any, training: bool | None = None, mask: Any = None) -> Any:
        return extra(inputs) if training else call(inputs, training=training, mask=mask)

    return with_extra


class Value(keras.losses.Loss):
    """A loss whose values are given: Keras weights, averages and, on several replicas, scales them."""

    def call(self, y_true: Any, y_pred: Any) -> Any:
        """Return ``y_pred``."""
        return y_pred


def _reduced(part: Any, weights: Any) -> Any:
    if len(part.shape):
        return Value()(part, part, weights)
    # Keras scales a loss by the number of replicas only if it has an axis to average.
    row = ops.reshape(part, (1,))
    return Value()(row, row)


def _unscaled(part: Any, weights: Any) -> Any:
    """Return the mean for the logs, which is not scaled by the number of replicas."""
    return ops.mean(part * ops.cast(weights, part.dtype)) if len(part.shape) else part


class _Seen(Mapping[str, Any]):
    """Outputs that record the names that are read."""

    def __init__(self, outputs: Mapping[str, Any]) -> None:
        self._outputs = outputs
        self.read: set[str] = set()

    def __getitem__(self, name: str) -> Any:
        self.read.add(name)
        return self._outputs[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._outputs)

    def __len__(self) -> int:
        return len(self._outputs)
