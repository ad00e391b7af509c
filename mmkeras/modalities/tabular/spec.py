"""Columns of a table as standardised numbers and indices of categories. Runs on the device."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from functools import cached_property, partial
from pathlib import Path
from typing import Any, ClassVar, Literal, cast

import numpy as np

from mmkeras.core.errors import ConfigError
from mmkeras.modalities._config import NO_FACTS, NO_MODALITIES, Facts, ModalityConfig, out_of_range
from mmkeras.modalities._contract import ModalitySpec, TensorSpec
from mmkeras.modalities._moves import MOVES
from mmkeras.modalities.tabular.cells import Cells, read_cells
from mmkeras.modalities.tabular.columns import Columns
from mmkeras.modalities.tabular.probes import one_missing, rows, unknown_categories

__all__ = ["FURTHEST", "MISSING", "UNKNOWN", "Config", "Spec"]

FURTHEST = 6.0
"""Standard deviations from the mean at which a number is cut."""
MISSING, UNKNOWN = 0, 1
"""Index of an empty cell and of a category that training has not seen, counted from the first of a column."""


@dataclass(frozen=True)
class Config(Columns, ModalityConfig):
    """Columns of a table, one token each, read by transformer layers (FT-Transformer)."""

    apart: ClassVar[tuple[str, ...]] = ("mask_rate",)
    kind: Literal["tabular"] = field(default="tabular", kw_only=True)
    """Kind of the modality."""
    numbers: tuple[str, ...] = ()
    """Columns with numbers; they are standardised by the training data."""
    categories: tuple[str, ...] = ()
    """Columns with categories, such as a sex or a place."""
    dates: tuple[str, ...] = ()
    """Columns with dates or times: the day, the time of the year and the day of the week are read."""
    date_format: str = ""
    """How dates are written, as Python's strptime has it, for example "%d.%m.%Y"; empty for ISO 8601."""
    most_categories: int = 1000
    """Most categories of a column; further ones count as unknown."""
    rarest: int = 2
    """A category in fewer training rows counts as unknown."""
    layers: int = 2
    """Transformer layers over the columns."""
    heads: int = 4
    """Attention heads."""
    dropout: float = 0.1
    """Dropout in the transformer layers."""
    mask_rate: float = 0.1
    """Share of the cells that are changed in training, so that the model learns to do without a column: numbers and
    dates are emptied; of the categories half are emptied and half become unknown."""
    learning_rate_factor: float = 1.0
    """Learning rate of the branch relative to the rest of the model."""
    frozen: bool = False
    """Keep the branch as it is."""
    means: dict[str, float] = field(default_factory=dict)
    """Mean by column of numbers or dates (in days since 1970); those of the training data when not given."""
    deviations: dict[str, float] = field(default_factory=dict)
    """Standard deviation by column, alike."""
    known: dict[str, tuple[str, ...]] = field(default_factory=dict)
    """Categories by column, those of the training data when not given."""

    def __post_init__(self) -> None:
        """Check the options.

        Raises:
            ConfigError: a column that is given twice, or a value out of its range.
        """
        twice = sorted({name for name in self.columns if self.columns.count(name) > 1})
        problems = [f"the column {name!r} is given twice" for name in twice]
        for names, expected, fits in (
            (("most_categories", "rarest", "heads"), "at least 1", lambda value: value >= 1),
            (("layers", "learning_rate_factor"), "0 or more", lambda value: value >= 0),
            (("dropout", "mask_rate"), "at least 0 and below 1", lambda value: 0 <= value < 1),
        ):
            problems += out_of_range(self, names, expected, fits)
        for option, allowed in (("means", self.scaled), ("deviations", self.scaled), ("known", self.categories)):
            others = [name for name in getattr(self, option) if name not in allowed]
            problems += [f"{option} names {name!r}, which is no such column" for name in others]
        if problems:
            raise ConfigError("tabular: " + "; ".join(problems) + ".")

    def spec(self, name: str, modalities: Mapping[str, ModalitySpec] = NO_MODALITIES, facts: Facts = NO_FACTS) -> Spec:
        """Return the modality's spec. Other modalities and facts do not change it.

        Raises:
            ConfigError: there is no column.
        """
        del modalities, facts
        if not self.columns:
            raise ConfigError(f"tabular: {name}: numbers, categories and dates are all empty. Name the columns to read")
        return Spec(
            name,
            self.numbers,
            self.dates,
            self.categories,
            tuple(float(self.means.get(column, 0.0)) for column in self.scaled),
            tuple(float(self.deviations.get(column, 1.0)) for column in self.scaled),
            tuple(tuple(self.known.get(column, ())) for column in self.categories),
            self.date_format,
        )


