"""What a record is to hold is read by the decoder that training uses, before it is written.

Workers check values without TensorFlow, by a library of their own (Pillow). A value that only that library can read
would end a training much later, and the shard would be blamed.
"""

from __future__ import annotations

import dataclasses
import hashlib
from collections.abc import Mapping, Sequence
from typing import Any

from mmkeras.core.components import find
from mmkeras.data.encode import Encoded, room
from mmkeras.data.quarantine import BadRow

__all__ = ["Proof"]


class Proof:
    """Proves encoded rows, each distinct value once, with the ``proven`` of every modality whose records have one."""

    def __init__(self, modalities: Mapping[str, Any]) -> None:
        self._configs = dict(modalities)
        records = {name: find("modalities", room(config), "records") for name, config in modalities.items()}
        self._proven = {name: each.proven for name, each in records.items() if hasattr(each, "proven")}
        self._replaced: dict[tuple[str, bytes], bytes | None] = {}

    def proven(self, rows: Sequence[Encoded | BadRow]) -> list[Encoded | BadRow]:
        """Return the rows; a value that the training decoder refuses is replaced by one that it reads."""
        result = list(rows)
        for name in self._proven:
            self._prove(name, result)
        return result

    def _prove(self, name: str, rows: list[Encoded | BadRow]) -> None:
        values = {
            at: (value, (name, hashlib.blake2b(value, digest_size=16).digest()))
            for at, row in enumerate(rows)
            if isinstance(row, Encoded) and (value := row.values[name]) is not None
        }
        new = {key: value for value, key in values.values() if key not in self._replaced}
        for (key, value), proven in zip(
            new.items(), self._proven[name](self._configs[name], list(new.values())), strict=True
        ):
            self._replaced[key] = None if proven == value else proven
        for at, (_, key) in values.items():
            row, replaced = rows[at], self._replaced[key]
            if replaced is not None and isinstance(row, Encoded):
                rows[at] = dataclasses.replace(row, values={**row.values, name: replaced})
