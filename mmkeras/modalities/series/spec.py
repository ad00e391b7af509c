"""Windows of series as normalised numbers with a mask of missing ones. Runs on the device."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Any, ClassVar, Literal

import numpy as np

from mmkeras.core.errors import ConfigError
from mmkeras.modalities._config import NO_FACTS, NO_MODALITIES, Facts, ModalityConfig, out_of_range
from mmkeras.modalities._contract import ModalitySpec, TensorSpec
from mmkeras.modalities._moves import MOVES
from mmkeras.modalities.series.normalised import normalised
from mmkeras.modalities.series.probes import SCENARIOS, probes
from mmkeras.modalities.series.values import Layout, read_series

__all__ = ["Config", "Spec"]

_TENSORS = ("values", "mask", "level")
_FORMS, _NORMALISED, _KINDS = ("patches", "convolutions"), ("window", "training"), ("features", "steps")


@dataclass(frozen=True)
class Config(Layout, ModalityConfig):
    """A series of numbers in time, read as patches by a transformer (PatchTST), or by convolutions.

    A value is a list, a text or a .npy file of numbers, or of steps with several features; the last step is the newest.
    None and NaN are missing numbers: they are masked, as are the steps before a short series. A longer one loses its
    oldest steps. With the times of its steps it is put on a regular grid, whose gaps are missing steps.
    """

    apart: ClassVar[tuple[str, ...]] = ("parts", "parts_are", "times", "interval", "files", "mask_rate", "noise")
    kind: Literal["series"] = field(default="series", kw_only=True)
    """Kind of the modality."""
    length: int = 64
    """Steps of a window; with parts_are = "steps" their number."""
    features: int = 1
    """Numbers in a step; with parts_are = "features" and parts their number."""
    parts: tuple[str, ...] = ()
    """Columns of the table that make one series; empty where a single cell holds it."""
    parts_are: Literal["features", "steps"] = "features"
    """features: a cell is the list of one feature. steps: a cell is the number of one step."""
    times: str = ""
    """Column with the times of the steps, as a list of numbers or dates; empty for steps at regular intervals."""
    interval: float = 0.0
    """Time between two steps, in the unit of the times, for dates in days; needed where a series has times."""
    files: bool = False
    """Cells are paths of .npy files, which start from the table's folder."""
    normalise: Literal["window", "training"] = "window"
    """window: by mean and deviation of each window, which the model receives too. training: by those of the training
    windows."""
    form: Literal["patches", "convolutions"] = "patches"
    """patches: one token each, mixed by a transformer. convolutions: each layer halves the steps."""
    patch: int = 8
    """Steps in a patch, or in the kernel of the convolutions."""
    stride: int = 0
    """Steps from one patch to the next; 0 for those of a patch. Convolutions have a stride of 2."""
    layers: int = 2
    """Transformer layers, or convolutions."""
    heads: int = 4
    """Attention heads."""
    dropout: float = 0.1
    """Dropout in the transformer layers, or after each convolution."""
    mask_rate: float = 0.0
    """Augmentation: share of the steps that are missing in training."""
    noise: float = 0.0
    """Augmentation: deviation of the random numbers that are added to the normalised ones in training."""
    learning_rate_factor: float = 1.0
    """Learning rate of the branch relative to the rest of the model."""
    frozen: bool = False
    """Keep the branch as it is."""
    means: tuple[float, ...] = ()
    """Mean of each feature, that of the training windows when not given."""
    deviations: tuple[float, ...] = ()
    """Standard deviation of each feature, alike."""

    def __post_init__(self) -> None:
        """Check the options, with a `ConfigError` that lists the wrong ones."""
        problems = []
        if self.parts:
            counted, default = ("length", 64) if self.parts_are == "steps" else ("features", 1)
            if getattr(self, counted) not in (default, len(self.parts)):
                problems.append(
                    f"{counted}: expected {len(self.parts)}, the number of parts, got {getattr(self, counted)}"
                )
            object.__setattr__(self, counted, len(self.parts))
        twice = sorted({name for name in self.columns if self.columns.count(name) > 1})
        problems += [f"parts and times: the column {name!r} is given twice" for name in twice]
        for name, valid in (("form", _FORMS), ("normalise", _NORMALISED), ("parts_are", _KINDS)):
            if getattr(self, name) not in valid:
                problems.append(f"{name}: expected one of {', '.join(valid)}, got {getattr(self, name)!r}")
        for names, expected, fits in (
            (("length", "features", "patch", "heads"), "at least 1", lambda value: value >= 1),
            (("stride", "layers", "learning_rate_factor", "noise", "interval"), "0 or more", lambda value: value >= 0),
            (("dropout", "mask_rate"), "at least 0 and below 1", lambda value: 0 <= value < 1),
        ):
            problems += out_of_range(self, names, expected, fits)
        if self.parts_are == "steps" and self.parts and self.features != 1:
            problems.append(f"features: expected 1 with parts of steps, got {self.features}")
        if self.times and not (self.parts and self.interval > 0):
            problems.append("times: expected parts and the interval between two steps beside it")
        for name in ("means", "deviations"):
            given = getattr(self, name)
            if given and (len(given) != self.features or not all(map(math.isfinite, given))):
                problems.append(f"{name}: expected a finite number for each of {self.features} features, got {given}")
        if any(deviation <= 0 for deviation in self.deviations):
            problems.append(f"deviations: expected numbers above 0, got {self.deviations}")
        if problems:
            raise ConfigError("\n".join(f"series {problem}" for problem in problems))

    def augmentations(self) -> tuple[str, ...]:
        """Return the options that change numbers at random."""
        return tuple(name for name in ("mask_rate", "noise") if getattr(self, name))

    def spec(self, name: str, modalities: Mapping[str, ModalitySpec] = NO_MODALITIES, facts: Facts = NO_FACTS) -> Spec:
        """Return the modality's spec. Other modalities and facts do not change it."""
        del modalities, facts
        return Spec(
            name,
            self.length,
            self.features,
            self.parts,
            self.parts_are,
            self.times,
            self.interval,
            self.normalise,
            self.means or (0.0,) * self.features,
            self.deviations or (1.0,) * self.features,
            self.files,
        )


