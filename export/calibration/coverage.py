"""What a calibration set lacks: samples, classes, a sensor that is there, a sensor that is not."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from export.calibration.calibration import Calibration, fingerprint_of
from export.calibration.traits import mask_of
from mmkeras.modalities import ModalitySpec

__all__ = ["coverage_warnings"]

ENOUGH = 100
"""Samples below which ranges still change from set to set."""
DISTINCT = 0.9
"""Share of the samples that should be different from all others."""
NAMED = 5
"""Classes that a warning names."""


def coverage_warnings(calibration: Calibration, specs: Mapping[str, ModalitySpec]) -> list[str]:
    """Return a line for everything that the samples do not cover.

    Args:
        calibration: the samples.
        specs: modality specs by name.
    """
    count, inputs = len(calibration), calibration.inputs
    found = []
    if count < ENOUGH:
        found.append(f"{count} samples are few to measure ranges on; {ENOUGH} or more say more.")
    different = len({fingerprint_of({n: array[row] for n, array in inputs.items()}) for row in range(count)})
    if different < DISTINCT * count:
        found.append(f"Only {different} of the {count} samples differ from each other.")
    missing = [label for label, held in calibration.strata.get("class", {}).items() if not held]
    if missing:
        named = ", ".join(missing[:NAMED]) + (f" and {len(missing) - NAMED} more" if len(missing) > NAMED else "")
        found.append(f"No sample has the class {named}.")
    for name, spec in specs.items():
        there = inputs[spec.present.name] > 0
        mask = mask_of(spec)
        if not there.any():
            found.append(f"No sample has {name}: the ranges of its branch are those of a missing one.")
        elif mask and not inputs[mask.name][there].any():
            found.append(f"No sample has anything in {name}: the ranges of its branch are those of an empty one.")
        if len(specs) > 1 and np.all(there):
            found.append(f"No sample lacks {name}, so the ranges without it are not known.")
    return found
