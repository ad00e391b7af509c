"""No program lets text from outside act as markup or on the terminal: by behaviour, and by reading every print."""

from __future__ import annotations

import ast
import io
import re
import sys
import types
from collections.abc import Iterator
from pathlib import Path

import pytest
from rich.progress import Progress
from rich.table import Table
from rich.text import Text

from mmkeras.core.console import Console, DescriptionColumn
from tests.conftest import REPOSITORY
from tests.sources import MODULES

HOSTILE = "[red]x[/red] [/] [link=http://a]y[/link] :warning: \x1b]8;;http://b\x1b\\z"
SHOWN = "[red]x[/red] [/] [link=http://a]y[/link] :warning: ?]8;;http://b?\\z"


@pytest.fixture
def console() -> Console:
    return Console(file=io.StringIO(), force_terminal=True, width=120, color_system="truecolor")


def _words(console: Console) -> str:
    """What was written, without the styles and movements that rich itself writes."""
    return re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", console.file.getvalue())  # type: ignore[attr-defined]


def _in_a_table(console: Console) -> None:
    table = Table("name", HOSTILE, title=HOSTILE)
    table.add_row("x", HOSTILE)
    table.add_row("x", Text(HOSTILE))
    console.print(table)


def _in_a_bar(console: Console) -> None:
    with Progress(DescriptionColumn(), console=console) as bar:
        bar.update(bar.add_task("before", total=1), description=HOSTILE, refresh=True)


def _beside_a_spinner(console: Console) -> None:
    with console.status(HOSTILE) as status:
        status.update(HOSTILE)


@pytest.mark.parametrize(
    "show",
    [
        lambda console: console.print(HOSTILE),
        lambda console: console.print(Text.assemble((HOSTILE, "bold"))),
        lambda console: console.print(HOSTILE, style="yellow", soft_wrap=True),
        lambda console: console.rule(HOSTILE),
        _in_a_table,
        _in_a_bar,
        _beside_a_spinner,
    ],
    ids=["print", "text", "style", "rule", "table", "bar", "spinner"],
)
def test_text_from_outside_is_shown_as_it_is(console, show):
    show(console)
    words = _words(console)
    assert SHOWN in words
    assert "\x1b" not in words


def test_styles_are_given_apart_from_the_text(console):
    console.print("a", style="bold red")
    assert "\x1b[1;31ma\x1b[0m" in console.file.getvalue()


# === Every module ===

_MARKUP = re.compile(r"\[/?(?:bold|dim|italic|red|green|yellow|blue|cyan|magenta|link|/?)\b[^\[\]\n]*\]|\[/\]")
# Lines of JSON between our own processes, and a tool whose output is a file of this repository.
_PROTOCOLS = (
    "mmkeras/runtime/benchmark.py",
    "mmkeras/runtime/tensorrt/compiling.py",
    "mmkeras/media/text/make_characters.py",
    "export/doctor/converter.py",
    "tests/fuzz/worker.py",
)


def _faults(tree: ast.Module) -> Iterator[tuple[int, str]]:
    """Yield line and reason of every way by which text could reach a terminal as more than text."""
    from_rich = {
        alias.asname or alias.name
        for node in ast.walk(tree)
        if isinstance(node, ast.ImportFrom) and str(node.module).startswith("rich")
        for alias in node.names
    }
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and node.module == "rich.markup":
            yield node.lineno, "rich.markup: our console has no markup; give a style, or a Text"
        if not isinstance(node, ast.Call):
            continue
        name = ast.unparse(node.func)
        options = {keyword.arg: ast.unparse(keyword.value) for keyword in node.keywords}
        if name == "print":
            yield node.lineno, "print: use mmkeras.core.terminal.say or say_json"
        if name == "Console" and "Console" in from_rich:
            yield node.lineno, "rich's Console: use mmkeras.core.console.Console"
        if name == "TextColumn" and options.get("markup") != "False":
            yield node.lineno, "TextColumn: use mmkeras.core.console.DescriptionColumn, or markup=False"
        if name.endswith("from_markup") or options.get("markup") == "True":
            yield node.lineno, "markup: give a style, or a Text"
        method = name.rpartition(".")[2]
        if method in ("print", "rule", "status", "add_row", "add_column", "add_task", "update", "Text", "Table"):
            for part in ast.walk(node):
                if isinstance(part, ast.Constant) and isinstance(part.value, str) and _MARKUP.search(part.value):
                    yield part.lineno, f"{part.value!r}: our console prints this as it stands; give a style, or a Text"


def test_no_module_prints_text_that_could_act():
    faults = {
        f"{path.relative_to(REPOSITORY).as_posix()}:{line}": reason
        for path in MODULES.values()
        if path.relative_to(REPOSITORY).as_posix() not in _PROTOCOLS
        for line, reason in _faults(ast.parse(path.read_text(encoding="utf-8")))
    }
    assert not faults


@pytest.mark.parametrize(
    "line",
    [
        "print(label)",
        "from rich.console import Console\nConsole().print(label)",
        "console.print(f'[bold]{label}[/]')",
        "console.print(label, markup=True)",
        "TextColumn('{task.description}')",
        "from rich.markup import escape",
        "table.add_row('[red]no')",
        "Text.from_markup(label)",
    ],
)
def test_the_reader_finds_each_fault(line):
    assert list(_faults(ast.parse(line)))


def _is_program(path: Path) -> bool:
    text = path.read_text(encoding="utf-8")
    return "sys.exit(main(" in text and "def main(" in text


def test_every_program_ends_as_programs_do():
    programs = [path for path in MODULES.values() if _is_program(path)]
    assert len(programs) > 15
    for path in programs:
        tree = ast.parse(path.read_text(encoding="utf-8"))
        main = next(node for node in tree.body if isinstance(node, ast.FunctionDef) and node.name == "main")
        decorators = set(map(ast.unparse, main.decorator_list))
        assert decorators & {"program", "utf8_program"}, f"{path}: main is not decorated with @program"


def test_a_notebook_gets_text_without_live_displays(monkeypatch):
    monkeypatch.setitem(sys.modules, "ipykernel", types.ModuleType("ipykernel"))
    console = Console()
    assert (console.is_jupyter, console.is_terminal, console.width) == (False, False, 115)
    assert Console(width=60).width == 60
    monkeypatch.delitem(sys.modules, "ipykernel")
    assert Console(force_terminal=True).is_terminal
