"""Finds components by their module name, so that adding one is adding a file.

A component family is a package (``mmkeras.fusion``, ``mmkeras.tasks``, ``mmkeras.data.sources``). Each public module
or sub-package in it is one component. A configuration names a component and its options with a `Choice`.
"""

from __future__ import annotations

import dataclasses
import importlib
import importlib.util
import inspect
import pkgutil
import typing
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from types import ModuleType
from typing import Any, TypeVar

from mmkeras.core.errors import ConfigError, nearest

__all__ = ["Choice", "check_options", "component", "find", "has", "names", "wrong_type"]

P = TypeVar("P")


@dataclass(frozen=True)
class Choice:
    """A component by name, with the options its constructor takes."""

    name: str
    """Module name of the component, for example ``cross_attention``."""
    options: dict[str, Any] = field(default_factory=dict)
    """Keyword options of the component; its docstring describes them."""


def names(family: str) -> list[str]:
    """Return the sorted names of the components in a family, a package such as ``"fusion"`` or ``"data.sources"``."""
    package = importlib.import_module(f"mmkeras.{family}")
    return sorted(m.name for m in pkgutil.iter_modules(package.__path__) if not m.name.startswith("_"))


def find(family: str, name: str, module: str = "") -> ModuleType:
    """Import a component's module, for example ``"spec"`` in its package, or the package or file itself.

    Raises:
        ConfigError: there is no such component; the message suggests the nearest name.
    """
    valid = names(family)
    if name not in valid:
        raise ConfigError(f"No {family.rsplit('.', 1)[-1]} component is called {name!r}; {nearest(name, valid)}")
    return importlib.import_module(f"mmkeras.{family}.{name}" + (f".{module}" if module else ""))


def component(protocol: type[P], family: str, name: str, module: str = "") -> P:
    """Return a component's module as an instance of a protocol, for type checkers; the arguments are those of `find`.

    The module must define the abstract methods of the protocol. It may leave out the others: the protocol's own method
    or constant is their default. Each family has a typed function that calls this one, such as
    `mmkeras.fusion._contract.fusion_of`.

    Raises:
        ConfigError: there is no such component, or it lacks a required function.
    """
    imported = find(family, name, module)
    public = {key for key in dir(protocol) if not key.startswith("_")} | set(protocol.__annotations__)
    own = {
        key: staticmethod(value) if inspect.isfunction(value) else value
        for key, value in vars(imported).items()
        if key in public
    }
    made = type(protocol.__name__, (protocol,), own)
    if missing := sorted(made.__abstractmethods__):  # type: ignore[attr-defined]
        raise ConfigError(f"{imported.__name__}: expected the functions {', '.join(missing)}, got none")
    found: P = made()
    return found


def has(family: str, name: str, module: str) -> bool:
    """Return whether a component's package has an optional module."""
    return importlib.util.find_spec(f"mmkeras.{family}.{name}.{module}") is not None


def check_options(target: Callable[..., Any], options: Mapping[str, Any], where: str) -> None:
    """Check options against a function's keyword-only parameters or a class's fields.

    ``where`` is the key of the options in the configuration, such as ``"model.fusion.options"``.

    Raises:
        ConfigError: all unknown options, wrong types, and missing options without a default.
    """
    parameters = {
        name: parameter
        for name, parameter in inspect.signature(target).parameters.items()
        if inspect.isclass(target) or parameter.kind is inspect.Parameter.KEYWORD_ONLY
    }
    # get_type_hints(dataclass) reads each annotation in the module of the base class that has it; __init__ would not.
    plain_class = inspect.isclass(target) and not dataclasses.is_dataclass(target)
    hints = typing.get_type_hints(target.__init__ if plain_class else target)
    kinds = {name: hints.get(name, Any) for name in parameters}
    problems = [f"{where}.{key}: unknown option; {nearest(key, kinds)}" for key in options if key not in kinds]
    problems += [
        f"{where}.{key}: expected {getattr(kinds[key], '__name__', kinds[key])}, got none; the option has no default"
        for key, parameter in parameters.items()
        if parameter.default is inspect.Parameter.empty and key not in options
    ]
    found = (wrong_type(f"{where}.{key}", value, kinds[key]) for key, value in options.items() if key in kinds)
    if problems := [*problems, *filter(None, found)]:
        raise ConfigError("\n".join(problems))


def wrong_type(key: str, value: Any, kind: Any) -> str | None:
    """Return the problem with a configured value as expected and got, or None; jsonargparse checks the type."""
    from jsonargparse import ArgumentError, ArgumentParser

    parser = ArgumentParser(exit_on_error=False)
    parser.add_argument("--value", type=kind)
    try:
        parser.parse_object({"value": value})
    except (ArgumentError, TypeError, ValueError, OverflowError):  # OverflowError: an int too large for a float
        expected = getattr(kind, "__name__", None) if isinstance(kind, type) else None
        expected = expected or str(kind).replace("typing.", "")
        return f"{key}: expected {expected}, got {value!r:.80} ({type(value).__name__})"
    return None
