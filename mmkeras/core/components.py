"""Finds components by their module name, so that adding one is adding a file.

A component family is a package (``mmkeras.fusion``, ``mmkeras.tasks``, ``mmkeras.data.sources``); each public module or
sub-package in it is one component. A configuration names a component and its options with a `Choice`.
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
    """Return the sorted names of the components in a family.

    Args:
        family: package below ``mmkeras``, for example ``"fusion"`` or ``"data.sources"``.
    """
    package = importlib.import_module(f"mmkeras.{family}")
    return sorted(m.name for m in pkgutil.iter_modules(package.__path__) if not m.name.startswith("_"))


def find(family: str, name: str, module: str = "") -> ModuleType:
    """Import one component's module.

    Args:
        family: package below ``mmkeras``.
        name: the component.
        module: module inside the component's package, for example ``"spec"``; empty for a one-file component.

    Raises:
        ConfigError: no such component; the message names the nearest one.
    """
    valid = names(family)
    if name not in valid:
        raise ConfigError(f"No {family.rsplit('.', 1)[-1]} component is called {name!r}; {nearest(name, valid)}")
    return importlib.import_module(f"mmkeras.{family}.{name}" + (f".{module}" if module else ""))


def component(protocol: type[P], family: str, name: str, module: str = "") -> P:
    """Return a component's module as a protocol that says which functions it has.

    A method of the protocol that is abstract is required. What the module leaves out of the others is that of the
    protocol: its default. Each family has one typed function for it, such as `mmkeras.fusion._contract.fusion_of`.

    Args:
        protocol: class of the module's functions and constants.
        family: see `find`.
        name: see `find`.
        module: see `find`.

    Raises:
        ConfigError: no such component, or one without a required function.
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
    """Say whether a component's package has a module, for those that are optional."""
    return importlib.util.find_spec(f"mmkeras.{family}.{name}.{module}") is not None


def check_options(target: Callable[..., Any], options: Mapping[str, Any], where: str) -> None:
    """Check options against a callable's keyword-only parameters (or a dataclass's fields), all at once.

    Types are checked by jsonargparse from the annotations.

    Args:
        target: function or class that will receive the options.
        options: what the configuration gives.
        where: the configuration key, for the message: ``"model.fusion.options"``.

    Raises:
        ConfigError: unknown options, wrong types, or an option without a default that is missing.
    """
    parameters = {
        name: parameter
        for name, parameter in inspect.signature(target).parameters.items()
        if inspect.isclass(target) or parameter.kind is inspect.Parameter.KEYWORD_ONLY
    }
    # Of a dataclass that another module's derives from, each annotation holds in the module that wrote it.
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
    """Return what is wrong with the value of a key, expected and got, or None where it is of its type.

    This is the one check of values that a user configures, from files and command lines; jsonargparse does it.
    """
    from jsonargparse import ArgumentError, ArgumentParser

    parser = ArgumentParser(exit_on_error=False)
    parser.add_argument("--value", type=kind)
    try:
        parser.parse_object({"value": value})
    except (ArgumentError, TypeError, ValueError, OverflowError):  # a whole number may have no float
        expected = getattr(kind, "__name__", None) if isinstance(kind, type) else None
        expected = expected or str(kind).replace("typing.", "")
        return f"{key}: expected {expected}, got {value!r:.80} ({type(value).__name__})"
    return None
