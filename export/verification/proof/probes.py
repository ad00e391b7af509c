"""The probes of all modalities as one scenario: inputs that exercise the preprocessing, independent of the data."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from export.verification.passes import Infer, run_batches
from export.verification.scenarios import Scenario
from export.verification.training_path import TrainingPath, check_host
from export.verification.verify import Case
from mmkeras.modalities import ModalitySpec

__all__ = ["PROBES", "probe_case"]

PROBES = "probes"
"""Name of their scenario among the golden samples."""


def probe_case(
    specs: Mapping[str, ModalitySpec], values: Sequence[Mapping[str, Any]], infer: Infer
) -> tuple[Case, list[dict[str, Any]]] | None:
    """Return the probes as a scenario with the Keras model's outputs, and their raw values; None where there are none.

    ``values`` are the raw values of the samples by modality; a modality without probes gets one of them.

    Raises:
        ExportError: preprocessing on a device gives other inputs than training.
    """
    probes = {name: spec.probes() for name, spec in specs.items()}
    count = max((len(found) for found in probes.values()), default=0)
    if not count:
        return None
    raw: dict[str, list[Any]] = {}
    for name in specs:
        known = probes[name] or [v for sample in values if (v := sample.get(name)) is not None][:1] or [None]
        raw[name] = [known[place % len(known)] for place in range(count)]
    inputs: dict[str, np.ndarray] = {}
    for name, spec in specs.items():
        found = TrainingPath(spec).inputs(raw[name])
        check_host(spec, raw[name], [f"probe {place}" for place in range(count)], found, PROBES)
        inputs |= found
    outputs = run_batches(infer, inputs)
    # Inputs unlike any sample may give NaN or infinity, which cannot be compared.
    rows = np.flatnonzero(np.all([np.isfinite(v).reshape(count, -1).all(1) for v in outputs.values()], axis=0))
    if not len(rows):
        return None
    case = Case(
        Scenario(PROBES),
        {name: value[rows] for name, value in inputs.items()},
        {name: value[rows] for name, value in outputs.items()},
        evidence={},
        moments={},
        metric=float("nan"),
    )
    return case, [{name: raw[name][row] for name in specs} for row in rows]
