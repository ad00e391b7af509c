"""A model that predicts like its int8 export and trains the weights of the float model."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import keras
from keras import ops

from mmkeras.training.quantization_aware.grid import ActivationRange, Grid, rounded_kernel
from mmkeras.training.quantization_aware.places import Place, find_places
from mmkeras.training.quantization_aware.watch import watched

__all__ = ["QuantizationAware"]


class QuantizationAware(keras.Model):
    """Trains a float model on the int8 grid.

    A call rounds the input, the kernel and, depending on the grid, the output of every layer that becomes int8. Batch
    normalization uses its moving statistics, which the exporters fold. Only the weights of the float model change:
    `save` writes the float model, which can be loaded and exported as usual.

    Args:
        model: a built functional model, whose weights are trained.
        grid: one of `GRIDS`.
        keep: patterns of the paths of layers that stay in float, such as ``head_*``.

    Raises:
        ConfigError: see `find_places`.
    """

    def __init__(self, model: keras.Model, grid: Grid, keep: Sequence[str] = ()) -> None:
        super().__init__(name=f"{model.name}_int8")
        self.float_model = model
        self.grid = grid
        self.places = find_places(model, keep)
        names = ["input", "output"] if grid.outputs else ["input"]
        self.ranges = [
            [ActivationRange(grid.symmetric, name=f"{name}_{number}") for name in names]
            for number in range(len(self.places))
        ]
        for layer in self.ranges:
            for end in layer:
                end.build()
        self.built = True

    def call(self, inputs: Any, training: bool | None = None) -> Any:
        """Return the outputs of the int8 export; in training, update the ranges."""

        def rounded(place: int, output: bool, values: Any) -> Any:
            return self.ranges[place][output](values, training=training)

        kernels = [(place.layer.kernel, self._rounded_kernel(place)) for place in self.places]
        # Within the scope a kernel has its rounded value; gradients still reach the kernel itself.
        with (
            keras.StatelessScope(state_mapping=kernels) as scope,
            watched(self.float_model, self.places, rounded, outputs=self.grid.outputs),
        ):
            outputs = self.float_model(inputs, training=training)
        for variable in self.non_trainable_variables:
            # The scope only records what layers assign within it: ranges, the state of dropout.
            if (value := scope.get_current_value(variable)) is not None:
                variable.assign(value)
        return outputs

    def calibrate(self, batches: Iterable[Any]) -> None:
        """Initialize each range with the smallest and largest activation of the float model.

        Args:
            batches: model inputs, a few batches of training data.
        """
        found: dict[tuple[int, bool], list[tuple[float, float]]] = {}

        def recorded(place: int, output: bool, values: Any) -> Any:
            found.setdefault((place, output), []).append((float(ops.min(values)), float(ops.max(values))))
            return values

        with watched(self.float_model, self.places, recorded, outputs=self.grid.outputs):
            for inputs in batches:
                self.float_model(inputs, training=False)
        for (place, output), ends in found.items():
            lows, highs = zip(*ends, strict=True)
            self.ranges[place][output].assign(min(lows), max(highs))

    def save(self, *args: Any, **kwargs: Any) -> None:
        """Save the float model."""
        self.float_model.save(*args, **kwargs)

    def get_layer(self, name: str | None = None, index: int | None = None) -> Any:
        """Return a layer of the float model."""
        return self.float_model.get_layer(name, index)

    def _rounded_kernel(self, place: Place) -> Any:
        per_channel = self.grid.dense_per_channel or not place.dense
        return rounded_kernel(place.layer.kernel, place.summed, per_channel=per_channel)
