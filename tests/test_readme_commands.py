"""Every command that README and the pages name exists: targets of make, modules of ``python -m``, verbs of mmkeras."""

from __future__ import annotations

import importlib.util
import re
from collections.abc import Iterator

import pytest

from mmkeras.runtime.cli import COMMANDS
from mmkeras.runtime.verbs import TRAINING
from tests.conftest import REPOSITORY
from tests.results.readme import MARKED

PAGES = [REPOSITORY / "README.md", REPOSITORY / "README.zh.md", *sorted((REPOSITORY / "docs" / "pages").glob("*.md"))]
# Without the recorded results: each names the command of the commit that is named beside it.
TEXTS = [MARKED.sub("", path.read_text(encoding="utf-8")) for path in PAGES]
TARGETS = set(re.findall(r"^([a-z-]+):", (REPOSITORY / "Makefile").read_text(encoding="utf-8"), re.MULTILINE))
PATTERN = re.compile(r"(?:^|[ $])(make|mmkeras|python3? -m) ([\w.-]+)(?![\w/])")


def _code() -> Iterator[str]:
    """Yield the lines of the code blocks, and the code in the texts."""
    for text in TEXTS:
        for number, part in enumerate(re.split(r"^```.*$", text, flags=re.MULTILINE)):
            yield from part.splitlines() if number % 2 else re.findall(r"`([^`]+)`", part)


def _commands() -> list[tuple[str, str]]:
    found = set()
    for code in _code():
        # `make demo | test | lint` names several.
        if code.startswith("from "):
            continue  # Python
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
def test_a_command_of_a_page_exists(program: str, name: str):
    assert _exists(program, name), f"a page names `{program} {name}`, which does not exist"


@pytest.mark.parametrize(
    ("program", "name"), [("make", "dmeo"), ("mmkeras", "exprot"), ("python -m", "pipelines"), ("python -m", "no.such")]
)
def test_a_command_that_does_not_exist_is_told_apart(program: str, name: str):
    assert not _exists(program, name)
