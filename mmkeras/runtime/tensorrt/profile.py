"""Which batch sizes an engine takes: the smallest, the one it is tuned for, the largest."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from mmkeras.core.errors import BundleError, ConfigError

__all__ = ["BatchRange", "Shapes"]

LARGEST = 4096


@dataclass(frozen=True)
class Shapes:
    """The shapes of one input in an optimisation profile, batch included."""

    min: tuple[int, ...]
    opt: tuple[int, ...]
    """The shape that the engine is tuned for."""
    max: tuple[int, ...]
    """Largest; memory is allocated for it."""


@dataclass(frozen=True)
class BatchRange:
    """Batch sizes of an engine."""

    min: int = 1
    opt: int = 1
    """The size that the engine is tuned for."""
    max: int = 1

    @classmethod
    def parse(cls, text: str) -> BatchRange:
        """Read ``1`` or ``1:4:8`` (smallest, tuned for, largest).

        Raises:
            ConfigError: something else.
        """
        parts = text.split(":")
        if len(parts) not in (1, 3) or not all(part.isascii() and part.isdecimal() for part in parts):
            raise ConfigError(f"--batch: expected one size such as 1, or min:opt:max such as 1:4:8, got {text!r}")
        sizes = [int(part) for part in parts]
        low, best, high = sizes * 3 if len(sizes) == 1 else sizes
        if not 1 <= low <= best <= high <= LARGEST:
            raise ConfigError(f"--batch: expected 1 <= min <= opt <= max <= {LARGEST}, got {text!r}")
        return cls(low, best, high)

    @property
    def static(self) -> bool:
        """Whether there is one size only; its inference can then be replayed as a CUDA graph."""
        return self.min == self.max

    def __str__(self) -> str:
        return str(self.min) if self.static else f"{self.min}:{self.opt}:{self.max}"

    def shapes(self, name: str, shape: Sequence[int]) -> Shapes:
        """Return the profile of one input with its shape in the network; -1 marks a dynamic dimension.

        Raises:
            BundleError: another dimension than the first is dynamic.
            ConfigError: the first one is fixed to another size than the requested one.
        """
        dims = tuple(int(size) for size in shape)
        loose = [axis for axis, size in enumerate(dims) if size < 0 and axis]
        if loose or not dims:
            what = f"dimensions {loose} are dynamic" if loose else "it is a single number"
            raise BundleError(
                f"Input {name}: expected (batch, ...) with a dynamic batch alone, got {list(dims)}: {what}. "
                "Export the ONNX file again with python -m export."
            )
        if dims[0] >= 0:
            if not self.static or dims[0] != self.min:
                raise ConfigError(
                    f"Input {name} has the fixed batch size {dims[0]} in the ONNX file, --batch asks for {self}. "
                    f"Give --batch {dims[0]}, or export a file with a dynamic batch."
                )
            return Shapes(dims, dims, dims)
        return Shapes(*((size, *dims[1:]) for size in (self.min, self.opt, self.max)))
