"""The samples that sources yield, and the base of all sources. No TensorFlow: worker processes read sources too."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar

from mmkeras.modalities import ModalitySpec

__all__ = ["SPLITS", "Sample", "SourceBase", "split_called"]

SPLITS = ("train", "validation", "test")
_ALSO = {"training": "train", "testing": "test", "val": "validation", "valid": "validation", "dev": "validation"}


def split_called(name: str) -> str | None:
    """Return the split that a name stands for, in any case: train, validation or test; None where it is none."""
    split = _ALSO.get(name.casefold(), name.casefold())
    return split if split in SPLITS else None


@dataclass(frozen=True)
class Sample:
    """One row of a dataset before conversion."""

    key: str
    """Unique within the source; shown in reports."""
    values: dict[str, Any]
    """Raw value by modality name: a path, bytes or a string; ``None`` for a modality that is missing on purpose."""
    target: Any
    """Label, list of labels or number, as in the dataset."""
    split: str | None = None
    """``train``, ``validation`` or ``test`` where the dataset gives it."""
    group: str | None = None
    """Samples of one group are always in one split. The name is not written into records."""
    group_number: int = 0
    """Number of the group within the split, set by the plan; records hold it instead of the name."""
    weight: float = 1.0
    columns: dict[str, str] = field(default_factory=dict)
    """Further columns to slice the evaluation by."""
    origin: str = ""
    """Place of the row, for error messages: ``file.csv:17``."""
    remarks: tuple[str, ...] = ()
    """Unusual properties of a row that is used; the conversion counts rows by remark."""


@dataclass(frozen=True)
class SourceBase(ABC):
    """A dataset in its own format."""

    reads: ClassVar[tuple[str, ...]] = ()
    """Options that are paths."""

    def derived(self, modalities: Mapping[str, ModalitySpec]) -> SourceBase:
        """Return the source for a model of these modalities, with options derived from their specs.

        Raises:
            ConfigError: an option contradicts them.
        """
        del modalities
        return self

    @abstractmethod
    def samples(self) -> Iterator[Sample]:
        """Yield every row in a fixed order. The target of an unreadable row is the error.

        Raises:
            DataError: the dataset as a whole cannot be read.
        """

    @abstractmethod
    def fingerprint_inputs(self) -> dict[str, str]:
        """Return the identity of the inputs: file name or column -> hash, size or version."""
