"""Modalities that a configuration adds: ``[model.left]`` with ``kind = "image"`` gives the model a field ``left``.

``kind`` is the name of a package in ``mmkeras.modalities``; the options are the fields of its ``Config``. The classes
built here derive from the program's own classes.
"""

from __future__ import annotations

import dataclasses
import keyword
import typing
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

from mmkeras.core.components import find, names
from mmkeras.core.config import ModelConfig
from mmkeras.core.errors import nearest

__all__ = ["Declared", "declare", "extended"]

_KIND = "kind"


@dataclass(frozen=True)
class Declared:
    """A configuration class with the modalities that its sources add."""

    config_class: Any
    """The given class, or a class that derives from it where the sources add modalities."""
    problems: Mapping[str, str] = field(default_factory=dict)
    """Problem of a modality, by the dotted key of its table or option."""

    def problem(self, key: str) -> str | None:
        """Return the first problem of a key or of a table that contains it, with its key; None without a problem."""
        parts = key.split(".")
        tables = [".".join(parts[:count]) for count in range(len(parts), 0, -1)]
        keys = [each for table in tables for each in (table, f"{table}.{_KIND}")]
        return next((f"{each}: {self.problems[each]}" for each in keys if each in self.problems), None)


def declare(config_class: Any, sources: Iterable[Mapping[str, Any]]) -> Declared:
    """Add the modalities that the sources name to each `ModelConfig` in a configuration class.

    The sources are nested tables of files and of the command line; later ones override.
    """
    tables = list(sources)
    problems: dict[str, str] = {}
    for name, kind in typing.get_type_hints(config_class).items():
        if isinstance(kind, type) and issubclass(kind, ModelConfig):
            merged = _merged(each for table in tables if isinstance(each := table.get(name), Mapping))
            found, wrong = _modalities(kind, merged)
            problems |= {f"{name}.{key}": message for key, message in wrong.items()}
            if found:
                model: Any = extended(kind, tuple(found.items()))  # type: ignore[arg-type]
                config_class = extended(config_class, ((name, model),))
    return Declared(config_class, problems)


def _merged(tables: Iterable[Mapping[str, Any]]) -> dict[str, dict[str, Any]]:
    merged: dict[str, dict[str, Any]] = {}
    for table in tables:
        for name, options in table.items():
            if isinstance(options, Mapping):
                merged.setdefault(name, {}).update(options)
    return merged


def _modalities(model: Any, tables: Mapping[str, Mapping[str, Any]]) -> tuple[dict[str, type], dict[str, str]]:
    """Return the ``Config`` classes of the added modalities by name, and the problems by key."""
    fields = {each.name for each in dataclasses.fields(model)}
    known = {name: kind for name, kind in typing.get_type_hints(model).items() if name in fields}
    kinds = names("modalities")
    fixed = {
        name: kind for name, kind in known.items() if getattr(kind, "__module__", "").startswith("mmkeras.modalities.")
    }
    found: dict[str, type] = {}
    problems: dict[str, str] = {}
    for name, options in tables.items():
        kind = options.get(_KIND)
        if name in fixed:
            own = getattr(fixed[name], _KIND, None)
            if kind not in (None, own):
                problems[f"{name}.{_KIND}"] = f"this model's {name} is of the kind {own!r}, got {kind!r:.80}"
        elif name in known or hasattr(model, name):
            if kind is not None:
                problems[name] = "is an option of the model; give the modality another name"
        elif kind is None:
            problems[name] = (
                f"unknown key; {nearest(name, known)}. To add a modality, set its kind to one of "
                f"{', '.join(map(repr, kinds))}"
            )
        elif not (name.isidentifier() and name.isascii()) or keyword.iskeyword(name) or name.startswith("_"):
            problems[name] = (
                "expected a modality name of English letters, digits and underscores that begins with a letter and "
                "is no Python keyword: tensors and options are named after it"
            )
        elif kind not in kinds:
            problems[f"{name}.{_KIND}"] = f"no modality is of the kind {kind!r:.80}; {nearest(str(kind), kinds)}"
        else:
            found[name] = find("modalities", kind, "spec").Config
    return found, problems


@lru_cache(maxsize=256)  # the same class for the same modalities, so that configurations of two sources can be equal
def extended(base: Any, fields: tuple[tuple[str, Any], ...]) -> Any:
    """Return a derived class with further fields and the name of its base."""
    defaults = [(name, kind, field(default_factory=kind)) for name, kind in fields]
    made = dataclasses.make_dataclass(base.__name__, defaults, bases=(base,), frozen=True)
    made.__module__, made.__qualname__, made.__doc__ = base.__module__, base.__qualname__, base.__doc__
    return made
