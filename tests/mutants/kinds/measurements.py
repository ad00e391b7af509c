"""Faults of a model that reads a row of a table and a series: before the model, on the host, in bundle and weights."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from tests.mutants.kind import MEASUREMENTS, Arrays, Edit, HostChange, Kind, Plant, Scene, Signal
from tests.mutants.kinds.bundles import manifest_edit, modality, set_in_manifest
from tests.mutants.kinds.hosts import Tensors, preprocessed, presence_changed
from tests.mutants.kinds.inputs import Change, changed, previous, tied
from tests.mutants.kinds.weights import edit, noise, swapped, zero

__all__ = ["KINDS"]

NUMBERS, EMPTY, CATEGORIES = "row_numbers", "row_missing", "row_categories"
VALUES, MASK, LEVEL = "signal_values", "signal_mask", "signal_level"
NAMES = {"row": "tabular", "signal": "series"}
"""Kinds of the modalities by their names in the model."""


def _each_presence(change: Change) -> dict[str, Plant]:
    return {name: changed(f"{name}_present", change) for name in NAMES}


def _blind(*names: str) -> Signal:
    return Signal(inputs=lambda arrays, scene: arrays | {name: np.zeros_like(arrays[name]) for name in names})


def _column(change: Change, at: int) -> Change:
    def one(values: np.ndarray) -> np.ndarray:
        values = values.copy()
        values[:, at] = change(values[:, at])
        return values

    return one


def _coarse(values: np.ndarray) -> np.ndarray:
    """Half the resolution in time: two steps are their mean."""
    batch, steps, features = values.shape
    return np.asarray(values.reshape(batch, steps // 2, 2, features).mean(2).repeat(2, 1))


def _next(categories: np.ndarray) -> np.ndarray:
    """Return the next of the three known categories, which follow those of empty and unknown cells."""
    return np.where(categories >= 2, 2 + (categories - 1) % 3, categories)


def _newest_lost(arrays: Arrays, scene: Scene) -> Arrays:
    keep = (np.arange(arrays[MASK].shape[1]) < arrays[MASK].shape[1] * 3 // 4)[None, :, None]
    return {**arrays, VALUES: arrays[VALUES] * keep.astype(np.float32), MASK: arrays[MASK] * keep}


_INPUTS: tuple[tuple[str, str, dict[str, Plant]], ...] = (
    (
        "measured-branch-blind",
        "a branch sees the same values in every sample",
        {"row": _blind(NUMBERS, CATEGORIES), "signal": _blind(VALUES, LEVEL)},
    ),
    ("measured-presence-ignored", "a modality always counts as there", _each_presence(np.ones_like)),
    ("measured-presence-inverted", "a modality counts as there where it is missing", _each_presence(lambda v: 1 - v)),
    ("measured-presence-never", "a modality always counts as missing", _each_presence(np.zeros_like)),
    ("measured-presence-tied", "one missing modality makes both missing", {"": tied("row", "signal")}),
    (
        "measured-stale-input",
        "a modality of the sample before",
        {"row": previous(NUMBERS, EMPTY, CATEGORIES), "signal": previous(VALUES, MASK, LEVEL)},
    ),
    ("columns-swapped", "two columns of numbers are exchanged", {"": changed(NUMBERS, lambda v: v[:, ::-1])}),
    (
        "number-in-another-unit",
        "a number is multiplied",
        {str(by): changed(NUMBERS, _column(lambda v, b=by: v * b, 0)) for by in (0.1, 0.5, 2.0, 10.0)},  # type: ignore[misc]
    ),
    (
        "number-standardised-otherwise",
        "a number is shifted by so many standard deviations",
        {str(by): changed(NUMBERS, _column(lambda v, b=by: v + b, 0)) for by in (0.25, 1.0, -1.0)},  # type: ignore[misc]
    ),
    ("number-negated", "a number has the other sign", {"": changed(NUMBERS, _column(np.negative, 0))}),
    ("missing-number-not-marked", "an empty cell counts as the mean", {"": changed(EMPTY, np.zeros_like)}),
    ("missing-number-always-marked", "every number counts as empty", {"": changed(EMPTY, np.ones_like)}),
    ("category-off-by-one", "every category is the next one", {"": changed(CATEGORIES, _next)}),
    ("category-unknown", "every category counts as unknown", {"": changed(CATEGORIES, np.ones_like)}),
    ("category-of-the-first-row", "every row has the same category", {"": changed(CATEGORIES, lambda v: v * 0 + 2)}),
    ("series-reversed", "the newest step is the oldest", {"": changed(VALUES, lambda v: v[:, ::-1])}),
    (
        "series-shifted",
        "the series is so many steps late",
        {str(by): changed(VALUES, lambda v, b=by: np.roll(v, b, 1)) for by in (1, 4, 8)},  # type: ignore[misc]
    ),
    ("series-negated", "the series has the other sign", {"": changed(VALUES, np.negative)}),
    (
        "series-scaled",
        "the series is multiplied",
        {str(by): changed(VALUES, lambda v, b=by: v * b) for by in (0.5, 1.5, 3.0)},  # type: ignore[misc]
    ),
    ("series-coarse", "half the steps", {"": changed(VALUES, _coarse)}),
    ("series-newest-lost", "the last quarter is missing", {"": Signal(inputs=_newest_lost)}),
    ("series-mask-ignored", "missing steps count as the mean", {"": changed(MASK, np.ones_like)}),
    ("series-mask-never", "every step counts as missing", {"": changed(MASK, np.zeros_like)}),
    ("series-level-lost", "mean and deviation of the window are 0", {"": changed(LEVEL, np.zeros_like)}),
    ("series-level-swapped", "mean and deviation are exchanged", {"": changed(LEVEL, lambda v: v[:, ::-1])}),
)


def _host(kind: str, change: Callable[[Any, Any, Callable[[Any], Tensors]], Tensors]) -> HostChange:
    return HostChange(lambda: preprocessed(kind, change))


def _after(kind: str, name: str, change: Change) -> HostChange:
    """Change one tensor of a preprocessed value."""

    def after(spec: Any, value: Any, own: Callable[[Any], Tensors]) -> Tensors:
        made = own(value)
        return made | {name: np.ascontiguousarray(change(made[name])).astype(made[name].dtype)}

    return _host(kind, after)


def _unscaled(spec: Any, value: Any, own: Callable[[Any], Tensors]) -> Tensors:
    """Give numbers as they are in the table."""
    mean, deviation = spec.scaling
    made = own(value)
    return made | {NUMBERS: (made[NUMBERS] * deviation + mean).astype(np.float32)}


def _oldest_kept(spec: Any, value: Any, own: Callable[[Any], Tensors]) -> Tensors:
    """Cut long series at their end."""
    return own(value[: spec.length] if isinstance(value, list | tuple | np.ndarray) else value)


def _empty_as_zero(spec: Any, value: Any, own: Callable[[Any], Tensors]) -> Tensors:
    """Read missing steps as zeros."""
    from mmkeras.modalities.series.values import read_series

    return own(np.nan_to_num(read_series(spec, value).steps))


_HOSTS: tuple[tuple[str, str, dict[str, HostChange]], ...] = (
    ("host-columns-swapped", "two numbers are exchanged", {"": _after("tabular", NUMBERS, lambda v: v[::-1])}),
    ("host-numbers-not-standardised", "numbers stay as they are", {"": _host("tabular", _unscaled)}),
    ("host-missing-not-marked", "an empty cell counts as the mean", {"": _after("tabular", EMPTY, np.zeros_like)}),
    (
        "host-category-off-by-one",
        "every category is the next one",
        {"": _after("tabular", CATEGORIES, lambda v: v + 1)},
    ),
    (
        "host-numbers-rounded",
        "standardised numbers are rounded to one digit",
        {"": _after("tabular", NUMBERS, lambda v: np.round(v, 1))},
    ),
    ("host-series-reversed", "the newest step is the oldest", {"": _after("series", VALUES, lambda v: v[::-1])}),
    ("host-series-late", "the series is one step late", {"": _after("series", VALUES, lambda v: np.roll(v, 1, 0))}),
    ("host-series-oldest-kept", "long series lose their newest steps", {"": _host("series", _oldest_kept)}),
    ("host-series-missing-as-zero", "missing steps are read as 0", {"": _host("series", _empty_as_zero)}),
    ("host-series-mask-full", "missing steps count as the mean", {"": _after("series", MASK, np.ones_like)}),
    (
        "host-series-level-of-another-window",
        "mean and deviation are those of no window",
        {"": _after("series", LEVEL, lambda v: v + 1)},
    ),
    (
        "host-measured-presence-inverted",
        "a modality that is there counts as missing",
        {name: presence_changed(kind, lambda v: np.asarray(1 - v, v.dtype)) for name, kind in NAMES.items()},
    ),
    (
        "host-measured-presence-ignored",
        "a missing modality counts as there",
        {name: presence_changed(kind, np.ones_like) for name, kind in NAMES.items()},
    ),
)


def _rolled(kind: str, name: str) -> Edit:
    def roll(manifest: dict[str, Any]) -> None:
        given = modality(manifest, kind)[name]
        modality(manifest, kind)[name] = [*given[1:], given[0]]

    return manifest_edit(roll)


def _roll_categories(manifest: dict[str, Any]) -> None:
    first, *rest = modality(manifest, "tabular")["known"]
    modality(manifest, "tabular")["known"] = [[*first[1:], first[0]], *rest]


def _scaled(manifest: dict[str, Any]) -> None:
    given = modality(manifest, "tabular")
    given["deviations"] = [1.1 * each for each in given["deviations"]]


_BUNDLES: tuple[tuple[str, str, dict[str, Edit]], ...] = (
    ("means-altered", "the means of two columns are exchanged", {"": _rolled("tabular", "means")}),
    ("deviations-altered", "the deviations are a tenth larger", {"": manifest_edit(_scaled)}),
    ("columns-of-the-manifest", "two columns are exchanged", {"": _rolled("tabular", "numbers")}),
    ("categories-of-the-manifest", "the categories are in another order", {"": manifest_edit(_roll_categories)}),
    ("window-altered", "another length of the series", {"": set_in_manifest("series", "length", 24)}),
    (
        "window-normalised-otherwise",
        "another way to normalise",
        {"": set_in_manifest("series", "normalise", "training")},
    ),
    ("window-level-altered", "another mean of the training windows", {"": set_in_manifest("series", "means", [9.0])}),
)

_LAYERS = ("series patches", "series summary", "row numbers", "row categories", "fusion value", "head")
_WEIGHTS: tuple[tuple[str, str, dict[str, Plant]], ...] = (
    (
        "measured-weights-noisy",
        "noise on the weights of one layer, as a share of their standard deviation",
        {f"{layer} {share:.0%}": edit(layer, noise(share)) for layer in _LAYERS for share in (0.05, 0.2, 1.0)},
    ),
    ("measured-layer-zeroed", "the weights of a layer are 0", {layer: edit(layer, zero) for layer in _LAYERS}),
    (
        "measured-layer-reversed",
        "the weights of a layer are in reverse order",
        {layer: edit(layer, lambda v, r: v[::-1]) for layer in ("series patches", "row categories")},
    ),
    ("measured-layers-exchanged", "two layers have each other's weights", {"": swapped("fusion key", "fusion value")}),
    (
        "measured-null-token-ignored",
        "nothing stands for a missing modality",
        {name: edit(f"{name} null token", zero) for name in NAMES},
    ),
)

KINDS = (
    *(Kind(name, what, plants, subjects=MEASUREMENTS) for name, what, plants in (*_INPUTS, *_WEIGHTS)),
    *(Kind(name, what, edits, place="bundle", subjects=MEASUREMENTS) for name, what, edits in _BUNDLES),
    *(
        Kind(name, f"{what}, {when}", changes, place=place, subjects=MEASUREMENTS)
        for place, when in (("device", "on the device"), ("export", "while the export verifies, and on the device"))
        for name, what, changes in _HOSTS
    ),
)
