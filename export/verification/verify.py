"""Holds exported files to the Keras model: on the same real samples, in every modality scenario.

The Keras model runs once per scenario, on inputs decoded as in training, and is remembered; every file is then run by
the same Runner that the device uses.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from export.source import Source
from export.to_saved_model.endpoints import decode_batch
from export.verification.results import OutputDifference, ScenarioResult, max_or_nan
from export.verification.samples import groups_of
from export.verification.scenarios import ALL, Scenario, ScenarioInputs, scenarios
from export.verification.slices import Slices
from export.verification.standard_error import metric_error
from mmkeras.core.errors import ExportError
from mmkeras.evaluation.calibration import calibration
from mmkeras.tasks._contract import Outputs

__all__ = [
    "BATCH",
    "CLOSE",
    "Case",
    "Infer",
    "Reference",
    "keras_infer",
    "run_batches",
]

Infer = Callable[[dict[str, Any]], Mapping[str, Any]]
"""Runs a batch: arrays (B, ...) by input name -> arrays (B, ...) by output name."""

BATCH = 64
"""Samples in one forward pass."""
CLOSE = 0.05
"""Margin, in the unit of the task's confidence, up to which a changed decision was a near tie of the Keras model."""


@dataclass(frozen=True)
class Case:
    """One scenario with the Keras model's answer."""

    scenario: Scenario
    """What was done to the samples."""
    inputs: dict[str, Any]
    """Model inputs (N, ...) by tensor name, or raw values (N,) by modality for the raw endpoint."""
    outputs: dict[str, np.ndarray]
    """Outputs (N, ...) of the Keras model."""
    metric: float
    """The Keras model's task metric."""


class Reference:
    """The Keras model's outputs on the samples of a source, by scenario."""

    def __init__(self, source: Source, step: Callable[[str], None] = lambda name: None) -> None:
        """Run the Keras model in every scenario.

        Args:
            source: model, specs and samples.
            step: called with the scenario's name before each one; for a progress bar.

        Raises:
            ExportError: the Keras model itself gives NaN or infinite outputs, or preprocessing on a device gives other
                inputs than training.
        """
        self._source = source
        self.keys = tuple(sample.key for sample in source.samples)
        self.targets = np.stack([np.asarray(sample.target) for sample in source.samples])
        self.weights = np.array([sample.weight for sample in source.samples], np.float64)
        self.groups = groups_of(source.samples)
        self.infer = keras_infer(source.model)
        columns = [sample.columns for sample in source.samples]
        self._slices = Slices(source.task, columns, self.targets, self.weights, self.groups)
        inputs = ScenarioInputs(source.specs, [sample.values for sample in source.samples], self.keys)
        self.cases: list[Case] = []
        for scenario in scenarios(source.specs):
            step(scenario.name)
            self.cases.append(self._case(scenario, inputs.inputs(scenario)))
        self.spread = source.task.spread(self.cases[0].outputs)

    @property
    def metrics(self) -> dict[str, float]:
        """The Keras model's task metric by scenario."""
        return {case.scenario.name: case.metric for case in self.cases}

    def raw_cases(self) -> list[Case]:
        """Return cases for the raw endpoint: ``raw`` and, each of several modalities empty, ``raw_without_<name>``.

        Their reference is the Keras model on tensors decoded in TensorFlow, one sample at a time, as in training.
        """
        import tensorflow as tf

        specs = self._source.specs
        values = {name: [_as_bytes(sample.values.get(name)) for sample in self._source.samples] for name in specs}
        empty = [b""] * len(self.keys)
        graph = tf.function(decode_batch, autograph=False)
        decoded = {name: _numpy(graph(spec, tf.constant(values[name]))) for name, spec in specs.items()}
        cases = []
        for missing in ("", *(specs if len(specs) > 1 else ())):
            raw = {name: empty if name == missing else values[name] for name in specs}
            tensors: dict[str, np.ndarray] = {}
            for name, spec in specs.items():
                tensors |= _numpy(graph(spec, tf.constant(empty))) if name == missing else decoded[name]
            scenario = Scenario(f"raw_without_{missing}" if missing else "raw")
            case = self._case(scenario, tensors)
            cases.append(Case(scenario, {k: np.array(v, object) for k, v in raw.items()}, case.outputs, case.metric))
        return cases

    def measure(self, case: Case, infer: Infer, size: int = BATCH, *, brief: bool = False) -> ScenarioResult:
        """Run a file in one case, ``size`` samples at a time, and compare it with the Keras model.

        Args:
            case: the Keras model's answers.
            infer: runs the file.
            size: samples at a time.
            brief: leave out the slices and the metric's standard error, which take most of the time.
        """
        outputs = run_batches(infer, case.inputs, size)
        result = self.compare(case, outputs, brief=brief)
        if not brief and case.scenario.name == ALL and result.flips:
            result = dataclasses.replace(result, slices=self._slices.compare(case.outputs, outputs))
        return result

    def compare(self, case: Case, outputs: Outputs, *, brief: bool = False) -> ScenarioResult:
        """Compare a file's outputs with the Keras model's.

        Args:
            case: the Keras model's outputs (N, ...).
            outputs: the file's outputs (N, ...).
            brief: leave out the standard error of the metric.

        Raises:
            ExportError: an output is missing or has another shape.
        """
        task = self._source.task
        differences = {
            name: _difference(name, reference, outputs.get(name), self.spread[name], sorted(outputs))
            for name, reference in case.outputs.items()
        }
        flips = task.flips(case.outputs, outputs)
        close = flips & (task.margins(case.outputs, outputs) <= CLOSE)
        metric = held = task.score(self.targets, outputs, self.weights)[task.metric]
        held_outputs = outputs
        if close.any() and case.scenario.name != ALL:
            held_outputs = {name: _with_rows(outputs[name], case.outputs[name], close) for name in case.outputs}
            held = task.score(self.targets, held_outputs, self.weights)[task.metric]
        error = None
        if not brief:
            moved = (flips & ~close).any() or held != case.metric
            given = self.targets, self.weights, self.groups, case.outputs, held_outputs
            error = metric_error(task, *given) if moved else 0.0
        return ScenarioResult(
            samples=len(self.keys),
            max_abs_diff=max_or_nan([found.max_abs for found, _, _ in differences.values()]),
            mean_abs_diff=float(np.mean([mean for _, mean, _ in differences.values()])),
            flipped=tuple(key for key, flip in zip(self.keys, flips, strict=True) if flip),
            metric=metric,
            close=int(close.sum()),
            metric_change=metric - case.metric,
            held_change=None if held == metric else held - case.metric,
            not_finite=sum(bad for _, _, bad in differences.values()),
            outputs={name: found for name, (found, _, _) in differences.items()},
            metric_error=error,
            calibration_change=self._calibration_change(case, outputs),
        )

    @cached_property
    def _confident(self) -> bool:
        found = calibration(self._source.task, self.targets, self.cases[0].outputs, self.weights)
        return found is not None and "ece" in found

    def _calibration_change(self, case: Case, outputs: Outputs) -> float | None:
        if not self._confident:
            return None
        return self._calibration(outputs) - self._calibration(case.outputs)

    def _calibration(self, outputs: Outputs) -> float:
        """Return the expected calibration error; NaN where a confidence is not finite."""
        if not all(np.isfinite(value).all() for value in outputs.values()):
            return float("nan")
        found = calibration(self._source.task, self.targets, outputs, self.weights)
        return float("nan") if found is None else float(found["ece"])

    def _case(self, scenario: Scenario, inputs: dict[str, Any]) -> Case:
        outputs = run_batches(self.infer, inputs)
        for name, value in outputs.items():
            if not np.isfinite(value).all():
                bad = [key for key, row in zip(self.keys, value, strict=True) if not np.isfinite(row).all()]
                raise ExportError(
                    f"The Keras model itself gives NaN or infinity in {name!r}, scenario {scenario.name!r}, on "
                    f"{len(bad)} samples such as {bad[0]!r}. Nothing can be held to it: train it again."
                )
        score = self._source.task.score(self.targets, outputs, self.weights)
        return Case(scenario, inputs, outputs, score[self._source.task.metric])


