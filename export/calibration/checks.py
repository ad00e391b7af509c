"""One measured property of calibration samples, held against the training samples."""

from __future__ import annotations

import math
from dataclasses import dataclass

__all__ = ["Check"]


@dataclass(frozen=True)
class Check:
    """A number and the limits that real data keeps."""

    tensor: str
    """Name of the input."""
    what: str
    """The property in words."""
    got: float
    """Of the calibration samples."""
    usual: float
    """Of the training samples."""
    least: float = -math.inf
    """Smallest value that passes."""
    most: float = math.inf
    """Largest value that passes."""

    @property
    def passed(self) -> bool:
        """Whether the number is within its limits; NaN is not."""
        return self.least <= self.got <= self.most

    @property
    def limits(self) -> str:
        """What is expected, in words."""
        if math.isfinite(self.least) and math.isfinite(self.most):
            return f"{self.least:.3g} to {self.most:.3g}"
        return f"at least {self.least:.3g}" if self.most == math.inf else f"at most {self.most:.3g}"

    def __str__(self) -> str:
        """Return a line for people."""
        usual = f"training samples: {self.usual:.3g}"
        return f"{self.tensor}: {self.what}: expected {self.limits} ({usual}), got {self.got:.3g}"