@dataclass(frozen=True)
class Spec(Columns, ModalitySpec):
    """One row as tensors."""

    kind: ClassVar[str] = "tabular"
    shapes_records: ClassVar[tuple[str, ...]] = ("numbers", "dates", "categories", "date_format")
    follows: ClassVar[tuple[str, ...]] = MOVES

    numbers: tuple[str, ...]
    """Columns with numbers."""
    dates: tuple[str, ...]
    """Columns with dates."""
    categories: tuple[str, ...]
    """Columns with categories."""
    means: tuple[float, ...]
    """Of the columns of numbers, then of dates, in days since 1970."""
    deviations: tuple[float, ...]
    """Standard deviations, alike."""
    known: tuple[tuple[str, ...], ...]
    """The categories of each column of categories."""
    date_format: str = ""
    """How dates are written; empty for ISO 8601."""

    def __post_init__(self) -> None:
        """Check what a manifest says.

        Raises:
            ConfigError: columns without their statistics, or statistics that cannot be used.
        """
        lists = (self.numbers, self.dates, self.categories, self.means, self.deviations, self.known, *self.known)
        names = (*self.columns, *(name for each in self.known for name in each), self.date_format)
        numbers = (*self.means, *self.deviations)
        scaled = len(self.scaled)
        if not (
            all(isinstance(each, tuple) for each in lists)
            and self.columns
            and all(isinstance(name, str) for name in names)
            and len(set(self.columns)) == len(self.columns)
            and all(isinstance(number, float | int) and math.isfinite(number) for number in numbers)
            and len(self.means) == len(self.deviations) == scaled
            and all(deviation > 0 for deviation in self.deviations)
            and len(self.known) == len(self.categories)
        ):
            raise ConfigError(
                f"tabular: {self.name}: expected columns, each named once, with a mean and a positive deviation for "
                f"each of the {scaled} with numbers or dates, and a list of categories for each of the "
                f"{len(self.categories)} others."
            )

    @cached_property
    def scaling(self) -> tuple[np.ndarray, np.ndarray]:
        """Mean and standard deviation of each feature, float64 (features,); waves stay as they are."""
        mean, deviation = np.zeros(self.features), np.ones(self.features)
        mean[self.firsts], deviation[self.firsts] = self.means, self.deviations
        return mean, deviation

    @property
    def offsets(self) -> np.ndarray:
        """int64 (categories + 1,): the first index of each column of categories, and how many indices there are."""
        return np.cumsum([0, *(len(each) + 2 for each in self.known)])

    @property
    def tensors(self) -> tuple[TensorSpec, ...]:
        """``<name>_numbers`` and ``<name>_missing`` (1 where a cell is empty), float32; ``<name>_categories``, int32.

        The first two are left out where there are neither numbers nor dates, the last without categories.
        """
        tensors = [
            TensorSpec(f"{self.name}_numbers", (self.features,), "float32"),
            TensorSpec(f"{self.name}_missing", (len(self.scaled),), "float32"),
            TensorSpec(f"{self.name}_categories", (len(self.categories),), "int32"),
        ]
        return tuple(tensor for tensor in tensors if tensor.shape != (0,))

    def preprocess(self, value: Any) -> dict[str, np.ndarray]:
        """Read one row.

        Args:
            value: cells by column, as a mapping or as the text of a JSON object, or a line of CSV; see `read_cells`.

        Raises:
            DataError: a column that the model does not have, or a cell that cannot be read.
        """
        cells = read_cells(self, value)
        mean, deviation = self.scaling
        empty = np.isnan(cells.features)
        scaled = np.clip((np.where(empty, mean, cells.features) - mean) / deviation, -FURTHEST, FURTHEST)
        made = {
            f"{self.name}_numbers": np.where(empty, 0.0, scaled).astype(np.float32),
            f"{self.name}_missing": empty[self.firsts].astype(np.float32),
            f"{self.name}_categories": self._indices(cells),
        }
        return {tensor.name: made[tensor.name] for tensor in self.tensors}

    def by_name(self, value: Any) -> Any:
        """Return a row as the text of a JSON object; unchanged if ``date_format`` cannot write one of its dates."""
        named = read_cells(self, value).by_column(self)
        own, again = self.preprocess(value), self.preprocess(named)
        return named if all(np.array_equal(own[name], again[name]) for name in own) else value

    def _indices(self, cells: Cells) -> np.ndarray:
        found = [
            table.get(name, UNKNOWN) if name else MISSING for table, name in zip(self._tables, cells.names, strict=True)
        ]
        return (self.offsets[:-1] + found).astype(np.int32)

    @cached_property
    def _tables(self) -> tuple[dict[str, int], ...]:
        return tuple({name: UNKNOWN + 1 + i for i, name in enumerate(names)} for names in self.known)

    def coverage(self, values: Iterable[Any]) -> dict[str, float]:
        """Return how much of rows the model does not see: ``unknown`` categories and ``cut`` numbers, as shares."""
        total = unknown = cut = 0
        mean, deviation = self.scaling
        for value in filter(lambda each: each is not None, values):
            cells = read_cells(self, value)
            total += len(self.columns)
            unknown += sum(bool(n) and n not in table for n, table in zip(cells.names, self._tables, strict=True))
            cut += int((np.abs(cells.features - mean) > FURTHEST * deviation).sum())
        return {"unknown": unknown / max(1, total), "cut": cut / max(1, total)}

    def scenarios(self) -> dict[str, Callable[[Any], Any]]:
        """Return ``one_column_missing``, another column in each row, and ``unknown_categories``."""
        found: dict[str, Callable[[Any], Any]] = {}
        if len(self.columns) > 1:
            found["one_column_missing"] = partial(one_missing, self)
        if self.categories:
            found["unknown_categories"] = partial(unknown_categories, self)
        return found

    def probes(self) -> tuple[Any, ...]:
        """Return rows with all categories, numbers from far below to far above the mean, no cell and odd spellings."""
        scale = dict(zip(self.scaled, zip(self.means, self.deviations, strict=True), strict=True))
        return rows(self, scale, dict(zip(self.categories, self.known, strict=True)))

    @classmethod
    def from_json(cls, value: dict[str, Any], folder: Path) -> Spec:
        """Rebuild the spec."""
        if isinstance(known := value.get("known"), list):
            value = {**value, "known": tuple(tuple(each) if isinstance(each, list) else each for each in known)}
        return cast(Spec, super().from_json(value, folder))