def _with_rows(values: np.ndarray, others: np.ndarray, rows: np.ndarray) -> np.ndarray:
    """Return values (N, ...) with those of the Keras model where ``rows`` (N,) is true."""
    return np.where(rows.reshape(-1, *[1] * (values.ndim - 1)), others, values)


def _difference(
    name: str, reference: np.ndarray, got: Any, spread: np.ndarray, names: list[str]
) -> tuple[OutputDifference, float, int]:
    """Return how an output differs from the Keras model's, its mean absolute difference, and its values not finite."""
    if got is None or np.shape(got) != reference.shape:
        found = f"only {names}" if got is None else f"shape {np.shape(got)}"
        raise ExportError(f"expected the output {name!r} with shape {reference.shape}, got {found}")
    if bad := int((~np.isfinite(got)).sum()):
        return OutputDifference(float("nan"), float("nan"), float("nan")), float("nan"), bad
    # In float64: the difference of two float32 numbers is rounded again otherwise.
    expected = np.float64(reference)
    difference = np.abs(np.float64(got) - expected)
    channels = tuple(range(expected.ndim - 1)) if expected.ndim > 1 else None
    # Four times the root mean square: a sum of large terms is rounded as they are, however small it is itself.
    size = np.maximum(np.maximum(np.abs(expected), 4 * np.sqrt(np.mean(expected**2, axis=channels))), 1.0)
    return (
        OutputDifference(
            max_abs=float(difference.max()),
            relative=float((difference / size).max()),
            noise=float(np.sqrt(np.mean((difference / spread) ** 2, axis=channels)).max()),
        ),
        float(difference.mean()),
        0,
    )


def keras_infer(model: Any) -> Infer:
    """Return the Keras model as a function of numpy arrays, without XLA, which `predict` would switch on."""
    import tensorflow as tf

    forward = tf.function(lambda inputs: model(inputs, training=False), reduce_retracing=True, jit_compile=False)

    def infer(inputs: dict[str, Any]) -> Mapping[str, Any]:
        return _numpy(forward({name: tf.constant(value) for name, value in inputs.items()}))

    return infer


def run_batches(infer: Infer, inputs: Mapping[str, Any], size: int = BATCH) -> dict[str, np.ndarray]:
    """Run N samples in batches, the last one smaller, and put the outputs together."""
    parts = [dict(infer(batch)) for batch in _batches(inputs, size)]
    return {name: np.concatenate([np.asarray(part[name]) for part in parts]) for name in parts[0]}


def _batches(inputs: Mapping[str, Any], size: int) -> Iterator[dict[str, Any]]:
    count = len(next(iter(inputs.values())))
    for start in range(0, count, size):
        yield {name: value[start : start + size] for name, value in inputs.items()}


def _numpy(tensors: Mapping[str, Any]) -> dict[str, np.ndarray]:
    return {name: value.numpy() for name, value in tensors.items()}


def _as_bytes(value: Any) -> bytes:
    if value is None:
        return b""
    return value.encode() if isinstance(value, str) else bytes(value)
