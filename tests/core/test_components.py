from __future__ import annotations

from dataclasses import dataclass

import pytest

from mmkeras.core.components import Choice, check_options, find, names
from mmkeras.core.errors import ConfigError


@dataclass(frozen=True)
class Options:
    size: int = 1
    share: float = 0.5
    names: tuple[str, ...] = ()


def function(tokens: dict, *, heads: int = 4, name: str = "x", rate: float | None = None) -> None:
    """Take options by keyword only."""


def test_families_are_read_from_the_file_system():
    assert {"image", "text"} <= set(names("modalities"))
    assert names("fusion") == sorted(names("fusion"))
    assert not [name for name in names("tasks") if name.startswith("_")]


def test_every_component_can_be_found():
    for family in ("modalities", "tasks"):
        for name in names(family):
            room = find(family, name, "spec")
            assert room.Spec.kind == name
            assert room.Config


def test_an_unknown_component_is_answered_with_the_nearest():
    with pytest.raises(
        ConfigError, match=r"No tasks component is called 'clasification'; did you mean 'classification'"
    ):
        find("tasks", "clasification", "spec")
    with pytest.raises(ConfigError, match="did you mean 'image'"):
        find("modalities", "images", "spec")


@pytest.mark.parametrize("options", [{}, {"heads": 2}, {"heads": 2, "name": "y", "rate": None}, {"rate": 0.5}])
def test_good_options_of_a_function(options: dict):
    check_options(function, options, "model.fusion.options")


def test_good_options_of_a_dataclass():
    check_options(Options, {"size": 3, "share": 1, "names": ["a", "b"]}, "where")


def test_every_problem_is_reported_at_once():
    with pytest.raises(ConfigError) as caught:
        check_options(function, {"head": 2, "heads": "many", "tokens": 1}, "model.fusion.options")
    message = str(caught.value)
    assert "model.fusion.options.head: unknown option; did you mean 'heads'" in message
    assert "model.fusion.options.heads: expected int, got 'many' (str)" in message
    assert "model.fusion.options.tokens: unknown option" in message


def test_wrong_types_of_a_dataclass():
    with pytest.raises(ConfigError, match=r"where.size: expected int, got \[1\] \(list\)"):
        check_options(Options, {"size": [1]}, "where")


def test_an_option_without_a_default_is_named_where_it_is_missing():
    def function(*, path: str, size: int = 1) -> None:
        """Take a path."""

    with pytest.raises(ConfigError, match=r"where\.path: expected str, got none"):
        check_options(function, {"size": 2}, "where")


def test_a_choice_has_no_options_of_its_own():
    assert Choice("mean").options == {}
    assert Choice("mean") == Choice("mean", {})
