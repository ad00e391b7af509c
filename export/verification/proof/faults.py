"""Faults that a self-test on a device has to notice, planted before a bundle is written.

They are those that a device gets wrong most easily: labels in another order, a branch that sees nothing, a picture
whose channels are reversed, a presence input that is ignored.
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

__all__ = ["Fault", "planted"]

Inputs = Mapping[str, Any]


def _same(values: Any) -> Any:
    return values


@dataclass(frozen=True)
class Fault:
    """One fault, and where it shows."""

    name: str
    """Name in ``export.json``."""
    scenario: str
    """Scenario whose golden samples have to notice it."""
    inputs: Callable[[Inputs], dict[str, Any]] = _same
    """Model inputs (B, ...) -> those that the faulty device gives."""
    outputs: Callable[[Outputs], dict[str, np.ndarray]] = _same
    """Outputs (B, ...) -> those that the faulty device gives."""


def planted(specs: Mapping[str, ModalitySpec], task: TaskSpec) -> tuple[Fault, ...]:
    """Return the faults of a model.

    Args:
        specs: modality specs by name.
        task: names the outputs.
    """
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
        empty = {
            name: np.broadcast_to(value, np.shape(inputs[name])).astype(value.dtype) for name, value in absent.items()
        }
        return {**inputs, **empty}

    return change


def _present(spec: ModalitySpec) -> Callable[[Inputs], dict[str, Any]]:
    return lambda inputs: {**inputs, spec.present.name: np.ones_like(inputs[spec.present.name])}


def _reversed(tensors: list[str]) -> Callable[[Inputs], dict[str, Any]]:
    return lambda inputs: {**inputs, **{name: np.ascontiguousarray(inputs[name][..., ::-1]) for name in tensors}}
