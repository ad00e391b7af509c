"""A difference on a few rows, and an explanation of it."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from export.foreign.limits import Limits
from export.foreign.variants import Variant
from export.verification.differences import Difference, channels
from mmkeras.tasks._moments import Moments
from mmkeras.tasks.classification.spec import Spec as Classes

__all__ = ["BETTER", "Finding", "Gap", "gap_of"]

BETTER = 5
"""A change is reported only where it makes the difference so many times smaller."""
_CLOSE = 0.1
"""Relative difference up to which quantised outputs agree, whatever their noise."""


@dataclass(frozen=True)
class Finding:
    """One explanation."""

    text: str
    side: str
    """The side whose inputs or outputs are changed."""
    agrees: bool
    """Whether both sides then agree within the limits; otherwise they only come closer."""
    before: float | None
    """Noise (root mean square difference by spread) as declared; None where the outputs could not be compared."""
    after: float
    """The same with the change."""
    declare: str
    """Option that declares it; empty where the file itself is wrong."""
    variant: Variant | None = None


@dataclass(frozen=True)
class Gap:
    """The difference of both sides on a few rows."""

    noise: float
    relative: float

    def agrees(self, limits: Limits) -> bool:
        """Return whether the gap is within the limits of the difference."""
        if limits.gate.exact:
            return self.relative <= limits.tolerance
        # Wrong inputs make a classifier unsure: its outputs then vary little, and the noise is a share of that.
        return limits.gate.noise is not None and (self.noise <= limits.gate.noise or self.relative <= _CLOSE)

    @property
    def shown(self) -> str:
        """The relative difference as text."""
        return f"{self.relative:.2g}"


def gap_of(known: Mapping[str, np.ndarray], got: Mapping[str, np.ndarray]) -> Gap:
    """Return the difference of outputs (B, ...) by name."""
    found = []
    for name, values in known.items():
        if not (np.isfinite(values).all() and np.isfinite(got[name]).all()):
            return Gap(math.inf, math.inf)
        moments = Moments.of(channels(np.asarray(values)))
        difference = Difference(name, moments, Classes(labels=("", "")).spread({name: moments})[name])
        difference.add(np.asarray(values), got)
        found.append(difference.result)
    return Gap(max(each.noise for each in found), max(each.relative for each in found))
