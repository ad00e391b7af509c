"""Reads a configuration from TOML files and dotted command-line options into frozen dataclasses.

jsonargparse does the parsing, the help texts and ``--print_config``. What is added here: all problems are reported at
once, and an unknown key is answered with the nearest valid name.
"""

from __future__ import annotations

import argparse
import contextlib
import dataclasses
import json
import sys
import typing
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

from jsonargparse import ArgumentParser, set_parsing_settings

from mmkeras.core.components import wrong_type
from mmkeras.core.errors import ConfigError, nearest

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

__all__ = ["Flag", "parse", "read_toml", "to_toml"]

ConfigT = TypeVar("ConfigT")


@dataclasses.dataclass(frozen=True)
class Flag:
    """A command-line option of the program that is not part of the configuration."""

    name: str
    """Without dashes, for example ``resume``."""
    help: str
    """Help text."""
    value: bool = False
    """Whether the option may take a value, ``latest`` when it stands alone; else it is a switch."""


def parse(
    config_class: type[ConfigT],
    arguments: Sequence[str] | None = None,
    *,
    program: str,
    description: str,
    defaults: Path | None = None,
    flags: Sequence[Flag] = (),
) -> tuple[ConfigT, dict[str, Any]]:
    """Parse a program's arguments.

    Later sources win: the class's defaults, the program's own file, ``--config`` files and options in the order given.

    Args:
        config_class: frozen dataclass whose fields, nested dataclasses included, are the options.
        arguments: without the program's name; ``sys.argv`` when not given.
        program: name shown in the usage line.
        description: first lines of ``--help``.
        defaults: TOML file with the program's defaults.
        flags: further options.

    Returns:
        The configuration and the values of the flags.

    Raises:
        ConfigError: every unknown key and wrong value, with the nearest valid names.
        SystemExit: after ``--help`` or ``--print_config``.
    """
    arguments = sys.argv[1:] if arguments is None else list(arguments)
    keys = dict(_keys(config_class))
    moved: Mapping[str, str] = getattr(config_class, "moved", {})
    problems = _check_arguments(arguments, keys, flags, moved)
    files = [defaults] if defaults else []
    files += [Path(path) for path in _values_of("--config", arguments)]
    for file in files:
        problems += _check_file(file, keys, moved)
    if problems:
        raise ConfigError("\n".join(problems))

    chosen, rest = _take_flags(arguments, flags)
    parser = _parser(config_class, program, description, flags)
    if defaults:
        parser.default_config_files = [str(defaults)]
    try:
        namespace = parser.parse_args(list(_with_lists(rest, keys)))
        values = parser.instantiate(namespace).as_dict() if hasattr(parser, "instantiate") else None
        if values is None:  # jsonargparse < 4.49
            values = parser.instantiate_classes(namespace).as_dict()
    except argparse.ArgumentError as error:
        raise ConfigError(" ".join(str(error).split())) from error
    except OverflowError as error:
        raise ConfigError("an option: expected a number that a float can hold, got one too large") from error
    fields = {f.name for f in dataclasses.fields(typing.cast(Any, config_class))}
    return config_class(**{k: v for k, v in values.items() if k in fields}), chosen


def read_toml(path: Path) -> dict[str, Any]:
    """Read a TOML file.

    Raises:
        ConfigError: the file is missing or is not TOML; the message names file and line.
    """
    try:
        return tomllib.loads(path.read_text(encoding="utf-8-sig"))
    except OSError as error:
        raise ConfigError(f"{path}: cannot be read ({error.strerror}); expected a TOML file") from error
    except (ValueError, RecursionError) as error:  # TOMLDecodeError among them
        raise ConfigError(f"{path}: is not valid TOML: {error}") from error


def to_toml(config: Any) -> str:
    """Return a configuration as TOML that `parse` reads back; fields that are None are left out."""
    import tomlkit

    def plain(value: Any) -> Any:
        if isinstance(value, Mapping):
            return {k: plain(v) for k, v in value.items() if v is not None}
        return [plain(v) for v in value] if isinstance(value, tuple | list) else value

    return tomlkit.dumps(plain(dataclasses.asdict(config)))


def _parser(config_class: type, program: str, description: str, flags: Sequence[Flag]) -> ArgumentParser:
    set_parsing_settings(docstring_parse_attribute_docstrings=True)
    parser = ArgumentParser(
        prog=program, description=description, exit_on_error=False, parser_mode="toml", allow_abbrev=False
    )
    parser.add_argument("--config", action="config", help="TOML file; may be given several times, later ones win.")
    # Not arguments of this parser: --print_config would print them, and a file with them could not be read back.
    parser.epilog = "\n".join(f"--{flag.name}{' [VALUE]' if flag.value else ''}: {flag.help}" for flag in flags)
    parser.add_class_arguments(config_class)
    return parser


