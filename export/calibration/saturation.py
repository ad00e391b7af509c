"""Whether ranges hold: on samples that they were not measured on, and from one half of the samples to the other."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from export.calibration.audit import split_samples
from export.calibration.calibration import Calibration
from export.calibration.choose import SPLIT, choose_samples
from export.calibration.ranges import Activation, Ranges, activation_values, activations, extremes
from mmkeras.core.errors import ExportError

if TYPE_CHECKING:
    from export.source import Source

__all__ = ["agreement", "audit_ranges", "fresh_inputs", "saturation"]

VALIDATION = "validation"
"""Neither trained on nor verified on."""
FRESH = 100
"""Samples on which saturation is measured."""
SATURATED = 0.002
"""Share of a layer's values beyond its range from which a person is told; 200 good samples leave less than 0.001."""
AGREE = 0.6
"""Share of both halves' ranges that they have in common, below which a person is told; 0.76 and more are usual for 200
samples, 0.5 for 10."""
NAMED = 3
"""Layers that a warning names."""
STEPS = 255
"""Steps of an int8 range."""


def audit_ranges(
    path: Path,
    calibration: Calibration,
    fresh: Mapping[str, np.ndarray],
    ranges: Ranges | None = None,
) -> list[str]:
    """Return what there is to warn of in the ranges of a static int8 file, naming the worst Keras layers.

    Args:
        path: the float32 LiteRT file, static batch 1.
        calibration: the samples that ranges are measured on.
        fresh: other samples (N, ...) by input name, as `fresh_inputs` gives them.
        ranges: by tensor name, as the file was quantised with; those of the calibration samples where not given.

    Raises:
        ExportError: the file has nothing to quantise, or there are no samples.
    """
    found = activations(path)
    seen = extremes(path, calibration.inputs, found)
    if ranges is not None:
        known = [number for number, each in enumerate(found) if each.name in ranges]
        found, seen = tuple(found[number] for number in known), seen[:, known]
        given = np.asarray([ranges[each.name] for each in found], np.float64)
    else:
        given = np.stack([seen[..., 0].min(axis=0), seen[..., 1].max(axis=0)], axis=1)
    count = len(next(iter(fresh.values()))) if fresh else 0
    warnings = []
    if count:
        beyond = saturation(path, fresh, found, given)
        lines = _worst(found, beyond, beyond > SATURATED, "{:.2%}")
        if lines:
            warnings.append(
                f"Saturation: on {count} fresh samples, values lie beyond the range of {lines}. They are cut to "
                "it; more or other calibration samples widen it."
            )
    if len(calibration) > 1:
        common = agreement(seen)
        lines = _worst(found, -common, common < AGREE, "{:.0%} in common", -1)
        if lines:
            warnings.append(
                f"Two halves of the {len(calibration)} calibration samples disagree on the range of {lines}: take more."
            )
    return warnings


def saturation(
    path: Path, inputs: Mapping[str, np.ndarray], wanted: tuple[Activation, ...], ranges: np.ndarray
) -> np.ndarray:
    """Return the share (activations,) of values that int8 cuts: beyond the range by more than half a step.

    Args:
        path: the float32 LiteRT file.
        inputs: samples (N, ...) by input name.
        wanted: activations to look at.
        ranges: smallest and largest value (activations, 2) of each; 0 is always in a range.
    """
    low, high = np.minimum(ranges[:, 0], 0), np.maximum(ranges[:, 1], 0)
    half = (high - low) / STEPS / 2
    cut, total = np.zeros(len(wanted)), np.zeros(len(wanted))
    for values in activation_values(path, inputs, wanted):
        for number, value in enumerate(values):
            cut[number] += ((value < low[number] - half[number]) | (value > high[number] + half[number])).sum()
            total[number] += value.size
    return np.asarray(cut / np.maximum(total, 1))


def agreement(seen: np.ndarray, seed: int = 0) -> np.ndarray:
    """Return the share (activations,) of both halves' ranges that two random halves of the samples have in common.

    Args:
        seen: smallest and largest value (N, activations, 2) of every sample.
        seed: of the halves.
    """
    order = np.random.default_rng(seed).permutation(len(seen))
    middle = (len(seen) + 1) // 2
    halves = [seen[order[:middle]], seen[order[middle:]]]
    lows = np.stack([np.minimum(half[..., 0].min(axis=0), 0) for half in halves])
    highs = np.stack([np.maximum(half[..., 1].max(axis=0), 0) for half in halves])
    both, either = highs.min(axis=0) - lows.max(axis=0), highs.max(axis=0) - lows.min(axis=0)
    return np.asarray(np.where(either > 0, both / np.where(either > 0, either, 1), 1.0))


def fresh_inputs(
    source: Source, count: int = FRESH, step: Callable[[str], None] = lambda line: None
) -> dict[str, np.ndarray]:
    """Return samples that were not calibrated on: of the validation split, spread as calibration samples are.

    Without a validation split they are other training samples, drawn anew; a few of them may be calibration samples.

    Args:
        source: the model with its specs and data.
        count: samples.
        step: called with a line now and then; for a progress bar.

    Returns:
        Arrays (N, ...) by input name; empty without data.
    """
    has_validation = source.index is not None and source.index.samples(VALIDATION) > 0
    split = VALIDATION if has_validation else SPLIT
    try:
        return choose_samples(
            lambda: split_samples(source, split), source.specs, source.task, count, seed=1, step=step
        ).inputs
    except ExportError:
        return {}


def _worst(found: tuple[Activation, ...], badness: np.ndarray, bad: np.ndarray, form: str, sign: int = 1) -> str:
    """Return the worst layers with their number, each once."""
    named: dict[str, str] = {}
    for number in np.argsort(-badness, kind="stable"):
        if bad[number]:
            each = found[number]
            name = each.layer.layer if each.written else f"the input of {each.layer.layer}"
            named.setdefault(name, form.format(sign * badness[number]))
    if not named:
        return ""
    listed = ", ".join(f"{name} ({value})" for name, value in list(named.items())[:NAMED])
    return listed + (f" and {len(named) - NAMED} more" if len(named) > NAMED else "")
