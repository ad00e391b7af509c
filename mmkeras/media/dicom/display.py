"""Maps stored grey values to visible ones: modality rescale, value of interest, inversion (DICOM PS3.3 C.11, C.7.6.16).

`mmkeras.modalities.image.dicom_graph` is the equivalent in the graph.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from mmkeras.core.errors import DataError

__all__ = ["FUNCTIONS", "TIE", "Display", "display", "frame_display"]

FUNCTIONS = ("LINEAR", "LINEAR_EXACT", "SIGMOID")
TIE = 2.0**-20
"""Added before rounding: halves are common, and float errors could round them up here and down in the graph."""


@dataclass(frozen=True)
class Display:
    """How grey values are displayed."""

    slope: float = 1.0
    """Measured value = slope * stored value + intercept, for example Hounsfield units."""
    intercept: float = 0.0
    center: float = 0.0
    """Middle of the window, in measured values."""
    width: float = 1.0
    """Width of the window, in measured values."""
    function: str = "LINEAR_EXACT"
    """``LINEAR`` (its half-pixel terms suit whole numbers), ``LINEAR_EXACT`` or ``SIGMOID``."""
    inverted: bool = False
    """Whether the lowest value is white (MONOCHROME1)."""
    modality_table: Any = None
    """A data set with a modality lookup table in place of slope and intercept."""
    interest_table: Any = None
    """A data set with a value-of-interest lookup table in place of the window."""


def display(values: np.ndarray, by: Display) -> np.ndarray:
    """Return grey levels, uint8 (H, W), of stored values (H, W)."""
    measured = _measured(values, by)
    if by.interest_table is not None:
        from pydicom.pixels import apply_voi

        looked_up = apply_voi(measured.astype(np.int64), by.interest_table)
        share = looked_up / ((1 << int(by.interest_table.VOILUTSequence[0].LUTDescriptor[2])) - 1)
    else:
        share = _windowed(measured, by)
    share = np.clip(share, 0.0, 1.0)
    return np.rint(np.minimum(255.0 * (1.0 - share if by.inverted else share) + TIE, 255.0)).astype(np.uint8)


def frame_display(dataset: Any, index: int, values: np.ndarray) -> Display:
    """Return the display of a frame, given by its index from 0 and its stored values (H, W).

    The first of several windows counts. Without a window or table the frame's own smallest and largest value, without
    padding, are black and white. Functional groups of an enhanced file precede its own elements.

    Raises:
        DataError: a rescale or a window that is not a finite number.
    """
    places = list(_places(dataset, index))
    table = next((place for place in places if place.get("ModalityLUTSequence")), None)
    slope, intercept = _first(places, "RescaleSlope", 1.0), _first(places, "RescaleIntercept", 0.0)
    result = Display(
        slope, intercept, inverted=dataset.PhotometricInterpretation == "MONOCHROME1", modality_table=table
    )
    interest = next((place for place in places if place.get("VOILUTSequence")), None)
    if interest is not None and values.dtype.kind != "f":
        return replace(result, interest_table=interest)
    center, width = _first(places, "WindowCenter", math.nan), _first(places, "WindowWidth", math.nan)
    function = next((str(place.VOILUTFunction) for place in places if place.get("VOILUTFunction")), "LINEAR")
    if function == "LINEAR" and values.dtype.kind == "f":
        # Its half-pixel terms are for whole numbers: a window from 0 to 1 would become a step.
        function = "LINEAR_EXACT"
    # A linear window of less than 1, or any other of 0 or less, has no meaning.
    if math.isnan(center) or math.isnan(width) or width < (1.0 if function == "LINEAR" else 1e-12):
        return _own_range(dataset, values, result)
    if function not in FUNCTIONS:
        raise DataError(f"VOI LUT function: expected one of {', '.join(FUNCTIONS)}")
    return replace(result, center=center, width=width, function=function)


def _places(dataset: Any, index: int) -> Iterator[Any]:
    """Yield the data sets that may hold a frame's values, in order of precedence."""
    groups = []
    if per_frame := dataset.get("PerFrameFunctionalGroupsSequence"):
        groups += [per_frame[index]] if index < len(per_frame) else []
    groups += list(dataset.get("SharedFunctionalGroupsSequence") or [])[:1]
    for group in groups:
        for key in ("PixelValueTransformationSequence", "FrameVOILUTSequence"):
            yield from list(group.get(key) or [])[:1]
    yield dataset


def _first(places: list[Any], key: str, default: float) -> float:
    """Return the first value of an element in the first place that has it."""
    for place in places:
        value = place.get(key)
        if hasattr(value, "__iter__") and not isinstance(value, str):
            value = next(iter(value), None)
        if value not in (None, ""):
            number = float(value)
            if not math.isfinite(number) or (key == "RescaleSlope" and number == 0):
                raise DataError(f"{key}: expected a finite number other than 0")
            return number
    return default


def _own_range(dataset: Any, values: np.ndarray, result: Display) -> Display:
    padding = dataset.get("PixelPaddingValue")
    shown = values if padding in (None, "") else values[values != int(padding)]
    padded = result.intercept if result.modality_table is None else 0.0
    measured = _measured(shown, result) if shown.size else np.array([padded])
    low, high = float(measured.min()), float(measured.max())
    # A single value is black, as the lowest of several would be.
    return replace(result, center=(low + high) / 2 if high > low else low + 0.5, width=(high - low) or 1.0)


def _measured(values: np.ndarray, by: Display) -> np.ndarray:
    if by.modality_table is None:
        return by.slope * values.astype(np.float64) + by.intercept
    from pydicom.pixels import apply_modality_lut

    looked_up: np.ndarray = apply_modality_lut(values, by.modality_table).astype(np.float64)
    return looked_up


def _windowed(measured: np.ndarray, by: Display) -> np.ndarray:
    """Return the share of white, unclipped."""
    if by.function == "SIGMOID":
        return 1.0 / (1.0 + np.exp(np.clip(-4.0 * (measured - by.center) / by.width, -700.0, 700.0)))
    if by.function == "LINEAR_EXACT":
        return (measured - by.center) / by.width + 0.5
    # C.11.2.1.2.1; a width of 1 is a step.
    if by.width == 1.0:
        return (measured > by.center - 0.5).astype(np.float64)
    return (measured - (by.center - 0.5)) / (by.width - 1.0) + 0.5
