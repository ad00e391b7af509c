"""What every task's spec provides. numpy only: this runs on the device."""

from __future__ import annotations

import dataclasses
from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

import numpy as np

from mmkeras.core.components import find
from mmkeras.core.errors import DataError
from mmkeras.modalities import TensorSpec
from mmkeras.modalities._moves import UNSAID
from mmkeras.tasks._evidence import Confidences, Decisions, Evidence, Numbers
from mmkeras.tasks._metrics import sample_weights, weighted_sums
from mmkeras.tasks._moments import Moments
from mmkeras.tasks._targets import TargetSpec, as_rows

__all__ = ["Outputs", "TaskSpec", "task_from_json"]

Outputs = Mapping[str, np.ndarray]
"""Model outputs of a batch by name, each (B, ...)."""


@dataclass(frozen=True)
class TaskSpec(ABC):
    """The outputs of a task, its decisions and its metrics; serialised into every bundle.

    Metrics are computed in two steps. `evidence` reduces targets and outputs to one small row per sample; rows of
    different batches, processes and files can be concatenated. Weighted rows then give the metrics. A metric that is a
    function of sums over samples comes from `sums` and `of_sums`, so that thousands of resamples are one matrix
    product; any other comes from `of_rows`. A sample of weight 2 counts like two copies of it.
    """

    kind: ClassVar[str]
    reads_labels: ClassVar[bool] = True
    """Whether raw targets are names of the task's labels. Spellings of a label are then merged, and labels that the
    configuration does not list are found in the data. False where a target is the path of a mask."""
    shapes_records: ClassVar[tuple[str, ...]] = ()
    """Fields of the spec that encoded targets depend on: with another value the data is converted again. Before the
    spec is known, the configuration's fields of these names are compared."""
    follows: ClassVar[tuple[str, ...]] = ()
    """Moves of the picture in training that leave the targets valid: a label does not depend on them, a PNG target
    moves with the picture, and any other target needs a function ``move`` in the task's ``records.py``."""
    ranks_samples: ClassVar[bool] = False
    """Whether samples search each other. `finish` drops those of weight 0; resamples search them, too."""
    metric: ClassVar[str]
    """Name of the primary metric in `score`'s result; higher is better unless `metric_sign` is -1."""
    metric_sign: ClassVar[int] = 1
    gated_by: ClassVar[Literal["decisions", "tolerance", "metric"]] = "decisions"
    """How the gates judge changed decisions of an exported file. ``decisions``: counted in every precision;
    ``tolerance``, for numbers that agree within one: in float32 and float16; ``metric``: float16 by the metric."""

    @property
    @abstractmethod
    def outputs(self) -> tuple[TensorSpec, ...]:
        """The model outputs, without the batch dimension."""

    @property
    def target(self) -> TargetSpec:
        """The encoded target of one sample, as records and metrics hold it.

        Raises:
            TypeError: the task has several targets or none.
        """
        raise TypeError(
            f"the task {self.kind} has the targets {[spec.name for spec in self.targets]}, not a single one"
        )

    @property
    def targets(self) -> tuple[TargetSpec, ...]:
        """The encoded targets of one sample. A task with another number of targets than one overrides it."""
        return (self.target,)

    @property
    def label_names(self) -> tuple[str, ...]:
        """The labels in order; by default the field ``labels``, or empty without that field."""
        return tuple(getattr(self, "labels", ()))

    def classes_of(self, target: np.ndarray) -> list[str]:
        """Return the labels in one encoded target, for the class balance and for stratified samples.

        By default a target is the position of a label, or a 0 or 1 for each label. A task without labels, with
        several targets, or with ``reads_labels`` False returns an empty list.
        """
        if not self.label_names or not self.reads_labels or target.dtype.names:
            return []
        if np.ndim(target) == 0:
            return [self.label_names[int(target)]]
        return [label for label, value in zip(self.label_names, target, strict=True) if value > 0]

    def target_of(self, output: str) -> str | None:
        """Return the name of the target that an output is trained on: the only target, or the one of the same name."""
        names = [spec.name for spec in self.targets]
        return names[0] if len(names) == 1 else output if output in names else None

    def rows_of(self, by_output: Mapping[str, np.ndarray]) -> np.ndarray:
        """Return the targets of a batch as `score` takes them, from targets (B, ...) by output as datasets yield them.

        Raises:
            DataError: no output is trained on one of the targets.
        """
        found = {self.target_of(output): np.asarray(value) for output, value in by_output.items()}
        values = {spec.name: found[spec.name] for spec in self.targets if spec.name in found}
        if len(values) < len(self.targets):
            missing = [spec.name for spec in self.targets if spec.name not in values]
            raise DataError(f"Expected an output for every target of the task {self.kind}, got none for {missing}")
        return as_rows(self.targets, values, len(next(iter(values.values()), ())))

    def cannot_follow(self, move: str) -> str:
        """Return why the targets cannot follow a move of the picture (`MOVES`); empty if they can."""
        return "" if move in self.follows else UNSAID

    @abstractmethod
    def encode(self, target: Any) -> np.ndarray | Mapping[str, np.ndarray]:
        """Return a raw target (a label, labels, a number) as the array of `target`, or as arrays by name of `targets`.

        Raises:
            DataError: an unknown label or a wrong type.
        """

    @abstractmethod
    def decode(self, outputs: Outputs) -> list[dict[str, Any]]:
        """Return one JSON-ready answer per sample of a batch of outputs."""

    @abstractmethod
    def flips(self, reference: Outputs, candidate: Outputs) -> np.ndarray:
        """Return bool (B,): samples on which two models decide differently."""

    def margins(self, reference: Outputs, candidate: Outputs) -> np.ndarray:
        """Return float (B,): by how much the reference prefers its own decision to the candidate's, 0 if they agree.

        A small margin is a near tie. By default the margin of a changed decision is infinite.
        """
        return np.where(self.flips(reference, candidate), np.inf, 0.0)

    # === Metrics ===

    @abstractmethod
    def evidence(self, targets: np.ndarray, outputs: Outputs) -> dict[str, np.ndarray]:
        """Return what the metrics need of each sample, arrays (B, ...) by name.

        Args:
            targets: encoded targets (B, ...); several targets are a record array with a field for each.
            outputs: model outputs (B, ...) by name; they may hold NaN or infinity.
        """

    def sums(self, evidence: Evidence) -> dict[str, np.ndarray]:
        """Return what each sample adds to the sums that `of_sums` reads, (N, ...) by name."""
        return {}

    def of_sums(self, sums: Evidence) -> dict[str, np.ndarray]:
        """Return the metrics (R,) that are functions of weighted sums over samples, (R, ...) by name."""
        return {}

    def of_rows(self, evidence: Evidence, weights: np.ndarray) -> dict[str, np.ndarray]:
        """Return the metrics (R,) that need the rows themselves, such as a ranking, under R weightings (R, N)."""
        return {}

    def counted(self, evidence: Evidence) -> dict[str, np.ndarray]:
        """Return how much each sample (N,) counts in a metric, for each metric in which samples count differently."""
        return {}

    def finish(self, evidence: Evidence, weights: np.ndarray | None = None) -> dict[str, float]:
        """Return all task metrics; NaN for a metric that is not defined on these samples.

        Args:
            evidence: of N samples.
            weights: sample weights (N,); ones when not given.

        Raises:
            DataError: no samples, or weights that do not fit.
        """
        rows = sample_weights(next(iter(evidence.values())), weights)[None]
        found = self.of_sums({name: weighted_sums(rows, value) for name, value in self.sums(evidence).items()})
        return {name: float(value[0]) for name, value in (found | self.of_rows(evidence, rows)).items()}

    def score(self, targets: np.ndarray, outputs: Outputs, weights: np.ndarray | None = None) -> dict[str, float]:
        """Return all task metrics of a batch: `finish` of its `evidence`."""
        return self.finish(self.evidence(targets, outputs), weights)

    # === What a report shows beside the metrics; all of it is optional ===

    def decisions_of(self, evidence: Evidence) -> Decisions | None:
        """Return true and chosen labels, for the table by class and the confusions."""
        return None

    def confidences_of(self, evidence: Evidence) -> Confidences | None:
        """Return probabilities and whether the answers were right, for the calibration."""
        return None

    def numbers_of(self, evidence: Evidence) -> Numbers | None:
        """Return predicted numbers, for the table by number and the residuals."""
        return None

    def overlay(self, specs: Mapping[str, Any], values: Mapping[str, Any], answer: Any) -> np.ndarray | None:
        """Return an answer of `decode` drawn over the picture among raw values, uint8 (H, W, 3); None by default."""
        return None

    def class_metrics(self) -> dict[str, str]:
        """Return the metric of each class that has its own, such as ``AP_car`` for ``car``."""
        return {}

    def constant_outputs(self, targets: np.ndarray, weights: np.ndarray) -> dict[str, np.ndarray] | None:
        """Return the outputs (N, ...) of the best constant answer to targets (N, ...) with weights (N,)."""
        return None

    def wrongness(self, evidence: Evidence) -> np.ndarray:
        """Return how wrong the answer to each sample is, float (N,): the larger, the worse.

        By default it is the primary metric of the sample alone; a sample on which it is not defined equals the best.
        """
        found = self.of_sums(self.sums(evidence))
        if self.metric not in found:
            found = self.of_rows(evidence, np.eye(len(next(iter(evidence.values())))))
        far = -self.metric_sign * found[self.metric]
        known = ~np.isnan(far)
        return np.where(known, far, far[known].min(initial=0.0))

    def spread(self, moments: Mapping[str, Moments]) -> dict[str, np.ndarray]:
        """Return how much each output varies: the unit in which differences of outputs are compared.

        By default it is the root mean square deviation from the mean of each channel, over all channels of an output,
        and at least a tenth of the largest value. A task whose channels have different units returns one per channel.
        ``moments`` are those of each output of one model, by channel (C,); the result is float64 () or (C,), never 0.
        """
        least = np.finfo(np.float32).tiny
        return {
            name: np.maximum(np.maximum(np.sqrt(np.mean(each.variance)), each.largest.max() / 10), least)
            for name, each in moments.items()
        }

    def to_json(self) -> dict[str, Any]:
        """Return a JSON object that `task_from_json` reads back."""
        return {"kind": self.kind, **dataclasses.asdict(self)}


def task_from_json(value: dict[str, Any]) -> TaskSpec:
    """Rebuild any task's spec from its JSON object.

    Raises:
        ConfigError: the ``kind`` is not a task of this version.
    """
    kind: type[TaskSpec] = find("tasks", value["kind"], "spec").Spec
    fields = {field.name for field in dataclasses.fields(kind)}
    return kind(**{k: tuple(v) if isinstance(v, list) else v for k, v in value.items() if k in fields})
