"""Builds dataclasses from JSON that comes from outside: every key and type is checked, and the wrong one is named."""

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
    """Where values come from, and how a wrong one is answered."""

    file: str
    """Named in every message."""
    error: type[MmkerasError]
    """What is raised."""
    hint: str
    """What to do, the end of every message."""

    def build(self, kind: type[T], value: Any, key: str = "", **known: Any) -> T:
        """Build a dataclass, or what stands in one: tuples, dicts with names, numbers, texts.

        Args:
            kind: a dataclass or an annotation.
            value: what JSON gave.
            key: where it stands in the file, with dots.
            known: fields of the dataclass that the file does not hold.

        Raises:
            MmkerasError: of the class `error`: an unknown or missing key, or a value of another type.
        """
        origin, arguments = typing.get_origin(kind), typing.get_args(kind)
        result: Any
        if dataclasses.is_dataclass(kind):
            result = self._dataclass(kind, value, key, known)
        elif origin is tuple:
            self._check(list, value, key)
            result = tuple(self.build(arguments[0], item, f"{key}[{i}]") for i, item in enumerate(value))
        elif origin is list:
            self._check(list, value, key)
            result = [self.build(arguments[0], item, f"{key}[{i}]") for i, item in enumerate(value)]
        elif origin is dict:
            self._check(dict, value, key)
            result = {name: self.build(arguments[1], item, f"{key}.{name}") for name, item in value.items()}
        elif kind is Any:
            result = value
        else:
            result = self._plain(kind, value, key)
        return typing.cast(T, result)

    def _plain(self, kind: Any, value: Any, key: str) -> Any:
        self._check(kind, value, key)
        if kind is float and not is_finite(value):
            raise self.error(f"{self.file}: {key}: expected a finite number, got {value!r:.40}. {self.hint}")
        return kind(value)

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
        # bool is an int in Python, but not in a schema; an int is a valid float.
        wanted: tuple[type, ...] = (int, float) if kind is float else (kind,)
        if not isinstance(value, wanted) or (isinstance(value, bool) and kind is not bool):
            expected = _NAMES.get(kind, kind.__name__)
            where = f"{self.file}: {key}" if key else self.file
            raise self.error(f"{where}: expected {expected}, got {name_of(value)}. {self.hint}")


# Python compiles every annotation anew each time.
_hints = functools.cache(typing.get_type_hints)


def is_finite(value: Any) -> bool:
    """Return whether a value is a number that a float holds: 1e999 is read as infinity, 10**400 has no float at all."""
    return isinstance(value, int | float) and not isinstance(value, bool) and abs(value) <= sys.float_info.max


def parse_json(text: str | bytes) -> Any:
    """Parse JSON whose whole numbers all have a float, so that they can be compared, divided and written.

    Raises:
        ValueError: no JSON, or a number beyond that.
        RecursionError: nested too deeply.
    """
    return json.loads(text, parse_int=_whole)


def read_json(path: Path, error: type[MmkerasError], hint: str) -> dict[str, Any]:
    """Read a JSON object.

    Args:
        path: the file.
        error: what is raised.
        hint: what to do, the end of every message.

    Raises:
        FileNotFoundError: no such file.
        MmkerasError: of the class ``error``: it cannot be read, or is something else.
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
    """Return how a message names a value that was got."""
    return _NAMES.get(type(value), f"{value!r:.60}")


def _whole(digits: str) -> int:
    number = int(digits)
    if not is_finite(number):
        raise ValueError(f"the number {digits[:12]}... of {len(digits)} digits is too large")
    return number


def _refuse(constant: str) -> None:
    # Python's reader takes them; a tolerance of Infinity would let every self-test pass.
    raise ValueError(f"{constant} is no number")
