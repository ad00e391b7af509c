"""Modalities that a configuration names: ``[model.left]`` with ``kind = "image"`` gives the model a field ``left``.

A modality is found by the name of its package, and its options are those of the package's ``Config``. The classes made
here derive from those of the program, so that everything that reads a configuration reads these too.
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

__all__ = ["Declared", "declare"]

KIND = "kind"
_ROOMS = "mmkeras.modalities."


@dataclass(frozen=True)
class Declared:
    """A configuration class with the modalities that its sources name."""

    config_class: Any
    """The class as it was given where the sources name none."""
    problems: Mapping[str, str] = field(default_factory=dict)
    """What is wrong with a modality, by the dotted key of its table or option."""

    def problem(self, key: str) -> str | None:
        """Return what is wrong with a key or the table that it is, or is in, with the key; None where nothing is."""
        parts = key.split(".")
        tables = [".".join(parts[:count]) for count in range(len(parts), 0, -1)]
        keys = [each for table in tables for each in (table, f"{table}.{KIND}")]
        return next((f"{each}: {self.problems[each]}" for each in keys if each in self.problems), None)


def declare(config_class: Any, sources: Iterable[Mapping[str, Any]]) -> Declared:
    """Give the model of a configuration class the modalities that its sources name.

    Args:
        config_class: frozen dataclass; a field of it may be a `ModelConfig`.
        sources: nested tables of files and of the command line, later ones win.
    """
    tables = list(sources)
    problems: dict[str, str] = {}
    for name, kind in typing.get_type_hints(config_class).items():
        if isinstance(kind, type) and issubclass(kind, ModelConfig):
            merged = _merged(each for table in tables if isinstance(each := table.get(name), Mapping))
            found, wrong = _modalities(kind, merged)
            problems |= {f"{name}.{key}": message for key, message in wrong.items()}
            if found:
                model: Any = _extended(kind, tuple(found.items()))  # type: ignore[arg-type]
                config_class = _extended(config_class, ((name, model),))
    return Declared(config_class, problems)


def _merged(tables: Iterable[Mapping[str, Any]]) -> dict[str, dict[str, Any]]:
    merged: dict[str, dict[str, Any]] = {}
    for table in tables:
        for name, options in table.items():
            if isinstance(options, Mapping):
                merged.setdefault(name, {}).update(options)
    return merged


def _modalities(model: Any, tables: Mapping[str, Mapping[str, Any]]) -> tuple[dict[str, type], dict[str, str]]:
    """Return the modalities that a model lacks, by name, and what is wrong with others."""
    fields = {each.name for each in dataclasses.fields(model)}
    known = {name: kind for name, kind in typing.get_type_hints(model).items() if name in fields}
    kinds = names("modalities")
    fixed = {name: kind for name, kind in known.items() if getattr(kind, "__module__", "").startswith(_ROOMS)}
    found: dict[str, type] = {}
    problems: dict[str, str] = {}
    for name, options in tables.items():
        kind = options.get(KIND)
        if name in fixed:
            own = getattr(fixed[name], KIND, None)
            if kind not in (None, own):
                problems[f"{name}.{KIND}"] = f"this model's {name} is of the kind {own!r}, got {kind!r:.80}"
        elif name in known or hasattr(model, name):
            if kind is not None:
                problems[name] = "is an option of the model; give the modality another name"
        elif kind is None:
            problems[name] = (
                f"unknown key; {nearest(name, known)}. A modality of your own needs its kind: kind = one of "
                f"{', '.join(map(repr, kinds))}"
            )
        elif not (name.isidentifier() and name.isascii()) or keyword.iskeyword(name) or name.startswith("_"):
            problems[name] = (
                "the name of a modality names tensors and options: expected English letters, digits and "
                "underscores that begin with a letter, and no word of Python"
            )
        elif kind not in kinds:
            problems[f"{name}.{KIND}"] = f"no modality is of the kind {kind!r:.80}; {nearest(str(kind), kinds)}"
        else:
            found[name] = find("modalities", kind, "spec").Config
    return found, problems


@lru_cache(maxsize=256)  # one class for the same modalities, so that configurations of two sources can be equal
def _extended(base: Any, fields: tuple[tuple[str, Any], ...]) -> Any:
    """Return a class with further fields, under the name of its base."""
    defaults = [(name, kind, field(default_factory=kind)) for name, kind in fields]
    made = dataclasses.make_dataclass(base.__name__, defaults, bases=(base,), frozen=True)
    made.__module__, made.__qualname__, made.__doc__ = base.__module__, base.__qualname__, base.__doc__
    return made
