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
from mmkeras.modalities import NO_FACTS, NO_MODALITIES, Facts, ModalitySpec, TensorSpec
from mmkeras.modalities._moves import UNSAID
from mmkeras.tasks._targets import TargetSpec, as_rows

__all__ = ["Outputs", "TaskConfig", "TaskSpec", "task_from_json"]

Outputs = Mapping[str, np.ndarray]
"""Model outputs of a batch by name, each (B, ...)."""


@dataclass(frozen=True)
class TaskConfig:
    """What a user chooses about a task; ``Config`` of every ``spec.py`` derives from it."""

    def completed(self, facts: Facts) -> TaskConfig:
        """Return this configuration with what only the data knows, such as labels; here the data adds nothing."""
        del facts
        return self

    def spec(self, modalities: Mapping[str, ModalitySpec] = NO_MODALITIES, facts: Facts = NO_FACTS) -> TaskSpec:
        """Return the task's spec; required.

        Args:
            modalities: their specs, from which it may derive sizes.
            facts: what only the data knows.

        Raises:
            ConfigError: something that is needed is not known.
        """
        raise NotImplementedError


@dataclass(frozen=True)
class TaskSpec(ABC):
    """A task's outputs, how they are decided on and how they are scored; serialised into every bundle.

    One more method is optional: ``resampler(targets, outputs)`` returns a function from weights (B,) to what ``score``
    would give under them. A task whose score does work that no weight changes (matching boxes) does it once there; the
    bootstrap then calls the function instead of ``score`` with rows picked anew. A whole weight must count like that
    many copies.
    """

    kind: ClassVar[str]
    reads_labels: ClassVar[bool] = True
    """Whether raw targets are names of ``labels``, if the task has some: spellings are then merged, and labels that
    the configuration does not list are found in the data. Not so where a target is the path of a mask."""
    shapes_records: ClassVar[tuple[str, ...]] = ()
    """Fields of the spec that encoded targets depend on: with another value the data is converted again. A field of
    the same name in the configuration counts where the spec is not known before the data is."""
    follows: ClassVar[tuple[str, ...]] = ()
    """Moves of the picture in training that the targets follow, or that do not concern them, such as a label's. PNG
    targets move with the picture; others need a function ``move`` in the task's ``records.py``."""
    metric: ClassVar[str]
    """Name of the primary metric in `score`'s result; higher is better unless `metric_sign` is -1."""
    metric_sign: ClassVar[int] = 1
    gated_by: ClassVar[Literal["decisions", "tolerance", "metric"]] = "decisions"
    """How changed decisions of an exported file are judged (see the gates): ``decisions`` are counted in every
    precision; a decision within a ``tolerance`` (a number) is counted in float32 and float16; where ``metric`` stands,
    decisions are too fine to count and float16 is held to the metric."""

    @property
    @abstractmethod
    def outputs(self) -> tuple[TensorSpec, ...]:
        """The model outputs, without the batch dimension."""

    @property
    def target(self) -> TargetSpec:
        """The encoded target of one sample, as records and metrics hold it; of a task with a single target.

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
        """The labels in order; here the field ``labels`` where a task has one, else none."""
        return tuple(getattr(self, "labels", ()))

    def classes_of(self, target: np.ndarray) -> list[str]:
        """Return the labels in one encoded target, for the class balance and for what samples are divided by.

        Here the target is the position of a label, or a 0 or 1 for each of them. There are no labels in the target of
        a task that has none, or that does not read them.
        """
        if not self.label_names or not self.reads_labels:
            return []
        if np.ndim(target) == 0:
            return [self.label_names[int(target)]]
        return [label for label, value in zip(self.label_names, target, strict=True) if value > 0]

    def target_of(self, output: str) -> str | None:
        """Return the name of the target that an output is trained on.

        Here it is the only target, or among several the one of the output's name.
        """
        names = [spec.name for spec in self.targets]
        return names[0] if len(names) == 1 else output if output in names else None

    def rows_of(self, by_output: Mapping[str, np.ndarray]) -> np.ndarray:
        """Return the targets of a batch as `score` takes them.

        Args:
            by_output: target (B, ...) by output, as datasets give them.

        Raises:
            DataError: a target that no output is trained on.
        """
        found = {self.target_of(output): np.asarray(value) for output, value in by_output.items()}
        values = {spec.name: found[spec.name] for spec in self.targets if spec.name in found}
        if len(values) < len(self.targets):
            missing = [spec.name for spec in self.targets if spec.name not in values]
            raise DataError(f"Expected an output for every target of the task {self.kind}, got none for {missing}")
        return as_rows(self.targets, values, len(next(iter(values.values()), ())))

    def cannot_follow(self, move: str) -> str:
        """Return why the targets cannot follow a move of the picture (`MIRROR`, `SHIFT`); empty where they can."""
        return "" if move in self.follows else UNSAID

    @abstractmethod
    def encode(self, target: Any) -> np.ndarray | Mapping[str, np.ndarray]:
        """Turn a raw target (a label, labels, a number) into the array of `target`, or arrays by name of `targets`.

        Raises:
            DataError: an unknown label or a wrong type.
        """

    @abstractmethod
    def decode(self, outputs: Outputs) -> list[dict[str, Any]]:
        """Turn a batch of outputs into one JSON-ready answer per sample."""

    @abstractmethod
    def flips(self, reference: Outputs, candidate: Outputs) -> np.ndarray:
        """Return bool (B,): samples on which two models decide differently."""

    def margins(self, reference: Outputs, candidate: Outputs) -> np.ndarray:
        """Return float (B,): how much a model preferred its own decision to another model's, 0 where they are equal.

        A small margin is a near tie, which rounding decides either way. Here there are none: the margin of any changed
        decision is infinite.
        """
        return np.where(self.flips(reference, candidate), np.inf, 0.0)

    @abstractmethod
    def score(self, targets: np.ndarray, outputs: Outputs, weights: np.ndarray | None = None) -> dict[str, float]:
        """Return the task metrics of a batch, the primary one among them.

        ``targets`` holds the encoded targets (B, ...); of several targets it is a record array, and
        ``targets["mask"]`` is the one of that name.
        """

    def spread(self, outputs: Outputs) -> dict[str, np.ndarray]:
        """Return how much each output varies, so that differences of outputs in other units can be compared.

        Here it is the root mean square deviation from the mean of each channel, over all channels of an output, at
        least a tenth of the largest value. A task whose channels have units of their own gives one for each.

        Args:
            outputs: of one model on many samples, each (N, ..., C).

        Returns:
            float64 () or (C,) by output; never 0.
        """
        found = {}
        for name, value in outputs.items():
            value = np.asarray(value, np.float64)
            middle = value.reshape(-1, value.shape[-1]).mean(0) if value.ndim > 1 else value.mean()
            deviation = np.sqrt(np.mean((value - middle) ** 2))
            found[name] = np.maximum(np.maximum(deviation, np.abs(value).max() / 10), np.finfo(np.float32).tiny)
        return found

    def to_json(self) -> dict[str, Any]:
        """Return a JSON object that `task_from_json` reads back."""
        return {"kind": self.kind, **dataclasses.asdict(self)}

    @classmethod
    def from_json(cls, value: dict[str, Any]) -> TaskSpec:
        """Rebuild the spec from its JSON object."""
        fields = {f.name for f in dataclasses.fields(cls)}
        return cls(**{k: tuple(v) if isinstance(v, list) else v for k, v in value.items() if k in fields})


def task_from_json(value: dict[str, Any]) -> TaskSpec:
    """Rebuild any task's spec from its JSON object.

    Raises:
        ConfigError: the ``kind`` is not a task of this version.
    """
    spec: TaskSpec = find("tasks", value["kind"], "spec").Spec.from_json(value)
    return spec
