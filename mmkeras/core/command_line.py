"""Reads a configuration from TOML files and dotted command-line options into frozen dataclasses.

jsonargparse does the parsing, the help texts and ``--print_config``. This module adds three things: it reports all
problems at once, it suggests the nearest valid name for an unknown key, and it lets a configuration name further
modalities (`mmkeras.core.declared`).
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import sys
import typing
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

from jsonargparse import ArgumentParser, set_parsing_settings

from mmkeras.core.config import ModelConfig
from mmkeras.core.declared import declare
from mmkeras.core.errors import ConfigError
from mmkeras.core.given import as_table, check_arguments, check_table, given_keys, keys_of, values_of
from mmkeras.core.modalities import take_over, taken_over

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
    """Whether the option takes a value, ``latest`` when it is given alone; without it the option is a switch."""


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

    Later sources override earlier ones: the class's defaults, the program's own file, then ``--config`` files and
    options in the order given.
    A table ``[model.<name>]`` with a ``kind``, or an option ``--model.<name>.kind``, adds a modality to the model.

    Args:
        config_class: frozen dataclass whose fields, nested dataclasses included, are the options.
        arguments: without the program's name; ``sys.argv`` when not given.
        program: name in the usage line of ``--help``.
        description: first lines of ``--help``.
        defaults: TOML file with the program's defaults.
        flags: options of the program itself.

    Returns:
        The configuration and the values of the flags. Where modalities were added, the configuration's class derives
        from the given one.

    Raises:
        ConfigError: every unknown key and wrong value, with the nearest valid names.
        SystemExit: after ``--help`` or ``--print_config``.
    """
    arguments = sys.argv[1:] if arguments is None else list(arguments)
    files = [defaults] if defaults else []
    files += [Path(path) for path in values_of("--config", arguments)]
    tables = {file: read_toml(file) for file in files}
    sources = [*tables.values(), as_table(arguments)]
    declared = declare(config_class, sources)
    config_class = declared.config_class
    keys = dict(keys_of(config_class))
    moved: Mapping[str, str] = getattr(config_class, "moved", {})
    problems = check_arguments(arguments, keys, [flag.name for flag in flags], moved, declared)
    reported = {problem.removeprefix("--") for problem in problems}
    for file, table in tables.items():
        found = check_table(file, table, keys, moved, declared)
        problems += [each for each in found if each.removeprefix(f"{file}: ") not in reported]
    if problems:
        raise ConfigError("\n".join(dict.fromkeys(problems)))

    chosen, rest = _take_flags(arguments, flags)
    parser = _parser(config_class, program, description, flags)
    if defaults:
        parser.default_config_files = [str(defaults)]
    wanted = list(_with_lists(rest, keys))
    printed = [argument for argument in wanted if argument.startswith("--print_config")]
    values = _values(parser, [argument for argument in wanted if argument not in printed])
    fields = {f.name for f in dataclasses.fields(typing.cast(Any, config_class))}
    values = {name: value for name, value in values.items() if name in fields}
    for name, value in values.items():
        if isinstance(value, ModelConfig):
            values[name] = take_over(value, given_keys(sources, f"{name}."))
            parser.set_defaults({f"{name}.{key}": each for key, each in taken_over(value, values[name]).items()})
    if printed:
        _values(parser, wanted)  # ends the program
    return config_class(**values), chosen


def _values(parser: ArgumentParser, arguments: Sequence[str]) -> dict[str, Any]:
    """Return the configuration's fields, parsed and with their dataclasses built."""
    try:
        namespace = parser.parse_args(list(arguments))
        # jsonargparse < 4.49 has the older name alone.
        build = parser.instantiate if hasattr(parser, "instantiate") else parser.instantiate_classes
        return dict(build(namespace).as_dict())
    except argparse.ArgumentError as error:
        raise ConfigError(" ".join(str(error).split())) from error
    except OverflowError as error:
        raise ConfigError("an option: expected a number that a float can hold, got one too large") from error


def read_toml(path: Path) -> dict[str, Any]:
    """Read a TOML file.

    Raises:
        ConfigError: the file cannot be read or is not TOML; the message names file and line.
    """
    try:
        return tomllib.loads(path.read_text(encoding="utf-8-sig"))
    except OSError as error:
        raise ConfigError(f"{path}: cannot be read ({error.strerror}); expected a TOML file") from error
    except (ValueError, RecursionError) as error:  # TOMLDecodeError is a ValueError
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
    parser.add_argument("--config", action="config", help="TOML file; may be given several times, later ones override.")
    # The flags are no arguments of this parser: --print_config would print them, and `parse` refuses them in a file.
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
    """Join the values of a tuple option into one list for jsonargparse: ``--seeds 0 1`` becomes ``--seeds [0, 1]``."""
    at = 0
    while at < len(arguments):
        option, at = arguments[at], at + 1
        yield option
        kind = keys.get(option.removeprefix("--"))
        # An option may also be left out: tuple[str, ...] | None.
        kind = next((each for each in (kind, *typing.get_args(kind)) if typing.get_origin(each) is tuple), None)
        if kind is None or not option.startswith("--"):
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
