"""Checks and encodes rows during a conversion, in worker processes and without TensorFlow."""

from __future__ import annotations

import inspect
import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from mmkeras.core.errors import DataError
from mmkeras.data.modules import records_of
from mmkeras.data.quarantine import BadRow
from mmkeras.data.sources import Sample
from mmkeras.tasks import TaskSpec
from mmkeras.tasks._targets import as_rows
from mmkeras.tasks._words import WordTask

__all__ = ["Encoded", "Encoder", "kind_of", "target_key"]

CACHE_BYTES = 256 * 2**20


@dataclass(frozen=True)
class Encoded:
    """One sample as a record holds it."""

    key: str
    values: dict[str, bytes | None]
    """Encoded value by modality; ``None`` where it is missing."""
    targets: dict[str, bytes]
    """Encoded target by name."""
    weight: float
    group: int
    """Number of the sample's group within its split."""
    columns: bytes
    """JSON object."""
    labels: list[str]
    """The labels of the targets, for the class balance."""
    remarks: tuple[str, ...] = ()
    """What a user should know of the values, such as pages that are not read."""


def kind_of(config: Any) -> str:
    """Return the component name of a modality's or task's configuration or spec, for example ``"image"``."""
    return type(config).__module__.split(".")[2]


def target_key(name: str) -> str:
    """Return the name of a target's feature in a record."""
    return f"target/{name}"


class Encoder:
    """Checks and encodes samples; a path or text that occurs again is checked once."""

    def __init__(self, modalities: Mapping[str, Any], task: TaskSpec) -> None:
        self._modalities = modalities
        self._spec = task
        self._records = {name: records_of(kind_of(config)) for name, config in modalities.items()}
        self._seen: dict[tuple[str, str], bytes | DataError] = {}
        self._seen_bytes = 0
        # Modules without the function have the protocol's default, a method, which says nothing.
        self._remarking = {name for name, each in self._records.items() if inspect.isfunction(each.remark)}
        self._remarks: dict[tuple[str, str], str] = {}

    def encode(self, samples: Sequence[Sample], split: str) -> list[Encoded | BadRow]:
        """Encode samples; a bad sample becomes its entry in the quarantine."""
        result: list[Encoded | BadRow] = []
        for sample in samples:
            try:
                result.append(self._sample(sample))
            except DataError as error:
                message, part = error.args if len(error.args) == 2 else (str(error), "row")
                result.append(BadRow(sample.origin, sample.key, split, part, message))
        return result

    def _sample(self, sample: Sample) -> Encoded:
        targets = self._targets(sample)
        values, remarks = self._values(sample)
        if isinstance(self._spec, WordTask):
            self._check_words(self._spec, sample)
        return Encoded(
            key=sample.key,
            values=values,
            targets={spec.name: spec.to_bytes(targets[spec.name]) for spec in self._spec.targets},
            weight=sample.weight,
            group=sample.group_number,
            columns=json.dumps(sample.columns).encode(),
            labels=self._spec.classes_of(as_rows(self._spec.targets, targets)),
            remarks=remarks,
        )

    def _check_words(self, task: WordTask, sample: Sample) -> None:
        try:
            task.check_sample(sample.target, sample.values, self._modalities)
        except DataError as error:
            raise DataError(str(error), "target") from None

    def _values(self, sample: Sample) -> tuple[dict[str, bytes | None], tuple[str, ...]]:
        """Encode the modalities, and collect remarks; the errors carry the part of the row as second argument."""
        result: dict[str, bytes | None] = {}
        remarks = []
        for name in self._modalities:
            value = sample.values.get(name)
            try:
                result[name] = None if value is None else self._once(name, value)
                said = "" if value is None else self._remark(name, value)
            except DataError as error:
                raise DataError(str(error), name) from None
            remarks += [f"{name}: {said}"] if said else []
        if all(value is None for value in result.values()):
            raise DataError("no modality is present", "row")
        return result, tuple(remarks)

    def _remark(self, name: str, value: Any) -> str:
        if name not in self._remarking:
            return ""
        if not isinstance(value, str):
            return self._records[name].remark(self._modalities[name], value)
        if (name, value) not in self._remarks:
            self._remarks[name, value] = self._records[name].remark(self._modalities[name], value)
        return self._remarks[name, value]

    def _targets(self, sample: Sample) -> dict[str, np.ndarray]:
        """Encode the targets, each in its own dtype; the errors carry the part of the row as second argument."""
        if isinstance(sample.target, Exception):
            raise DataError(str(sample.target), "row")
        if not (math.isfinite(sample.weight) and sample.weight >= 0):
            raise DataError(f"expected a finite weight of at least 0, got {sample.weight}", "row")
        try:
            encoded = self._spec.encode(sample.target)
        except DataError as error:
            raise DataError(str(error), "target") from None
        given = encoded if isinstance(encoded, Mapping) else {self._spec.target.name: encoded}
        targets = {}
        for spec in self._spec.targets:
            value = np.asarray(given[spec.name])
            if value.dtype.kind == "f" and not np.isfinite(value).all():
                raise DataError(f"expected finite numbers, got {sample.target!r:.300}", "target")
            if value.shape != spec.shape:
                raise DataError(f"expected {spec.name} of shape {spec.shape}, got {value.shape}", "target")
            targets[spec.name] = value.astype(spec.dtype)
        return targets

    def _once(self, name: str, value: Any) -> bytes:
        if not isinstance(value, str):
            return bytes(self._records[name].encode(self._modalities[name], value))
        found = self._seen.get((name, value))
        if found is None:
            try:
                found = self._records[name].encode(self._modalities[name], value)
            except DataError as error:
                found = error
            size = len(found) if isinstance(found, bytes) else 0
            if self._seen_bytes + size > CACHE_BYTES:
                self._seen.clear()
                self._remarks.clear()
                self._seen_bytes = 0
            self._seen[name, value] = found
            self._seen_bytes += size + len(value)
        if isinstance(found, DataError):
            raise found
        return found
