"""Finds components by their module name, so that adding one is adding a file.

A component family is a package (``mmkeras.fusion``, ``mmkeras.tasks``, ``mmkeras.data.sources``); each public module or
sub-package in it is one component. A configuration names a component and its options with a `Choice`.
"""

from __future__ import annotations

import importlib
import importlib.util
import inspect
import pkgutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from types import ModuleType
from typing import Any

from mmkeras.core.errors import ConfigError, nearest

__all__ = ["Choice", "check_options", "find", "has", "names"]


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


def find(family: str, name: str, room: str = "") -> ModuleType:
    """Import one component's module.

    Args:
        family: package below ``mmkeras``.
        name: the component.
        room: module inside the component's package, for example ``"spec"``; empty for a one-file component.

    Raises:
        ConfigError: no such component; the message names the nearest one.
    """
    valid = names(family)
    if name not in valid:
        raise ConfigError(f"No {family.rsplit('.', 1)[-1]} component is called {name!r}; {nearest(name, valid)}")
    return importlib.import_module(f"mmkeras.{family}.{name}" + (f".{room}" if room else ""))


def has(family: str, name: str, room: str) -> bool:
    """Say whether a component's package has a module, for those that are optional."""
    return importlib.util.find_spec(f"mmkeras.{family}.{name}.{room}") is not None


def check_options(target: Callable[..., Any], options: Mapping[str, Any], where: str) -> None:
    """Check options against a callable's keyword-only parameters (or a dataclass's fields), all at once.

    Types are checked by jsonargparse from the annotations.

    Args:
        target: function or class that will receive the options.
        options: what the configuration gives.
        where: the configuration key, for the message: ``"model.fusion.options"``.

    Raises:
        ConfigError: unknown options or wrong types.
    """
    from jsonargparse import ArgumentError, ArgumentParser

    parameters = {
        name: parameter
        for name, parameter in inspect.signature(target).parameters.items()
        if inspect.isclass(target) or parameter.kind is inspect.Parameter.KEYWORD_ONLY
    }
    problems = [
        f"{where}.{key}: unknown option; {nearest(key, parameters)}" for key in options if key not in parameters
    ]
    for key, value in options.items():
        if key not in parameters:
            continue
        parser = ArgumentParser(exit_on_error=False)
        add = parser.add_class_arguments if inspect.isclass(target) else parser.add_function_arguments
        add(
            target,
            skip={name for name in inspect.signature(target).parameters if name != key},
            fail_untyped=False,
        )
        try:
            parser.parse_object({key: value})
        except (ArgumentError, TypeError, ValueError) as error:
            annotation = parameters[key].annotation
            expected = annotation if isinstance(annotation, str) else getattr(annotation, "__name__", str(annotation))
            problems.append(f"{where}.{key}: expected {expected}, got {value!r} ({type(value).__name__})")
            del error
    if problems:
        raise ConfigError("\n".join(problems))
