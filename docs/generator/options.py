"""Tables of options from dataclasses and functions: name, type, default and the text of the docstring."""

from __future__ import annotations

import dataclasses
import inspect
import json
from collections.abc import Callable
from typing import Any

import docstring_parser

from mmkeras.core.components import Choice
from tests.results.shown import markdown_table

__all__ = ["description", "fields_table", "parameters_table", "plain"]

_HEADINGS = ("option", "type", "default", "meaning")


def fields_table(kind: type, leave_out: tuple[str, ...] = ()) -> str:
    """Return a table of a dataclass's fields, those of its base classes included; "" for none.

    Raises:
        ValueError: a field has no docstring.
    """
    texts: dict[str, str] = {}
    for base in reversed(kind.__mro__):
        if dataclasses.is_dataclass(base):
            parsed = docstring_parser.parse_from_object(base)
            texts |= {each.arg_name: each.description for each in parsed.params if each.description}
    rows = []
    for field in dataclasses.fields(kind):
        if field.name in leave_out:
            continue
        factory = field.default_factory
        default = field.default if factory is dataclasses.MISSING else factory()
        text = texts.get(field.name) or _of_class(default)
        if not text:
            raise ValueError(f"{kind.__module__}.{kind.__qualname__}.{field.name} has no docstring")
        rows.append((f"`{field.name}`", _type(field.type), _default(default), plain(text)))
    return markdown_table(_HEADINGS, rows) if rows else ""


def parameters_table(function: Callable[..., Any]) -> str:
    """Return a table of a function's keyword-only parameters with the texts of its docstring; "" for none.

    Raises:
        ValueError: a parameter is not described in the docstring.
    """
    parsed = docstring_parser.parse(function.__doc__ or "")
    texts = {each.arg_name: each.description for each in parsed.params if each.description}
    rows = []
    for name, parameter in inspect.signature(function).parameters.items():
        if parameter.kind is not inspect.Parameter.KEYWORD_ONLY:
            continue
        if name not in texts:
            raise ValueError(f"{function.__module__}.{function.__qualname__}: its docstring does not describe {name}")
        rows.append((f"`{name}`", _type(parameter.annotation), _default(parameter.default), plain(texts[name])))
    return markdown_table(_HEADINGS, rows) if rows else ""


def description(documented: Any) -> str:
    """Return the text of a docstring without its sections (Args, Returns, Raises)."""
    parsed = docstring_parser.parse(inspect.getdoc(documented) or "")
    return plain("\n\n".join(text for text in (parsed.short_description, parsed.long_description) if text))


def plain(text: str) -> str:
    """Return the text of a docstring as Markdown: angle brackets are no HTML."""
    parts = text.replace("``", "`").split("`")
    return "`".join(part if at % 2 else part.replace("<", "&lt;") for at, part in enumerate(parts))


def _of_class(value: Any) -> str:
    """Return the first line of the docstring of a nested dataclass; "" for other values."""
    nested = dataclasses.is_dataclass(value) and not isinstance(value, Choice)
    return (inspect.getdoc(type(value)) or "").split("\n")[0] if nested else ""


def _type(annotation: Any) -> str:
    text = annotation if isinstance(annotation, str) else getattr(annotation, "__name__", str(annotation))
    parts = []
    for part in text.split(" | "):
        if part.startswith("Literal["):
            parts += [f"`{each.strip()}`".replace("'", '"') for each in part[len("Literal[") : -1].split(",")]
        else:
            parts.append("none" if part == "None" else f"`{part}`")
    return " or ".join([", ".join(parts[:-1]), parts[-1]]) if len(parts) > 1 else parts[0]


def _default(value: Any) -> str:
    if value is dataclasses.MISSING or value is inspect.Parameter.empty:
        return "required"
    if value is None:
        return "none"
    if isinstance(value, Choice):
        return f"`{value.name}`"
    if dataclasses.is_dataclass(value):
        return "a table of its own"
    return f"`{json.dumps(value, ensure_ascii=False)}`"
