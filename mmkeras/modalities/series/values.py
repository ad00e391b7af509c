"""Reads a series in every raw form as steps of one length, by its times on a regular grid. numpy only."""

from __future__ import annotations

import contextlib
import datetime
import io
import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from mmkeras.core.errors import DataError, nearest
from mmkeras.media.cells import is_empty
from mmkeras.media.dates import EPOCH, moment_of
from mmkeras.modalities.series.numbers import as_floats, content, from_text, read_array

__all__ = ["Layout", "Reading", "read_series", "write_npy"]

_PARTS = ("values", "times")
"""Keys of a series with the time of every step."""


class Layout:
    """How a raw value becomes steps, as fields of the classes that derive from this one."""

    length: int
    features: int
    parts: tuple[str, ...]
    parts_are: Literal["features", "steps"]
    times: str
    interval: float

    @property
    def columns(self) -> tuple[str, ...]:
        """Columns of the table that make one series; empty where a single cell holds it."""
        return (*self.parts, *((self.times,) if self.times else ()))


@dataclass(frozen=True)
class Reading:
    """A series that was read."""

    steps: np.ndarray
    """float64 (length, features), the last step last; NaN where a number is missing."""
    cut: int
    """Given steps that are older than the first of ``length`` steps."""
    merged: int
    """Given steps in the interval of a later one, which replaced them."""


def read_series(layout: Layout, value: Any) -> Reading:
    """Read a series.

    Args:
        layout: length, features, parts and interval.
        value: numbers (n,), or steps of several features (n, features), as a list, an array, JSON text, the path or
            bytes of a .npy file; for one feature also a text of numbers. None, NaN and words such as NA are missing
            numbers. A mapping, or the text of a JSON object, has cells by column, or ``values`` and ``times``.

    Raises:
        DataError: something else, numbers that are not finite, no number at all, or times that go back.
    """
    found, times = _parts(layout, value)
    steps = _as_steps(layout, found)
    if np.isnan(steps).all():
        raise DataError(f"expected a series with at least one number, got {len(steps)} missing steps")
    if times is None:
        kept = steps[-layout.length :]
        whole = np.full((layout.length, layout.features), np.nan)
        whole[layout.length - len(kept) :] = kept
        return Reading(_some(whole), len(steps) - len(kept), 0)
    return _on_grid(layout, steps, _in_order(times, len(steps)))


def write_npy(steps: np.ndarray) -> bytes:
    """Return steps float64 (length, features) as a .npy file."""
    stream = io.BytesIO()
    np.lib.format.write_array(stream, np.ascontiguousarray(steps, "<f8"), (1, 0))
    return stream.getvalue()


def _parts(layout: Layout, value: Any) -> tuple[np.ndarray, Any]:
    """Return the numbers and the times of a value; None without times."""
    value = content(value)
    if isinstance(value, str | bytes) and value.lstrip()[:1] in ("{", b"{"):
        try:
            value = json.loads(value)
        except (ValueError, RecursionError) as error:
            raise DataError(
                f'expected a JSON object such as {{"values": [1, 2]}}, got {value!r:.60}: {error}'
            ) from None
    if not isinstance(value, Mapping):
        return read_array(value), None
    known = layout.columns if any(name in layout.columns for name in value) else _PARTS
    for name in value:
        if name not in known:
            raise DataError(f"the model has no column {name!r}; {nearest(str(name), known)}")
    if known == _PARTS:
        return read_array(value.get("values", [])), value.get("times")
    times = value.get(layout.times) if layout.times else None
    if layout.times and is_empty(times):
        raise DataError(f"column {layout.times!r}: expected the times of the steps, got an empty cell")
    cells = [value.get(name) for name in layout.parts]
    if layout.parts_are == "steps":
        return as_floats(cells), times
    return _by_feature(layout.parts, cells), times


def _by_feature(columns: Sequence[str], cells: Sequence[Any]) -> np.ndarray:
    """Return steps (n, features) of columns with a list each; an empty cell is a feature without numbers."""
    lists: dict[str, np.ndarray] = {}
    for name, cell in zip(columns, cells, strict=True):
        if is_empty(cell):
            continue
        try:
            lists[name] = read_array(cell)
        except DataError as error:
            raise DataError(f"column {name!r}: {error}") from None
        if lists[name].ndim != 1:
            raise DataError(f"column {name!r}: expected a list of numbers, got shape {lists[name].shape}")
    lengths = {name: len(each) for name, each in lists.items()}
    if len(set(lengths.values())) > 1:
        said = ", ".join(f"{name!r} {count}" for name, count in lengths.items())
        raise DataError(f"expected lists of one length in all columns, got {said}")
    length = next(iter(lengths.values()), 1)
    return np.stack([lists.get(name, np.full(length, np.nan)) for name in columns], axis=1)


def _as_steps(layout: Layout, found: np.ndarray) -> np.ndarray:
    """Return numbers as steps (n, features)."""
    if found.ndim == 1 and layout.features == 1:
        return found[:, None]
    if found.ndim != 2 or found.shape[1] != layout.features:
        many = "numbers" if layout.features == 1 else f"steps of {layout.features} numbers each"
        raise DataError(f"expected {many}, got the shape {found.shape}. Check the option features")
    return found


def _in_order(given: Any, steps: int) -> np.ndarray:
    """Return the times (n,) of the steps as numbers, dates as days since 1970."""
    if isinstance(given, str):
        given = from_text(given)
    if isinstance(given, str | Mapping) or not (hasattr(given, "__array__") or isinstance(given, Sequence)):
        raise DataError(f"expected a list of times, got {type(given).__name__}: {given!r:.60}")
    # Iterated, not converted to a list: numpy's tolist turns times in nanoseconds into whole numbers.
    times = np.array([_time(cell, step) for step, cell in enumerate(given, 1)], np.float64)
    if len(times) != steps:
        raise DataError(f"expected a time for each of the {steps} steps, got {len(times)}")
    back = np.flatnonzero(np.diff(times) < 0)
    if len(back):
        step = int(back[0]) + 2
        raise DataError(
            f"step {step}: its time {given[step - 1]!s:.40} is before that of the step before it. Sort the steps"
        )
    return times


def _time(cell: Any, step: int) -> float:
    number = math.nan
    if isinstance(cell, int | float | np.number) and not isinstance(cell, bool):
        number = float(cell)
    elif (moment := moment_of(cell)) is not None:
        number = (moment - EPOCH) / datetime.timedelta(days=1)
    elif isinstance(cell, str):
        with contextlib.suppress(ValueError):
            number = float(cell)
    if not math.isfinite(number):
        raise DataError(f"step {step}: expected a time: a number, or a date such as 2024-05-31, got {cell!r:.60}")
    return number


def _on_grid(layout: Layout, steps: np.ndarray, times: np.ndarray) -> Reading:
    """Put steps into intervals, counted back from the last time; intervals without a step are missing."""
    if layout.interval <= 0:
        raise DataError("the model's steps have no interval: leave the times out, or set the option interval")
    back = np.rint((times[-1] - times) / layout.interval)
    inside = back < layout.length
    places = layout.length - 1 - back[inside].astype(np.int64)
    whole = np.full((layout.length, layout.features), np.nan)
    for place, step in zip(places, steps[inside], strict=True):
        whole[place] = np.where(np.isnan(step), whole[place], step)
    merged = len(places) - len(np.unique(places))
    return Reading(_some(whole), int((~inside).sum()), merged)


def _some(whole: np.ndarray) -> np.ndarray:
    if np.isnan(whole).all():
        raise DataError(f"no number in the last {len(whole)} steps; the numbers before them are not used")
    return whole
