"""Finds the options that files and a command line set, and checks all of their keys and types."""

from __future__ import annotations

import contextlib
import dataclasses
import difflib
import json
import typing
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from mmkeras.core.components import wrong_type
from mmkeras.core.declared import Declared
from mmkeras.core.errors import nearest

__all__ = ["as_table", "check_arguments", "check_table", "given_keys", "keys_of", "values_of"]


def keys_of(config_class: Any, prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Yield every valid dotted key of an option or a group, with its type."""
    hints = typing.get_type_hints(config_class)
    for field in dataclasses.fields(config_class):
        key, kind = prefix + field.name, hints[field.name]
        yield key, kind
        if dataclasses.is_dataclass(kind):
            yield from keys_of(kind, key + ".")


def _unknown_in(key: str, value: Any, kind: Any) -> list[str]:
    """Return the problems with unknown keys in a list of tables, such as ``[[stages]]``."""
    item = next(iter(typing.get_args(kind)), None)
    if not isinstance(value, list) or typing.get_origin(kind) is not tuple or not dataclasses.is_dataclass(item):
        return []
    own = dict(keys_of(item))
    unknown = (each for row in value if isinstance(row, Mapping) for each in row if each not in own)
    return [f"{key}.{each}: unknown key; {nearest(each, own)}" for each in unknown]


def _known(key: str, keys: Mapping[str, Any]) -> bool:
    """Return whether a key is valid; every key below a dict is (components check their own options)."""
    parents = [key.rsplit(".", n)[0] for n in range(1, key.count(".") + 1)]
    return key in keys or any(typing.get_origin(keys.get(parent)) is dict for parent in parents)


def _hint(key: str, keys: Mapping[str, Any]) -> str:
    """Suggest the nearest key: one of the same group with a similar last part, or else one of any group."""
    group, _, last = key.rpartition(".")
    siblings = {k.rpartition(".")[2]: k for k in keys if k.rpartition(".")[0] == group}
    anywhere = {k.rpartition(".")[2]: k for k in keys}
    for candidates in (siblings, anywhere):
        if close := difflib.get_close_matches(last, candidates, n=1, cutoff=0.6):
            return f"did you mean {candidates[close[0]]!r}?"
    return nearest(key, siblings.values() or [k for k in keys if "." not in k])


def check_arguments(
    arguments: Sequence[str],
    keys: Mapping[str, Any],
    flags: Iterable[str],
    moved: Mapping[str, str],
    declared: Declared,
) -> list[str]:
    """Return the problems with the names of a command line's options.

    ``keys`` are from `keys_of`, ``flags`` are options outside the configuration, ``moved`` has the new key by old key.
    """
    own = {"config", "print_config", "help", *flags}
    problems = []
    for argument in arguments:
        if not argument.startswith("--") or argument == "--":
            continue
        key = argument[2:].split("=", 1)[0]
        if key in moved:
            problems.append(f"--{key}: is now --{moved[key]}")
        elif found := declared.problem(key):
            problems.append(f"--{found}")
        elif key not in own and not _known(key, keys):
            problems.append(f"--{key}: unknown option; {_hint(key, {**keys, **dict.fromkeys(own)})}")
        for text in values_of(f"--{key}", arguments):
            with contextlib.suppress(ValueError):
                problems += [f"--{each}" for each in _unknown_in(key, json.loads(text), keys.get(key))]
    return problems


def check_table(
    path: Path, table: Mapping[str, Any], keys: Mapping[str, Any], moved: Mapping[str, str], declared: Declared
) -> list[str]:
    """Return the problems with the keys and types of a file; see `check_arguments`."""

    def leaves(table: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
        for name, value in table.items():
            key = prefix + name
            if isinstance(value, Mapping) and (key in moved or dataclasses.is_dataclass(keys.get(key))):
                yield from leaves(value, key + ".")
            elif unknown := _unknown_in(key, value, keys.get(key)):
                wrong.extend(unknown)
            elif dataclasses.is_dataclass(keys.get(key)):
                wrong.append(f"{key}: expected a table of options, got {value!r:.80} ({type(value).__name__})")
            elif isinstance(value, Mapping) and key not in keys and not _known(key, keys):
                yield key, None
            else:
                yield key, value

    wrong: list[str] = []
    problems = []
    for key, value in leaves(table):
        if key in moved:
            problems.append(f"{path}: {key}: is now {moved[key]}")
        elif found := declared.problem(key):
            problems.append(f"{path}: {found}")
        elif not _known(key, keys):
            problems.append(f"{path}: {key}: unknown key; {_hint(key, keys)}")
        elif key in keys and (mistake := wrong_type(key, value, keys[key])):
            problems.append(f"{path}: {mistake}")
    return problems + [f"{path}: {mistake}" for mistake in wrong]


def as_table(arguments: Sequence[str]) -> dict[str, Any]:
    """Return the options of a command line as nested tables with text as values."""
    table: dict[str, Any] = {}
    for position, argument in enumerate(arguments):
        if not argument.startswith("--") or argument in ("--", "--config"):
            continue
        key, equals, value = argument[2:].partition("=")
        value = value if equals else next(iter(arguments[position + 1 : position + 2]), "")
        *groups, last = key.split(".")
        inner: Any = table
        for group in groups:
            inner = inner.setdefault(group, {}) if isinstance(inner, dict) else None
        if isinstance(inner, dict):
            inner[last] = value
    return table


def given_keys(sources: Sequence[Mapping[str, Any]], prefix: str) -> set[str]:
    """Return the dotted keys that sources set below a prefix, without the prefix."""

    def leaves(table: Mapping[str, Any], above: str = "") -> Iterator[str]:
        for name, value in table.items():
            yield above + name
            if isinstance(value, Mapping):
                yield from leaves(value, f"{above}{name}.")

    keys = (key for source in sources for key in leaves(source))
    return {key.removeprefix(prefix) for key in keys if key.startswith(prefix)}


def values_of(option: str, arguments: Sequence[str]) -> Iterator[str]:
    """Yield the values that a command line gives an option."""
    for position, argument in enumerate(arguments):
        if argument == option and position + 1 < len(arguments):
            yield arguments[position + 1]
        elif argument.startswith(option + "="):
            yield argument.split("=", 1)[1]
