"""Holds exported files to the Keras model: on the same real samples, in every modality scenario.

The Keras model runs once per scenario and is remembered; every file is then run by the same Runner that the device
uses.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from export.results import ScenarioResult
from export.scenarios import ALL, Scenario, ScenarioInputs, scenarios
from export.slices import Slices
from export.source import Source
from mmkeras.errors import ExportError
from mmkeras.tasks import TaskSpec
from mmkeras.tasks._contract import Outputs

__all__ = ["BATCH", "Case", "Infer", "Reference", "compare", "keras_infer", "metric_error", "run_batches"]

Infer = Callable[[dict[str, Any]], Mapping[str, Any]]
"""Runs a batch: arrays (B, ...) by input name -> arrays (B, ...) by output name."""

BATCH = 64
"""Samples in one forward pass."""
RESAMPLES = 50
"""Draws of the samples for a standard error, which is then known to a tenth of itself."""


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
            ExportError: the Keras model itself gives NaN or infinite outputs.
        """
        self._source = source
        self.keys = tuple(sample.key for sample in source.samples)
        self.targets = np.stack([np.asarray(sample.target) for sample in source.samples])
        self.weights = np.array([sample.weight for sample in source.samples], np.float64)
        self._infer = keras_infer(source.model)
        self._slices = Slices(source.task, [sample.columns for sample in source.samples], self.targets, self.weights)
        inputs = ScenarioInputs(source.specs, [sample.values for sample in source.samples])
        self.cases: list[Case] = []
        for scenario in scenarios(source.specs):
            step(scenario.name)
            self.cases.append(self._case(scenario, inputs.inputs(scenario)))

    @property
    def metrics(self) -> dict[str, float]:
        """The Keras model's task metric by scenario."""
        return {case.scenario.name: case.metric for case in self.cases}

    def raw_cases(self) -> list[Case]:
        """Return cases for the raw endpoint: ``raw`` and, one modality after the other empty, ``raw_without_<name>``.

        Their reference is the Keras model on tensors decoded in TensorFlow, one sample at a time, as in training.
        """
        import tensorflow as tf

        from export.saved_model_from_keras import decode_batch

        specs = self._source.specs
        values = {name: [_as_bytes(sample.values.get(name)) for sample in self._source.samples] for name in specs}
        empty = [b""] * len(self.keys)
        graph = tf.function(decode_batch, autograph=False)
        decoded = {name: _numpy(graph(spec, tf.constant(values[name]))) for name, spec in specs.items()}
        cases = []
        for missing in ("", *specs):
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
        result = compare(self._source.task, self.keys, self.targets, self.weights, case, outputs, brief=brief)
        if brief:
            return result
        if case.scenario.name == ALL and result.flips:
            result = dataclasses.replace(result, slices=self._slices.compare(case.outputs, outputs))
        return result

    def _case(self, scenario: Scenario, inputs: dict[str, Any]) -> Case:
        outputs = run_batches(self._infer, inputs)
        for name, value in outputs.items():
            if not np.isfinite(value).all():
                bad = [key for key, row in zip(self.keys, value, strict=True) if not np.isfinite(row).all()]
                raise ExportError(
                    f"The Keras model itself gives NaN or infinity in {name!r}, scenario {scenario.name!r}, on "
                    f"{len(bad)} samples such as {bad[0]!r}. Nothing can be held to it: train it again."
                )
        score = self._source.task.score(self.targets, outputs, self.weights)
        return Case(scenario, inputs, outputs, score[self._source.task.metric])


def compare(
    task: TaskSpec,
    keys: tuple[str, ...],
    targets: np.ndarray,
    weights: np.ndarray,
    case: Case,
    outputs: Outputs,
    *,
    brief: bool = False,
) -> ScenarioResult:
    """Compare a file's outputs with the Keras model's.

    Args:
        task: decides and scores.
        keys: sample keys (N,).
        targets: encoded targets (N, ...).
        weights: sample weights (N,).
        case: the Keras model's outputs (N, ...).
        outputs: the file's outputs (N, ...).
        brief: leave out the standard error of the metric.

    Raises:
        ExportError: an output is missing or has another shape.
    """
    differences, bad = [], 0
    for name, reference in case.outputs.items():
        got = outputs.get(name)
        if got is None or np.shape(got) != reference.shape:
            found = f"only {sorted(outputs)}" if got is None else f"shape {np.shape(got)}"
            raise ExportError(f"expected the output {name!r} with shape {reference.shape}, got {found}")
        bad += int((~np.isfinite(got)).sum())
        # In float64: the difference of two float32 numbers is rounded again otherwise.
        differences.append(np.abs(np.float64(got) - np.float64(reference)).ravel())
    difference = np.concatenate(differences)
    flips = task.flips(case.outputs, outputs)
    metric = task.score(targets, outputs, weights)[task.metric]
    error = None
    if task.gated_by == "metric" and not brief:
        error = metric_error(task, targets, weights, case.outputs, outputs) if flips.any() else 0.0
    return ScenarioResult(
        samples=len(keys),
        max_abs_diff=float("nan") if bad else float(difference.max()),
        mean_abs_diff=float("nan") if bad else float(difference.mean()),
        flipped=tuple(key for key, flip in zip(keys, flips, strict=True) if flip),
        metric=metric,
        metric_change=metric - case.metric,
        not_finite=bad,
        scale=max([1.0, *(float(np.abs(value).max()) for value in case.outputs.values())]),
        metric_error=error,
    )


def metric_error(
    task: TaskSpec, targets: np.ndarray, weights: np.ndarray, reference: Outputs, outputs: Outputs
) -> float:
    """Return the standard error of the difference of the task's metric, for samples drawn anew (paired bootstrap).

    Args:
        task: scores.
        targets: encoded targets (N, ...).
        weights: sample weights (N,).
        reference: outputs (N, ...) of the Keras model.
        outputs: outputs (N, ...) of the file.

    Returns:
        The error in the metric's unit, of those redraws in which the metric is defined; 0 where hardly any is (among
        few samples a redraw may hold no object at all), which leaves the gate at its bare bar.
    """
    scores = [_scorer(task, targets, each) for each in (reference, outputs)]
    draws = np.random.default_rng(0).multinomial(len(targets), np.full(len(targets), 1 / len(targets)), RESAMPLES)
    changes = [scores[1](draw * weights)[task.metric] - scores[0](draw * weights)[task.metric] for draw in draws]
    known = [change for change in changes if np.isfinite(change)]
    return float(np.std(known)) if len(known) >= RESAMPLES / 2 else 0.0


def _scorer(task: TaskSpec, targets: np.ndarray, outputs: Outputs) -> Callable[[np.ndarray], dict[str, float]]:
    resampler = getattr(task, "resampler", None)
    if resampler is None:
        return lambda weights: task.score(targets, outputs, weights)
    scorer: Callable[[np.ndarray], dict[str, float]] = resampler(targets, outputs)
    return scorer


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
