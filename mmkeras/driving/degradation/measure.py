"""Metrics of a model when a sensor is dead, late, misaligned or blind.

It runs the Keras model or any exported file. Sensor faults change the radar's raw values, as its spec describes them in
``scenarios()``; night, fog and rain are the samples recorded in these conditions.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from mmkeras.core.errors import DataError
from mmkeras.evaluation.predict import Variant, predict
from mmkeras.evaluation.samples import Samples
from mmkeras.modalities import ModalitySpec
from mmkeras.tasks import TaskSpec

__all__ = ["SCENARIOS", "SHOWN", "Scenario", "degradation"]

SHOWN = ("mAP", "NDS_front", "velocity_error")
"""Metrics of the detection task shown in the table."""


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


def degradation(
    infer: Any,
    samples: Samples,
    specs: Mapping[str, ModalitySpec],
    task: TaskSpec,
    *,
    metrics: Sequence[str] = SHOWN,
    batch_size: int = 64,
    scenarios: Iterable[Scenario] = SCENARIOS,
    progress: Callable[[str], None] = lambda title: None,
) -> dict[str, dict[str, Any]]:
    """Score a model in every scenario.

    A scenario is left out where it does not apply: the fault of a sensor that the model lacks, the loss of its only
    sensor, or a condition in which no sample was recorded.

    Args:
        infer: Keras model with dict inputs and outputs, or a callable on dicts of numpy arrays such as a Runner's
            ``infer``.
        samples: the samples, with raw values for the radar's faults.
        specs: modality specs by name.
        task: computes the metrics.
        metrics: names of the metrics to return.
        batch_size: samples in a batch.
        scenarios: scenarios to score.
        progress: called with the title of each scenario before it runs.

    Returns:
        The metrics and ``samples`` by scenario; a metric that is not defined is ``None``.

    Raises:
        DataError: no raw values to apply a fault to, or outputs that are not finite.
    """
    result: dict[str, dict[str, Any]] = {}
    whole: dict[str, np.ndarray] | None = None
    for scenario in scenarios:
        chosen = _chosen(scenario, samples)
        variant, changed = Variant(), samples
        if scenario.dead:
            variant = Variant(absent=frozenset(name for name, spec in specs.items() if spec.kind == scenario.dead))
        if scenario.fault:
            changed = _faulty(scenario.fault, samples, specs)
        unchanged = changed is samples and not variant.absent
        if not chosen.any() or len(variant.absent) == len(specs) or (unchanged and (scenario.dead or scenario.fault)):
            continue
        progress(scenario.title)
        if unchanged and whole is None:
            whole = predict(infer, samples, specs, batch_size=batch_size)
        outputs = (
            whole if unchanged and whole else predict(infer, changed, specs, batch_size=batch_size, variant=variant)
        )
        score = task.score(
            samples.targets[chosen], {name: array[chosen] for name, array in outputs.items()}, samples.weights[chosen]
        )
        numbers = {name: float(score[name]) if np.isfinite(score[name]) else None for name in metrics}
        result[scenario.name] = {**numbers, "samples": int(chosen.sum())}
    return result


def _chosen(scenario: Scenario, samples: Samples) -> np.ndarray:
    if not scenario.column:
        return np.ones(len(samples), bool)
    if scenario.column not in samples.columns:
        return np.zeros(len(samples), bool)
    return np.asarray((samples.columns[scenario.column] == scenario.value) & (samples.weights > 0))


def _faulty(fault: str, samples: Samples, specs: Mapping[str, ModalitySpec]) -> Samples:
    """Return the samples with the inputs of every modality that knows a fault made from its changed raw values."""
    inputs = dict(samples.inputs)
    for name, spec in specs.items():
        change = spec.scenarios().get(fault) if spec.kind == "radar" else None
        if change is None:
            continue
        if not samples.raw:
            raise DataError(
                f"The scenario {fault!r} changes the raw values of {name!r}, and there are none. "
                "Read the samples with mmkeras.evaluation.read."
            )
        rows = [spec.inputs(None if row.get(name) is None else change(row[name])) for row in samples.raw]
        for tensor in (*spec.tensors, spec.present):
            inputs[tensor.name] = np.stack([row[tensor.name] for row in rows]).astype(tensor.dtype, copy=False)
    unchanged = all(inputs[name] is array for name, array in samples.inputs.items())
    return samples if unchanged else dataclasses.replace(samples, inputs=inputs)