@dataclass(frozen=True)
class Spec(Layout, ModalitySpec):
    """A window of a series as tensors.

    ``<name>_values`` float32 and ``<name>_mask`` int32 (length, features): normalised numbers, 0 where the mask is 0.
    ``<name>_level`` float32 (2 * features), with normalise = "window": mean of the window, and logarithm of its
    deviation, both relative to the training windows.
    """

    kind: ClassVar[str] = "series"
    shapes_records: ClassVar[tuple[str, ...]] = ("length", "features", "parts", "parts_are", "times", "interval")
    follows: ClassVar[tuple[str, ...]] = MOVES

    length: int
    """Steps of a window."""
    features: int
    """Numbers in a step."""
    parts: tuple[str, ...]
    """Columns of the table that make one series."""
    parts_are: Literal["features", "steps"]
    """What a column holds."""
    times: str
    """Column with the times of the steps."""
    interval: float
    """Time between two steps."""
    normalise: Literal["window", "training"]
    """By what the numbers are normalised."""
    means: tuple[float, ...]
    """Mean of each feature in training."""
    deviations: tuple[float, ...]
    """Standard deviation of each feature in training."""
    files: bool = False
    """Whether cells are paths of files."""

    def __post_init__(self) -> None:
        """Check what a manifest says.

        Raises:
            ConfigError: sizes or statistics that cannot be used.
        """
        sizes = (self.length, self.features)
        numbers = (*self.means, *self.deviations, self.interval)
        if not (
            all(type(size) is int and size > 0 for size in sizes)
            and all(isinstance(each, tuple) for each in (self.parts, self.means, self.deviations))
            and all(isinstance(name, str) for name in (*self.parts, self.times))
            and all(isinstance(number, float | int) and math.isfinite(number) for number in numbers)
            and len(self.means) == len(self.deviations) == self.features
            and all(deviation > 0 for deviation in self.deviations)
            and self.parts_are in _KINDS
            and self.normalise in _NORMALISED
        ):
            raise ConfigError(
                f"series: {self.name}: expected a length, features with a mean and a positive deviation each, and how "
                f"they are normalised; got {sizes}, {self.means!r:.60} and {self.deviations!r:.60}"
            )

    @property
    def reads_files(self) -> bool:  # type: ignore[override]
        """Whether a text is the path of a file."""
        return self.files

    @property
    def tensors(self) -> tuple[TensorSpec, ...]:
        """The normalised numbers, the mask, and with ``normalise = "window"`` the level."""
        window = (self.length, self.features)
        tensors = [
            TensorSpec(f"{self.name}_values", window, "float32"),
            TensorSpec(f"{self.name}_mask", window, "int32"),
        ]
        if self.normalise == "window":
            tensors.append(TensorSpec(f"{self.name}_level", (2 * self.features,), "float32"))
        return tuple(tensors)

    def preprocess(self, value: Any) -> dict[str, np.ndarray]:
        """Read a series and normalise it.

        Args:
            value: see `read_series`.

        Raises:
            DataError: the value cannot be used.
        """
        steps = read_series(self, value).steps
        made = dict(zip(_TENSORS, normalised(steps, self), strict=True))
        return {tensor.name: made[tensor.name.removeprefix(f"{self.name}_")] for tensor in self.tensors}

    def by_name(self, value: Any) -> Any:
        """Return a series of several columns as the text of a JSON object with them; with times it stays as it is."""
        if not self.parts or self.times:
            return value
        steps = read_series(self, value).steps
        known = [[None if math.isnan(number) else number for number in feature] for feature in steps.T.tolist()]
        cells = known[0] if self.parts_are == "steps" else known
        return json.dumps(dict(zip(self.parts, cells, strict=True)))

    def scenarios(self) -> dict[str, Callable[[Any], Any]]:
        """Return ``half_missing``, every second step at random, and ``newest_missing``, the last quarter."""
        return {name: partial(change, self) for name, change in SCENARIOS.items()} if self.length > 1 else {}

    def probes(self) -> tuple[Any, ...]:
        """Return series with gaps, short, long, constant, very large and very small ones, also as text."""
        return probes(self)
