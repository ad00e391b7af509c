"""The modality scenarios in which every exported file is verified, derived from the specs.

``all`` has the samples unchanged, ``without_<modality>`` removes one modality, and ``<case>_<modality>`` are difficult
inputs from the modality's spec, such as ``empty_text`` and ``longest_text``. A model of one modality has no
``without_<modality>``: a device refuses a sample without any modality.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from export.verification.training_path import TrainingPath, check_host
from mmkeras.modalities import ModalitySpec

__all__ = ["ALL", "Scenario", "ScenarioInputs", "scenarios"]

ALL = "all"
"""Name of the scenario with the samples unchanged."""


@dataclass(frozen=True)
class Scenario:
    """One change of the samples before they reach the model."""

    name: str
    """Name in ``export.json`` and in the golden samples."""
    modality: str = ""
    """The changed modality; empty for none."""
    change: Callable[[Any], Any] | None = None
    """Raw value -> changed raw value, or ``None`` to remove it. Missing values stay missing."""


def scenarios(specs: Mapping[str, ModalitySpec]) -> tuple[Scenario, ...]:
    """Return the scenarios of a model."""
    found = [Scenario(ALL)]
    found += [Scenario(f"without_{name}", name, lambda value: None) for name in specs if len(specs) > 1]
    for name, spec in specs.items():
        found += [Scenario(f"{case}_{name}", name, change) for case, change in spec.scenarios().items()]
    return tuple(found)


class ScenarioInputs:
    """Model inputs of the same samples in any scenario, decoded as in training; each modality is decoded once."""

    def __init__(
        self,
        specs: Mapping[str, ModalitySpec],
        values: Sequence[Mapping[str, Any]],
        keys: Sequence[str] = (),
        allocate: Callable[[int, np.ndarray], Any] = lambda count, like: np.empty((count, *like.shape[1:]), like.dtype),
    ) -> None:
        """Decode the samples as in training, and compare the host's preprocessing with that.

        Args:
            specs: modality specs by name.
            values: raw values by modality, one mapping per sample; ``None`` for a missing modality.
            keys: names of the samples, for messages; their positions when not given.
            allocate: returns storage for N rows, see `export.verification.rows`; arrays in memory when not given.

        Raises:
            DataError: a raw value cannot be used.
            ExportError: preprocessing on a device gives other inputs than training.
        """
        self._specs = dict(specs)
        self._values = values
        self._keys = keys or [str(place) for place in range(len(values))]
        self._allocate = allocate
        self._training = {name: TrainingPath(spec) for name, spec in specs.items()}
        self._base = {name: self._stack(name, Scenario(ALL)) for name in specs}

    def inputs(self, scenario: Scenario) -> dict[str, Any]:
        """Return every tensor and presence input (N, ...) by name. Arrays are shared between scenarios."""
        parts = dict(self._base)
        if scenario.modality:
            parts[scenario.modality] = self._stack(scenario.modality, scenario)
        return {name: array for part in parts.values() for name, array in part.items()}

    def _stack(self, name: str, scenario: Scenario) -> dict[str, Any]:
        change, count, path = scenario.change, len(self._values), self._training[name]
        found: dict[str, Any] = {}
        for start in range(0, count, path.batch):
            rows = slice(start, min(start + path.batch, count))
            values = [sample.get(name) for sample in self._values[rows]]
            if change is not None:
                values = [None if value is None else change(value) for value in values]
            inputs = path.inputs(values)
            check_host(self._specs[name], values, self._keys[rows], inputs, scenario.name)
            for tensor, array in inputs.items():
                if tensor not in found:
                    found[tensor] = self._allocate(count, array)
                found[tensor][rows] = array
        return found
