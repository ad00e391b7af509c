"""What every task's spec provides. numpy only: this runs on the device."""

from __future__ import annotations

import dataclasses
from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

import numpy as np

from mmkeras.core.components import find
from mmkeras.modalities import TensorSpec

__all__ = ["Outputs", "TaskSpec", "task_from_json"]

Outputs = Mapping[str, np.ndarray]
"""Model outputs of a batch by name, each (B, ...)."""


@dataclass(frozen=True)
class TaskSpec(ABC):
    """A task's outputs, how they are decided on and how they are scored; serialised into every bundle.

    Two more methods are optional:

    - ``resampler(targets, outputs)`` returns a function from weights (B,) to what ``score`` would give under them. A
      task whose score does work that no weight changes (matching boxes) does it once there; the bootstrap then calls
      the function instead of ``score`` with rows picked anew. A whole weight must count like that many copies.
    - ``classes_of(target)`` returns the labels in one encoded target, for the class balance, where the target is
      neither the position of a label nor a 0 or 1 for each.
    """

    kind: ClassVar[str]
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
    @abstractmethod
    def target(self) -> TensorSpec:
        """The encoded target of one sample, as records and metrics hold it."""

    @abstractmethod
    def encode(self, target: Any) -> np.ndarray:
        """Turn a raw target (a label, labels, a number) into the array of `target`.

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
        """Return the task metrics of a batch, the primary one among them."""

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
