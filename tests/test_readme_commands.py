"""Every command that README names exists: targets of make, modules of ``python -m``, commands of ``mmkeras``."""

from __future__ import annotations

import importlib.util
import re
from collections.abc import Iterator

import pytest

from mmkeras.runtime.cli import COMMANDS
from mmkeras.runtime.verbs import TRAINING
from tests.conftest import REPOSITORY
from tests.results.__main__ import BEGIN, END

# Without the recorded results: each names the command of the commit that is named beside it.
README = re.sub(f"{BEGIN}.*?{END}", "", (REPOSITORY / "README.md").read_text(encoding="utf-8"), flags=re.DOTALL)
TARGETS = set(re.findall(r"^([a-z-]+):", (REPOSITORY / "Makefile").read_text(encoding="utf-8"), re.MULTILINE))
PATTERN = re.compile(r"(?:^|[ $])(make|mmkeras|python3? -m) ([\w.-]+)(?![\w/])")


def _code() -> Iterator[str]:
    """Yield the lines of README's code blocks, and its code in the text."""
    blocks = re.split(r"^```.*$", README, flags=re.MULTILINE)
    for number, part in enumerate(blocks):
        yield from part.splitlines() if number % 2 else re.findall(r"`([^`]+)`", part)


def _commands() -> list[tuple[str, str]]:
    found = set()
    for code in _code():
        # `make demo | test | lint` names several.
        first, *others = code.split(" | ")
        for program, name in PATTERN.findall(first):
            found |= {(program, each.strip()) for each in (name, *(others if program == "make" else ()))}
    return sorted(found)


def _exists(program: str, name: str) -> bool:
    if program == "make":
        return name in TARGETS
    if program == "mmkeras":
        return name in (*COMMANDS, *TRAINING)
    try:
        spec = importlib.util.find_spec(name)
    except ModuleNotFoundError:
        return False
    packaged = spec is not None and spec.submodule_search_locations is not None
    return spec is not None and (not packaged or importlib.util.find_spec(f"{name}.__main__") is not None)


def test_the_commands_are_found():
    wanted = {("make", "demo"), ("make", "readme"), ("mmkeras", "predict"), ("python -m", "export.calibration")}
    assert wanted <= set(_commands())
    assert len(_commands()) > 25


@pytest.mark.parametrize(("program", "name"), _commands())
def test_a_command_of_the_readme_exists(program: str, name: str):
    assert _exists(program, name), f"README names `{program} {name}`, which does not exist"


@pytest.mark.parametrize(
    ("program", "name"), [("make", "dmeo"), ("mmkeras", "exprot"), ("python -m", "pipelines"), ("python -m", "no.such")]
)
def test_a_command_that_does_not_exist_is_told_apart(program: str, name: str):
    assert not _exists(program, name)
