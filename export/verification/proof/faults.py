"""Faults that a self-test on a device must detect: typical mistakes of an integration.

Labels in another order, a dead branch, reversed colour channels, an ignored presence input.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from export.verification.scenarios import ALL
from mmkeras.modalities import ModalitySpec
from mmkeras.tasks import TaskSpec
from mmkeras.tasks._contract import Outputs

__all__ = ["Fault", "faults_of"]

Inputs = Mapping[str, Any]


def _same(values: Any) -> Any:
    return values


@dataclass(frozen=True)
class Fault:
    """One fault as a change of the inputs or of the outputs."""

    name: str
    """Name in ``export.json``."""
    scenario: str
    """Scenario whose golden samples must reveal it."""
    inputs: Callable[[Inputs], dict[str, Any]] = _same
    """Correct model inputs (B, ...) -> inputs of the faulty device."""
    outputs: Callable[[Outputs], dict[str, np.ndarray]] = _same
    """Correct outputs (B, ...) -> outputs of the faulty device."""


def faults_of(specs: Mapping[str, ModalitySpec], task: TaskSpec) -> tuple[Fault, ...]:
    """Return the faults to try on a model, from its modality specs by name and its task."""
    found = []
    if any(output.shape and output.shape[-1] > 1 for output in task.outputs):
        found.append(Fault("labels rolled by one", ALL, outputs=_rolled))
    for name, spec in specs.items():
        found.append(Fault(f"{name} dead", ALL, inputs=_dead(spec)))
        if len(specs) > 1:
            found.append(Fault(f"presence of {name} ignored", f"without_{name}", inputs=_present(spec)))
        colours = [t.name for t in spec.tensors if t.dtype == "uint8" and len(t.shape) == 3 and t.shape[-1] == 3]
        if colours:
            found.append(Fault(f"channels of {name} reversed", ALL, inputs=_reversed(colours)))
    return tuple(found)


def _rolled(outputs: Outputs) -> dict[str, np.ndarray]:
    return {name: np.roll(value, 1, axis=-1) for name, value in outputs.items()}


def _dead(spec: ModalitySpec) -> Callable[[Inputs], dict[str, Any]]:
    absent = spec.absent()

    def change(inputs: Inputs) -> dict[str, Any]:
        return {**inputs, **{name: np.full(np.shape(inputs[name]), value) for name, value in absent.items()}}

    return change


def _present(spec: ModalitySpec) -> Callable[[Inputs], dict[str, Any]]:
    return lambda inputs: {**inputs, spec.present.name: np.ones_like(inputs[spec.present.name])}


def _reversed(tensors: list[str]) -> Callable[[Inputs], dict[str, Any]]:
    return lambda inputs: {**inputs, **{name: np.ascontiguousarray(inputs[name][..., ::-1]) for name in tensors}}
