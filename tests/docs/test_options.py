from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

import pytest

from docs.generator.options import description, fields_table, parameters_table, plain
from mmkeras.core.components import Choice


@dataclass(frozen=True)
class _Base:
    kind: str = "base"
    """Kind of the part."""


@dataclass(frozen=True)
class _Inner:
    """Where it is."""


@dataclass(frozen=True)
class _Options(_Base):
    """Options of a part.

    More about it.
    """

    path: str
    """The file, ``a|b`` or <name>."""
    mode: Literal["fast", "best"] | None = None
    """How."""
    sizes: tuple[int, ...] = (1, 2)
    """Its
    sizes."""
    part: Choice = field(default_factory=lambda: Choice("mean"))
    """A part."""
    inner: _Inner = field(default_factory=_Inner)
    kind: str = field(default="own", kw_only=True)


@dataclass(frozen=True)
class _Undocumented:
    value: int = 0


def _function(tokens: dict, *, layers: int = 2, name: str) -> None:
    """Do a thing.

    Args:
        tokens: what it works on.
        layers: how many, 1 or more.
        name: what it is called.
    """


def test_fields_are_listed_with_type_default_and_text():
    rows = fields_table(_Options).splitlines()[2:]
    assert rows == [
        '| `kind` | `str` | `"own"` | Kind of the part. |',
        r"| `path` | `str` | required | The file, `a\|b` or &lt;name>. |",
        '| `mode` | `"fast"`, `"best"` or none | none | How. |',
        "| `sizes` | `tuple[int, ...]` | `[1, 2]` | Its sizes. |",
        "| `part` | `Choice` | `mean` | A part. |",
        "| `inner` | `_Inner` | a table of its own | Where it is. |",
    ]
    assert "kind" not in fields_table(_Options, leave_out=("kind",))
    assert fields_table(_Inner) == ""


def test_parameters_are_those_that_a_configuration_can_set():
    assert parameters_table(_function).splitlines()[2:] == [
        "| `layers` | `int` | `2` | how many, 1 or more. |",
        "| `name` | `str` | required | what it is called. |",
    ]


def test_an_option_without_a_text_is_an_error():
    with pytest.raises(ValueError, match=r"_Undocumented\.value has no docstring"):
        fields_table(_Undocumented)

    def function(*, forgotten: int = 0) -> None:
        """Do a thing."""

    with pytest.raises(ValueError, match="does not describe forgotten"):
        parameters_table(function)


def test_a_description_has_no_sections():
    assert description(_Options) == "Options of a part.\n\nMore about it."
    assert description(_function) == "Do a thing."
    assert plain("<a> and ``<b>`` and `c`") == "&lt;a> and `<b>` and `c`"
