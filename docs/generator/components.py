"""Sections for the components of a family, found by name: their docstrings and options."""

from __future__ import annotations

from docs.generator.options import description, fields_table, parameters_table
from mmkeras.core.components import find, names
from mmkeras.fusion._contract import fusion_of
from mmkeras.modalities import ModalityConfig
from mmkeras.tasks import TaskConfig

__all__ = ["FAMILIES", "sections"]

_NO_OPTIONS = "It has no options."


def sections(family: str) -> str:
    """Return a section of Markdown for every component of a family; `FAMILIES` holds the families.

    Raises:
        ValueError: a component has an option without a docstring.
    """
    make = FAMILIES[family]
    return "\n\n".join(f"## {name}\n\n{make(name)}" for name in names(family))


def _modality(name: str) -> str:
    module = find("modalities", name, "spec")
    about = [description(module.Config), f"**Tensors.** {description(module.Spec)}"]
    return "\n\n".join([*about, _table(fields_table(module.Config, leave_out=_COMMON["modalities"]))])


def _task(name: str) -> str:
    module = find("tasks", name, "spec")
    about = [description(find("tasks", name)), description(module.Config)]
    return "\n\n".join([*dict.fromkeys(about), _table(fields_table(module.Config, leave_out=_COMMON["tasks"]))])


def _fusion(name: str) -> str:
    module = find("fusion", name)
    gives = " and ".join(f"`{each}`" for each in fusion_of(name).GIVES) or "the modalities, not merged"
    about = [description(module), description(module.fuse), f"**Gives** {gives}."]
    return "\n\n".join([*about, _table(parameters_table(module.fuse))])


def _source(name: str) -> str:
    module = find("data.sources", name)
    return "\n\n".join([description(module), description(module.Source), _table(fields_table(module.Source))])


def _method(name: str) -> str:
    module = find("training.methods", name)
    return "\n\n".join([description(module), description(module.Method), _table(fields_table(module.Method))])


def _table(table: str) -> str:
    return table or _NO_OPTIONS


_COMMON = {
    family: tuple(getattr(base, "__dataclass_fields__", ()))
    for family, base in (("modalities", ModalityConfig), ("tasks", TaskConfig))
}
"""Options that every component of a family has; their pages describe them once."""
FAMILIES = {
    "modalities": _modality,
    "fusion": _fusion,
    "tasks": _task,
    "data.sources": _source,
    "training.methods": _method,
}
"""What makes the section of a component, by family."""
