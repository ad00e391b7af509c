"""Compares exported files with the Keras model on the same real samples, in every modality scenario.

The Keras model runs once per scenario, on inputs decoded as in training; every file then runs with the same Runner as
on a device. Outputs are compared and reduced block by block, so that memory does not grow with their size; inputs and
the Keras model's outputs are kept in temporary files where they are large.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import reduce
from operator import add
from typing import Any

import numpy as np

from export.source import Source
from export.to_saved_model.endpoints import decode_batch
from export.verification.differences import Difference, Reduced, channels
from export.verification.passes import BATCH, Infer, as_numpy, block_size, blocks, keras_infer
from export.verification.results import ScenarioResult, SliceResult, max_or_nan
from export.verification.rows import allocate
from export.verification.samples import groups_of
from export.verification.scenarios import ALL, Scenario, ScenarioInputs, scenarios
from export.verification.slices import Slices
from export.verification.standard_error import metric_error
from mmkeras.core.errors import ExportError
from mmkeras.evaluation.calibration import calibration
from mmkeras.tasks import TaskSpec
from mmkeras.tasks._evidence import joined
from mmkeras.tasks._moments import Moments

__all__ = ["CLOSE", "Case", "Reference"]

CLOSE = 0.05
"""Margin, in the unit of the task's confidence, up to which a changed decision was a near tie of the Keras model."""


@dataclass(frozen=True)
class Case:
    """One scenario with the Keras model's outputs."""

    scenario: Scenario
    inputs: dict[str, Any]
    """Model inputs (N, ...) by tensor name, or raw values (N,) by modality for the raw endpoint: arrays, or `FileRows`
    where they are large."""
    outputs: dict[str, Any]
    """Outputs (N, ...) of the Keras model by name, arrays or `FileRows`."""
    evidence: dict[str, np.ndarray]
    """The task's evidence of these outputs."""
    moments: dict[str, Moments]
    """Of each output over all samples, by channel (C,)."""
    metric: float
    """The Keras model's task metric."""


