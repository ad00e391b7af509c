"""What modalities and tasks provide for records and tf.data, with the default of what they may leave out."""

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

__all__ = [
    "ModalityPackage",
    "RecordsModule",
    "TargetRecords",
    "modality_of",
    "records_of",
    "target_records_of",
]


class RecordsModule(Protocol):
    """``records.py``: what a record holds of a value, and how tf.data decodes and augments it."""

    @abstractmethod
    def encode(self, config: Any, value: Any) -> bytes:
        """Return what a record holds of a raw value, by configuration or spec, without TensorFlow.

        Raises:
            DataError: the value cannot be used.
        """

    @abstractmethod
    def decode(self, spec: Any, raw: tf.Tensor) -> dict[str, tf.Tensor]:
        """Return the tensors (B, ...) of records, string (B,); the same as `ModalitySpec.preprocess` makes."""

    @abstractmethod
    def augment(self, config: Any, spec: Any, inputs: dict[str, tf.Tensor], seed: tf.Tensor) -> dict[str, tf.Tensor]:
        """Return all inputs of a batch, those of this modality changed at random as its configuration says."""

    def raw(self, record: bytes) -> Any:
        """Return the raw value that a record was made of; here its bytes."""
        return bytes(record)

    def proven(self, config: Any, records: Sequence[bytes]) -> list[bytes]:
        """Return records that the training decoder reads; one that it refuses is replaced. Here it reads all."""
        del config
        return list(records)

    def draw_move(self, config: Any, count: tf.Tensor, seed: tf.Tensor) -> Move:
        """Draw how ``count`` samples move; required where `ModalityConfig.moves` names moves.

        Raises:
            ConfigError: always, here.
        """
        raise ConfigError(f"{type(config).__module__}: names moves, and its records.py has no draw_move")

    def move(self, spec: Any, inputs: dict[str, tf.Tensor], move: Move) -> dict[str, tf.Tensor]:
        """Return all inputs of a batch, those of this modality moved; here it has no place in the picture."""
        del spec, move
        return inputs


class TargetRecords(Protocol):
    """``records.py``, which a task may leave out: how its targets move with the picture."""

    def move(self, spec: Any, targets: dict[str, tf.Tensor], move: Move) -> dict[str, tf.Tensor]:
        """Return the targets of a batch, moved, except PNG targets, which are moved already.

        Here they have no place in the picture.
        """
        del spec, move
        return targets


class ModalityPackage(Protocol):
    """The package of a modality."""

    def resolve(self, config: Any, values: Iterable[Any], folder: Path) -> Any:
        """Return the configuration with what is learned from training values, such as a vocabulary.

        Here nothing is.

        Args:
            config: as the user wrote it.
            values: raw training values that are there; read only as far as they are needed.
            folder: where what is learned is written.
        """
        del values, folder
        return config


def records_of(kind: str) -> RecordsModule:
    """Return ``records.py`` of a modality."""
    return component(RecordsModule, "modalities", kind, "records")


def target_records_of(kind: str) -> TargetRecords:
    """Return ``records.py`` of a task, or its defaults where there is none."""
    return component(TargetRecords, "tasks", kind, "records" if has("tasks", kind, "records") else "")


def modality_of(kind: str) -> ModalityPackage:
    """Return the package of a modality."""
    return component(ModalityPackage, "modalities", kind)
