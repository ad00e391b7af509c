from __future__ import annotations

import sys

import pytest

from mmkeras.runtime import tables
from mmkeras.runtime.grid import Cell, Grid


def make() -> Grid:
    grid = Grid("Title [x]", ("name", "size"), right=("size",))
    grid.add("a [bold]b[/bold]", Cell("10", "green"))
    grid.add("two\nlines", "7")
    return grid


def test_plain_text():
    assert make().text().splitlines() == [
        "Title [x]",
        "name              size",
        "----------------  ----",
        "a [bold]b[/bold]    10",
        "two                  7",
        "lines",
    ]


def test_control_characters_do_not_reach_a_terminal():
    grid = Grid("", ("x",))
    grid.add("\x1b[2Jpassed\x07\x9b")
    assert "\x1b" not in grid.text()
    assert "?[2Jpassed??" in grid.text()


def test_rich_and_plain_show_the_same_words(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch):
    tables.show([make()])
    rich = capsys.readouterr().out
    monkeypatch.setitem(sys.modules, "rich", None)
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    tables.show([make()])
    plain = capsys.readouterr().out
    for word in ("Title [x]", "a [bold]b[/bold]", "10", "lines"):
        assert word in rich
        assert word in plain
    assert "┃" in rich
    assert "┃" not in plain