class Reference:
    """The Keras model's outputs on the samples of a source, by scenario."""

    def __init__(self, source: Source, step: Callable[[str], None] = lambda name: None) -> None:
        """Run the Keras model in every scenario; ``step`` is called with each name, for a progress bar.

        Raises:
            ExportError: the Keras model itself gives NaN or infinite outputs, or preprocessing on a device gives other
                inputs than training.
        """
        self._source = source
        self.keys = tuple(sample.key for sample in source.samples)
        self.weights = np.array([sample.weight for sample in source.samples], np.float64)
        self.groups = groups_of(source.samples)
        self.infer = keras_infer(source.model)
        self.block = block_size(source.task, source.specs.values())
        """Samples that are compared at a time."""
        columns = [sample.columns for sample in source.samples]
        self._slices = Slices(source.task, columns, self.weights, self.groups)
        inputs = ScenarioInputs(source.specs, [sample.values for sample in source.samples], self.keys, allocate)
        self.cases: list[Case] = []
        for scenario in scenarios(source.specs):
            step(scenario.name)
            self.cases.append(self.case(scenario, inputs.inputs(scenario), self.infer))
        self.spread = source.task.spread(self.cases[0].moments)

    @property
    def task(self) -> TaskSpec:
        """The task."""
        return self._source.task

    def targets(self, rows: slice | np.ndarray) -> np.ndarray:
        """Return the encoded targets of some samples (n, ...); a submodel's are its float32 outputs in ``all``."""
        if self._source.held_to_itself:
            return self.task.rows_of({name: values[rows] for name, values in self.cases[0].outputs.items()})
        return np.stack([np.asarray(self._source.samples[row].target) for row in np.arange(len(self.keys))[rows]])

    def parts(self, rows: np.ndarray) -> list[np.ndarray]:
        """Return rows in parts of at most `block` samples."""
        return [rows[start : start + self.block] for start in range(0, len(rows), self.block)]

    @property
    def metrics(self) -> dict[str, float]:
        """The Keras model's task metric by scenario."""
        return {case.scenario.name: case.metric for case in self.cases}

    def raw_cases(self) -> Iterator[Case]:
        """Yield cases for the raw endpoint: ``raw`` and, for each of several modalities, ``raw_without_<name>``.

        Their reference is the Keras model on tensors decoded in TensorFlow as in training.
        """
        import tensorflow as tf

        specs = self._source.specs
        graph = tf.function(decode_batch, autograph=False)

        def infer(raw: dict[str, Any]) -> Mapping[str, Any]:
            tensors: dict[str, np.ndarray] = {}
            for name, spec in specs.items():
                tensors |= as_numpy(graph(spec, tf.constant(list(raw[name]))))
            return self.infer(tensors)

        values = {name: [_as_bytes(sample.values.get(name)) for sample in self._source.samples] for name in specs}
        empty = [b""] * len(self.keys)
        for missing in ("", *(specs if len(specs) > 1 else ())):
            raw = {name: np.array(empty if name == missing else values[name], object) for name in specs}
            yield self.case(Scenario(f"raw_without_{missing}" if missing else "raw"), raw, infer)

    def case(self, scenario: Scenario, inputs: dict[str, Any], infer: Infer) -> Case:
        """Run the Keras model on the inputs (N, ...) of a scenario.

        Raises:
            ExportError: an output is NaN or infinite.
        """
        task, parts = self.task, []
        outputs: dict[str, Any] = {}
        moments: dict[str, list[Moments]] = {}
        bad: dict[str, list[str]] = {}
        for rows, found in blocks(infer, inputs, BATCH, self.block):
            for name, value in found.items():
                if name not in outputs:
                    outputs[name] = allocate(len(self.keys), value)
                outputs[name][rows] = value
                finite = np.isfinite(value).reshape(len(value), -1).all(axis=1)
                if finite.all():
                    moments.setdefault(name, []).append(Moments.of(channels(value)))
                else:
                    known = zip(self.keys[rows], finite, strict=True)
                    bad.setdefault(name, []).extend(key for key, good in known if not good)
            if not bad:
                # The first case of a submodel gives its own targets.
                own = self._source.held_to_itself and not self.cases
                parts.append(task.evidence(task.rows_of(found) if own else self.targets(rows), found))
        for name, keys in bad.items():
            raise ExportError(
                f"The Keras model itself gives NaN or infinity in {name!r}, scenario {scenario.name!r}, on "
                f"{len(keys)} samples such as {keys[0]!r}. No file can be compared with it: train it again."
            )
        evidence = joined(parts)
        metric = task.finish(evidence, self.weights)[task.metric]
        whole = {name: reduce(add, each) for name, each in moments.items()}
        return Case(scenario, inputs, outputs, evidence, whole, metric)

    def measure(self, case: Case, infer: Infer, size: int = BATCH, *, brief: bool = False) -> ScenarioResult:
        """Run a file in one case, in batches of ``size``, and compare it with the Keras model.

        ``brief`` leaves out the slices and the metric's standard error, which take most of the time.

        Raises:
            ExportError: an output is missing or has another shape.
        """
        task, reduced, whole = self.task, self.reduced(case, infer, size), case.scenario.name == ALL
        flips, close, differences, evidence = reduced.flips, reduced.close, reduced.differences, reduced.evidence
        metric = held = task.finish(evidence, self.weights)[task.metric]
        if close.any() and not whole:
            evidence = {
                name: np.where(close.reshape(-1, *[1] * (value.ndim - 1)), case.evidence[name], value)
                for name, value in evidence.items()
            }
            held = task.finish(evidence, self.weights)[task.metric]
        error: float | None = None
        slices: tuple[SliceResult, ...] = ()
        if not brief:
            moved = (flips & ~close).any() or held != case.metric
            error = metric_error(task, self.weights, self.groups, case.evidence, evidence) if moved else 0.0
            if whole and flips.any():
                slices = self._slices.compare(case.evidence, evidence, flips)
        return ScenarioResult(
            samples=len(self.keys),
            max_abs_diff=max_or_nan([each.result.max_abs_diff for each in differences.values()]),
            mean_abs_diff=float(np.mean([each.mean for each in differences.values()])),
            flipped=tuple(key for key, flip in zip(self.keys, flips, strict=True) if flip),
            metric=metric,
            close=int(close.sum()),
            metric_change=metric - case.metric,
            held_change=None if held == metric else held - case.metric,
            not_finite=sum(each.not_finite for each in differences.values()),
            outputs={name: each.result for name, each in differences.items()},
            metric_error=error,
            calibration_change=self._calibration_change(case, reduced),
            slices=slices,
        )

    def reduced(self, case: Case, infer: Infer, size: int = BATCH) -> Reduced:
        """Run a file in one case and reduce its outputs to what `measure` needs."""
        task = self.task
        differences = {name: Difference(name, case.moments[name], self.spread[name]) for name in case.outputs}
        parts, flips, close = [], [], []
        for rows, found in blocks(infer, case.inputs, size, self.block):
            expected = {name: values[rows] for name, values in case.outputs.items()}
            for name, difference in differences.items():
                difference.add(expected[name], found)
            flips.append(np.asarray(task.flips(expected, found)))
            close.append(flips[-1] & (task.margins(expected, found) <= CLOSE))
            parts.append(task.evidence(self.targets(rows), found))
        return Reduced(joined(parts), np.concatenate(flips), np.concatenate(close), differences)

    def _calibration_change(self, case: Case, reduced: Reduced) -> float | None:
        """Return how the expected calibration error changed; NaN where a confidence is not finite."""
        if self.task.confidences_of(case.evidence) is None:
            return None
        if any(each.not_finite for each in reduced.differences.values()):
            return float("nan")
        before, after = (calibration(self.task, each, self.weights) for each in (case.evidence, reduced.evidence))
        return float("nan") if before is None or after is None else float(after["ece"]) - float(before["ece"])


def _as_bytes(value: Any) -> bytes:
    if value is None:
        return b""
    return value.encode() if isinstance(value, str) else bytes(value)
