"""Builds dataclasses from JSON files: checks every key and type, and names the wrong one."""

from __future__ import annotations

import dataclasses
import functools
import json
import sys
import typing
from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypeVar

from mmkeras.core.errors import MmkerasError, nearest

__all__ = ["Checked", "is_finite", "name_of", "parse_json", "read_json"]

T = TypeVar("T")
_NAMES: dict[type, str] = {dict: "an object", list: "an array", type(None): "null"}


@dataclasses.dataclass(frozen=True)
class Checked:
    """The source of values, and the error for a wrong one."""

    file: str
    """The file, for messages."""
    error: type[MmkerasError]
    """Class of the error."""
    hint: str
    """The end of every message: what to do."""

    def build(self, kind: type[T], value: Any, key: str = "", **known: Any) -> T:
        """Build a dataclass, or a value of one of its fields.

        Args:
            kind: a dataclass, or an annotation: a tuple, list or dict of such, a number, a text.
            value: the parsed JSON.
            key: dotted key of the value in the file.
            known: fields of the dataclass that are not in the file.

        Raises:
            MmkerasError: of the class `error`: an unknown or missing key, or a value of another type.
        """
        origin, arguments = typing.get_origin(kind), typing.get_args(kind)
        result: Any
        if dataclasses.is_dataclass(kind):
            result = self._dataclass(kind, value, key, known)
        elif origin in (tuple, list):
            self._check(list, value, key)
            result = origin(self.build(arguments[0], item, f"{key}[{i}]") for i, item in enumerate(value))
        elif origin is dict:
            self._check(dict, value, key)
            result = {name: self.build(arguments[1], item, f"{key}.{name}") for name, item in value.items()}
        elif kind is Any:
            result = value
        else:
            self._check(kind, value, key)
            if kind is float and not is_finite(value):
                raise self.error(f"{self.file}: {key}: expected a finite number, got {value!r:.40}. {self.hint}")
            result = kind(value)  # type: ignore[call-arg]
        return typing.cast(T, result)

    def _dataclass(self, kind: Any, value: Any, key: str, known: Mapping[str, Any]) -> Any:
        self._check(dict, value, key)
        hints = {name: hint for name, hint in _hints(kind).items() if name not in known}
        prefix = f"{key}." if key else ""
        for name in value:
            if name not in hints:
                raise self.error(f"{self.file}: {prefix}{name}: unknown key; {nearest(name, hints)}")
        fields = {}
        for item in dataclasses.fields(kind):
            if item.name in known:
                fields[item.name] = known[item.name]
            elif item.name in value:
                fields[item.name] = self.build(hints[item.name], value[item.name], prefix + item.name)
            elif item.default is dataclasses.MISSING and item.default_factory is dataclasses.MISSING:
                raise self.error(f"{self.file}: {prefix}{item.name}: missing. {self.hint}")
        return kind(**fields)

    def _check(self, kind: type, value: Any, key: str) -> None:
        # In Python bool is an int, in a schema it is not; an int is a valid float.
        wanted: tuple[type, ...] = (int, float) if kind is float else (kind,)
        if not isinstance(value, wanted) or (isinstance(value, bool) and kind is not bool):
            expected = _NAMES.get(kind, kind.__name__)
            where = f"{self.file}: {key}" if key else self.file
            raise self.error(f"{where}: expected {expected}, got {name_of(value)}. {self.hint}")


# Cached, because get_type_hints compiles every annotation in each call.
_hints = functools.cache(typing.get_type_hints)


def is_finite(value: Any) -> bool:
    """Return whether a value is a finite number that fits into a float: neither 1e999 (infinity) nor 10**400 is."""
    return isinstance(value, int | float) and not isinstance(value, bool) and abs(value) <= sys.float_info.max


def parse_json(text: str | bytes) -> Any:
    """Parse JSON whose whole numbers all fit into a float.

    Raises:
        ValueError: the text is not JSON, or a number is too large.
        RecursionError: the JSON is nested too deeply.
    """
    return json.loads(text, parse_int=_whole)


def read_json(path: Path, error: type[MmkerasError], hint: str) -> dict[str, Any]:
    """Read a JSON object; for ``error`` and ``hint``, see `Checked`.

    Raises:
        FileNotFoundError: the file does not exist.
        MmkerasError: of the class ``error``: the file cannot be read or is no JSON object.
    """
    try:
        value = json.loads(path.read_text(encoding="utf-8"), parse_constant=_refuse, parse_int=_whole)
    except FileNotFoundError:
        raise
    except (OSError, ValueError, RecursionError) as problem:
        raise error(f"{path} cannot be read as JSON: {problem}. {hint}") from problem
    if not isinstance(value, dict):
        raise error(f"{path}: expected an object, got {name_of(value)}. {hint}")
    return value


def name_of(value: Any) -> str:
    """Return a value of JSON for the "got" of a message."""
    return _NAMES.get(type(value), f"{value!r:.60}")


def _whole(digits: str) -> int:
    number = int(digits)
    if not is_finite(number):
        raise ValueError(f"the number {digits[:12]}... of {len(digits)} digits is too large")
    return number


def _refuse(constant: str) -> None:
    # json.loads accepts Infinity and NaN; a tolerance of Infinity would let every self-test pass.
    raise ValueError(f"{constant} is no number")
