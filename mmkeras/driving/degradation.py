"""Metrics of a model when a sensor is dead, late, misaligned or blind.

It runs the Keras model or any exported file. Sensor faults change the radar's raw values by the functions of its spec's
``scenarios()``; night, fog and rain are the samples recorded in these conditions.
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from rich.table import Table

from mmkeras.core.console import Console
from mmkeras.core.errors import DataError
from mmkeras.evaluation.pictures import figure_to_png
from mmkeras.evaluation.pictures.style import BLUE, GREEN, GREY, INK, LIGHT, ORANGE, heading, new_figure, styled
from mmkeras.evaluation.predict import Variant, predict_evidence
from mmkeras.evaluation.samples import Samples
from mmkeras.evaluation.words import is_share, number, title
from mmkeras.modalities import ModalitySpec
from mmkeras.storage.files import write_bytes, write_json
from mmkeras.tasks import TaskSpec
from mmkeras.tasks._evidence import rows_of

__all__ = ["SCENARIOS", "SHOWN", "Scenario", "degradation", "print_degradation", "record_degradation"]

SHOWN = ("mAP", "NDS_front", "velocity_error")
"""Metrics of the detection task shown in the table."""
_LESS = ("velocity_error",)
_COLOURS = (BLUE, GREEN, ORANGE)


@dataclass(frozen=True)
class Scenario:
    """One row of the table."""

    name: str
    """Key in ``metrics.json``."""
    title: str
    dead: str = ""
    """Kind of the missing modality."""
    fault: str = ""
    """Name of the radar scenario that changes the raw values."""
    column: str = ""
    """Column that selects a part of the samples."""
    value: str = ""
    """Value of the selected samples in that column."""


SCENARIOS = (
    Scenario("both", "both sensors"),
    Scenario("camera_dead", "camera dead", dead="image"),
    Scenario("radar_dead", "radar dead", dead="radar"),
    Scenario("radar_stale", "radar 200 ms stale", fault="stale"),
    Scenario("misaligned_1", "extrinsic off by 1 degree", fault="misaligned_1"),
    Scenario("misaligned_5", "extrinsic off by 5 degrees", fault="misaligned_5"),
    Scenario("half_lost", "50 % of the radar points lost", fault="half"),
    Scenario("night", "night", column="time_of_day", value="night"),
    Scenario("fog", "fog", column="weather", value="fog"),
    Scenario("rain", "rain", column="weather", value="rain"),
)
_TITLES = {scenario.name: scenario.title for scenario in SCENARIOS}


def degradation(
    infer: Any,
    samples: Samples,
    specs: Mapping[str, ModalitySpec],
    task: TaskSpec,
    *,
    batch_size: int = 64,
) -> dict[str, dict[str, Any]]:
    """Score a model in every scenario.

    A scenario is left out where it does not apply: a fault of a sensor that the model lacks, the loss of its only
    sensor, or a condition in which no sample was recorded. ``infer`` is a Keras model with dict inputs and outputs, or
    a callable on dicts of numpy arrays such as a Runner's ``infer``. The radar's faults need samples with raw values.

    Returns:
        The metrics `SHOWN` and ``samples`` by scenario; an undefined metric is ``None``.

    Raises:
        DataError: samples without raw values, or outputs that are not finite.
    """
    result: dict[str, dict[str, Any]] = {}
    whole: dict[str, np.ndarray] | None = None  # evidence of the samples as they are
    for scenario in SCENARIOS:
        chosen = _chosen(scenario, samples)
        variant, changed = Variant(), samples
        if scenario.dead:
            variant = Variant(absent=frozenset(name for name, spec in specs.items() if spec.kind == scenario.dead))
        if scenario.fault:
            changed = _faulty(scenario.fault, samples, specs)
        unchanged = changed is samples and not variant.absent
        if not chosen.any() or len(variant.absent) == len(specs) or (unchanged and (scenario.dead or scenario.fault)):
            continue
        evidence = whole if unchanged else None
        if evidence is None:
            evidence = predict_evidence(infer, changed, specs, task, batch_size=batch_size, variant=variant)
            whole = evidence if unchanged else whole
        score = task.finish(rows_of(evidence, chosen), samples.weights[chosen])
        numbers = {name: float(score[name]) if np.isfinite(score[name]) else None for name in SHOWN}
        result[scenario.name] = {**numbers, "samples": int(chosen.sum())}
    return result


def _chosen(scenario: Scenario, samples: Samples) -> np.ndarray:
    if not scenario.column:
        return np.ones(len(samples), bool)
    if scenario.column not in samples.columns:
        return np.zeros(len(samples), bool)
    return np.asarray((samples.columns[scenario.column] == scenario.value) & (samples.weights > 0))


def _faulty(fault: str, samples: Samples, specs: Mapping[str, ModalitySpec]) -> Samples:
    """Return the samples with the radar's inputs made from its changed raw values, if its spec has the fault."""
    inputs = dict(samples.inputs)
    for name, spec in specs.items():
        change = spec.scenarios().get(fault) if spec.kind == "radar" else None
        if change is None:
            continue
        if not samples.raw:
            raise DataError(
                f"The scenario {fault!r} changes the raw values of {name!r}, but the samples have none. "
                "Read the samples with mmkeras.evaluation.read."
            )
        rows = [spec.inputs(None if row.get(name) is None else change(row[name])) for row in samples.raw]
        for tensor in (*spec.tensors, spec.present):
            inputs[tensor.name] = np.stack([row[tensor.name] for row in rows]).astype(tensor.dtype, copy=False)
    unchanged = all(inputs[name] is array for name, array in samples.inputs.items())
    return samples if unchanged else dataclasses.replace(samples, inputs=inputs)


