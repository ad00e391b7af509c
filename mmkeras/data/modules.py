"""Protocols for the records and packages of modalities and tasks; methods with a body are defaults."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from mmkeras.core.components import component, has
from mmkeras.core.errors import ConfigError
from mmkeras.modalities._moves import Move

if TYPE_CHECKING:
    import tensorflow as tf

__all__ = ["ModalityPackage", "RecordsModule", "TargetRecords", "modality_of", "records_of", "target_records_of"]


class RecordsModule(Protocol):
    """``records.py`` of a modality: how values are encoded into records, and decoded and augmented in tf.data."""

    @abstractmethod
    def encode(self, config: Any, value: Any) -> bytes:
        """Return the bytes of a record for a raw value, by configuration or spec, without TensorFlow.

        Raises:
            DataError: the value cannot be used.
        """

    @abstractmethod
    def decode(self, spec: Any, raw: tf.Tensor) -> dict[str, tf.Tensor]:
        """Return the tensors (B, ...) of records, string (B,); the same as `ModalitySpec.preprocess` makes."""

    @abstractmethod
    def augment(self, config: Any, spec: Any, inputs: dict[str, tf.Tensor], seed: tf.Tensor) -> dict[str, tf.Tensor]:
        """Return all inputs of a batch, with those of this modality changed at random as its configuration says."""

    def remark(self, config: Any, value: Any) -> str:
        """Return what a user should know of a raw value that `encode` accepts, the same words for many rows.

        By default, and without anything to say: an empty text. The conversion counts the rows of each remark.
        """
        del config, value
        return ""

    def raw(self, record: bytes) -> Any:
        """Return the raw value of a record; by default its bytes."""
        return bytes(record)

    def proven(self, config: Any, records: Sequence[bytes]) -> list[bytes]:
        """Return records that the training decoder reads, by replacing those that it refuses; by default none."""
        del config
        return list(records)

    def draw_move(self, config: Any, count: tf.Tensor, seed: tf.Tensor) -> Move:
        """Draw how ``count`` samples move; required where `ModalityConfig.moves` names moves."""
        raise ConfigError(f"{type(config).__module__}: names moves, and its records.py has no draw_move")

    def move(self, spec: Any, inputs: dict[str, tf.Tensor], move: Move) -> dict[str, tf.Tensor]:
        """Return all inputs of a batch, with those of this modality moved; by default none."""
        del spec, move
        return inputs


class TargetRecords(Protocol):
    """``records.py`` of a task, which is optional: how its targets move with the picture."""

    def move(self, spec: Any, targets: dict[str, tf.Tensor], move: Move) -> dict[str, tf.Tensor]:
        """Return the targets of a batch, moved; by default unchanged. PNG targets are moved already."""
        del spec, move
        return targets


class ModalityPackage(Protocol):
    """The package of a modality."""

    def resolve(self, config: Any, values: Iterable[Any], folder: Path) -> Any:
        """Return the configuration with what is learned from training values, such as a vocabulary; by default nothing.

        Args:
            config: as the user wrote it.
            values: raw training values without missing ones; read only as far as needed.
            folder: where learned files are written.
        """
        del values, folder
        return config


def records_of(kind: str) -> RecordsModule:
    """Return ``records.py`` of a modality."""
    return component(RecordsModule, "modalities", kind, "records")


def target_records_of(kind: str) -> TargetRecords:
    """Return ``records.py`` of a task, or the defaults without one."""
    return component(TargetRecords, "tasks", kind, "records" if has("tasks", kind, "records") else "")


def modality_of(kind: str) -> ModalityPackage:
    """Return the package of a modality."""
    return component(ModalityPackage, "modalities", kind)