def _take_flags(arguments: Sequence[str], flags: Sequence[Flag]) -> tuple[dict[str, Any], list[str]]:
    """Split the flags from the options of the configuration."""
    parser = argparse.ArgumentParser(add_help=False, allow_abbrev=False)
    for flag in flags:
        if flag.value:
            parser.add_argument(f"--{flag.name}", nargs="?", const="latest", default=None)
        else:
            parser.add_argument(f"--{flag.name}", action="store_true")
    known, rest = parser.parse_known_args(arguments)
    return vars(known), rest


def _with_lists(arguments: Sequence[str], keys: Mapping[str, Any]) -> Iterator[str]:
    """Write several values of an option as the one list that jsonargparse reads: ``--seeds 0 1`` as ``[0, 1]``."""
    at = 0
    while at < len(arguments):
        option, at = arguments[at], at + 1
        yield option
        kind = keys.get(option.removeprefix("--"))
        if typing.get_origin(kind) is not tuple or not option.startswith("--"):
            continue
        first = at
        while at < len(arguments) and not arguments[at].startswith("--"):
            at += 1
        values = arguments[first:at]
        if len(values) == 1 and values[0].lstrip().startswith("["):
            yield values[0]
        elif values:
            plain = {int, float, Ellipsis}.issuperset(typing.get_args(kind))
            yield f"[{', '.join(value if plain else json.dumps(value) for value in values)}]"


def _keys(config_class: Any, prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Yield every valid dotted key with its type; groups too."""
    hints = typing.get_type_hints(config_class)
    for field in dataclasses.fields(config_class):
        key, kind = prefix + field.name, hints[field.name]
        yield key, kind
        if dataclasses.is_dataclass(kind):
            yield from _keys(kind, key + ".")


def _unknown_in(key: str, value: Any, kind: Any) -> list[str]:
    """Return the complaints about unknown keys in a list of tables, such as ``[[stages]]``."""
    item = next(iter(typing.get_args(kind)), None)
    if not isinstance(value, list) or typing.get_origin(kind) is not tuple or not dataclasses.is_dataclass(item):
        return []
    own = dict(_keys(item))
    unknown = (each for row in value if isinstance(row, Mapping) for each in row if each not in own)
    return [f"{key}.{each}: unknown key; {nearest(each, own)}" for each in unknown]


def _known(key: str, keys: Mapping[str, Any]) -> bool:
    """Say whether a key exists; below a dict-valued key every name does (components check their own options)."""
    parents = [key.rsplit(".", n)[0] for n in range(1, key.count(".") + 1)]
    return key in keys or any(typing.get_origin(keys.get(parent)) is dict for parent in parents)


def _hint(key: str, keys: Mapping[str, Any]) -> str:
    """Name the nearest key, first among those whose last part is alike."""
    import difflib

    last = key.rsplit(".", 1)[-1]
    group = key.rsplit(".", 1)[0] if "." in key else ""
    siblings = {k.rsplit(".", 1)[-1]: k for k in keys if (k.rsplit(".", 1)[0] if "." in k else "") == group}
    anywhere = {k.rsplit(".", 1)[-1]: k for k in keys}
    for candidates in (siblings, anywhere):
        if close := difflib.get_close_matches(last, candidates, n=1, cutoff=0.6):
            return f"did you mean {candidates[close[0]]!r}?"
    return nearest(key, siblings.values() or [k for k in keys if "." not in k])


def _check_arguments(
    arguments: Sequence[str], keys: Mapping[str, Any], flags: Sequence[Flag], moved: Mapping[str, str]
) -> list[str]:
    own = {"config", "print_config", "help", *(flag.name for flag in flags)}
    problems = []
    for argument in arguments:
        if not argument.startswith("--") or argument == "--":
            continue
        key = argument[2:].split("=", 1)[0]
        if key in moved:
            problems.append(f"--{key}: is now --{moved[key]}")
        elif key not in own and not _known(key, keys):
            problems.append(f"--{key}: unknown option; {_hint(key, {**keys, **dict.fromkeys(own)})}")
        for text in _values_of(f"--{key}", arguments):
            with contextlib.suppress(ValueError):
                problems += [f"--{each}" for each in _unknown_in(key, json.loads(text), keys.get(key))]
    return problems


def _check_file(path: Path, keys: Mapping[str, Any], moved: Mapping[str, str]) -> list[str]:
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
    for key, value in leaves(read_toml(path)):
        if key in moved:
            problems.append(f"{path}: {key}: is now {moved[key]}")
        elif not _known(key, keys):
            problems.append(f"{path}: {key}: unknown key; {_hint(key, keys)}")
        elif key in keys and (complaint := wrong_type(key, value, keys[key])):
            problems.append(f"{path}: {complaint}")
    return problems + [f"{path}: {complaint}" for complaint in wrong]


def _values_of(option: str, arguments: Sequence[str]) -> Iterator[str]:
    for position, argument in enumerate(arguments):
        if argument == option and position + 1 < len(arguments):
            yield arguments[position + 1]
        elif argument.startswith(option + "="):
            yield argument.split("=", 1)[1]