def record_degradation(folder: Path, table: Mapping[str, Mapping[str, Any]], file: str = "") -> None:
    """Add a table to ``metrics.json``, and its picture to the report; ``write_report`` shows both.

    ``folder`` is that of an evaluated run; ``table`` comes from `degradation`; ``file`` is the exported file that was
    measured, relative to its bundle, or empty for the Keras model.
    """
    path = folder / "metrics.json"
    if not path.is_file():
        raise DataError(f"Expected metrics.json in {folder}, got none. Evaluate the model before its degradation.")
    metrics = json.loads(path.read_text(encoding="utf-8"))
    if file:
        metrics["degradation_exported"] = {**metrics.get("degradation_exported", {}), file: dict(table)}
    else:
        metrics["degradation"] = dict(table)
        write_bytes(folder / "pictures" / "degradation.png", figure_to_png(_figure(table)))
    write_json(path, metrics)


def print_degradation(
    table: Mapping[str, Mapping[str, Any]], console: Console, heading: str = "Under degradation"
) -> None:
    """Print a table from `degradation`: one row per scenario and one column per metric."""
    metrics = [name for name in next(iter(table.values()), {}) if name != "samples"]
    shown = Table(title=heading, title_justify="left")
    shown.add_column("scenario")
    for metric in metrics:
        shown.add_column(title(metric), justify="right")
    shown.add_column("samples", justify="right")
    for place, (name, row) in enumerate(table.items()):
        cells = [number(metric, row[metric]) for metric in metrics]
        shown.add_row(_TITLES.get(name, name), *cells, str(row["samples"]), style="bold" if place == 0 else "")
    console.print(shown)


@styled()
def _figure(table: Mapping[str, Mapping[str, Any]]) -> Figure:
    """Draw one panel of bars per metric and one row per scenario; a dashed line marks the first scenario."""
    names = list(table)
    metrics = [name for name in table[names[0]] if name != "samples"]
    figure = new_figure(3.2 + 2.1 * len(metrics), 1.5 + 0.32 * len(names))
    panels = figure.subplots(1, len(metrics), sharey=True, squeeze=False)[0]
    places = np.arange(len(names))[::-1]
    for axes, metric, colour in zip(panels, metrics, _COLOURS * len(metrics), strict=False):
        values = [table[name][metric] for name in names]
        scale = 100 if is_share(metric) else 1
        known = np.asarray([np.nan if value is None else scale * value for value in values], np.float64)
        axes.barh(places, np.nan_to_num(known), 0.66, color=colour)
        reach = float(np.nanmax(np.append(known, 0))) or 1.0
        for place, value in zip(places, values, strict=True):
            axes.text(scale * (value or 0) + 0.02 * reach, place, number(metric, value), va="center", fontsize=8.5)
        if values[0] is not None:
            axes.axvline(scale * values[0], color=INK, linewidth=0.9, linestyle="--")
        axes.set_xlim(0, 1.28 * reach)
        axes.locator_params(axis="x", nbins=4)
        axes.grid(axis="x", color=LIGHT, linewidth=0.6)
        axes.set_axisbelow(True)
        axes.set_title(title(metric) + (", less is better" if metric in _LESS else ""), fontsize=9, color=GREY)
        axes.tick_params(axis="y", length=0)
    panels[0].set_yticks(places, [f"{_TITLES.get(name, name)} ({table[name]['samples']})" for name in names])
    heading(figure, "What is left when a sensor fails", "In brackets the samples; dashed, with both sensors.")
    return figure
