"""README: its length and links, and the Chinese one beside it, with the same headings, commands, links and numbers."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import REPOSITORY
from tests.results.readme import MARKED, READMES

_FENCED = re.compile(r"^```\n(.*?)^```", re.DOTALL | re.MULTILINE)
_LINK = re.compile(r"\]\(([^)#]+)\)")
_NUMBER = re.compile(r"\d+(?:[.,]\d+)*")
_LONGEST = 180
"""Lines."""


def _headings(text: str) -> list[int]:
    return [len(marks) for marks in re.findall(r"^(#+) ", _FENCED.sub("", text), re.MULTILINE)]


def _numbers(text: str) -> Counter[str]:
    """Count the numbers outside code and links."""
    return Counter(_NUMBER.findall(re.sub(r"`[^`\n]*`|\]\([^)]*\)", " ", _FENCED.sub("", text))))


def differences(english: str, chinese: str) -> list[str]:
    """Return what differs between two languages of a page."""
    compared: dict[str, Callable[[str], Any]] = {
        "headings": _headings,
        "code blocks": _FENCED.findall,
        "commands": lambda text: Counter(re.findall(r"`([^`\n]+)`", _FENCED.sub("", text))),
        "links": lambda text: Counter(each for each in _LINK.findall(text) if not each.startswith("README")),
        "numbers": _numbers,
        "rows of tables": lambda text: len(re.findall(r"^\|", text, re.MULTILINE)),
    }
    found = []
    for name, read in compared.items():
        ours, theirs = read(english), read(chinese)
        if ours != theirs:
            found.append(f"{name}: {ours} / {theirs}")
    return found


@pytest.fixture(scope="module")
def texts() -> dict[str, str]:
    return {language: path.read_text("utf-8") for language, path in READMES.items()}


def test_the_chinese_readme_says_the_same(texts: dict[str, str]):
    assert not differences(texts["en"], texts["zh"])


@pytest.mark.parametrize(
    ("before", "after", "said"),
    [
        ("## 流程", "### 流程", "headings"),
        ("## 流程\n", "", "headings"),
        ("--target answer", "--target label", "code blocks"),
        ("`report.html`", "`report.htm`", "commands"),
        ("docs/pages/own-data.md", "docs/pages/device.md", "links"),
        ("Python 3.11", "Python 3.12", "numbers"),
        ("93.78 %", "93.87 %", "numbers"),  # published by others: no measurement of ours changes it
        ("| 导出 |", "导出", "rows of tables"),
    ],
)
def test_a_page_that_is_left_behind_is_found(texts: dict[str, str], before: str, after: str, said: str):
    assert before in texts["zh"]
    (difference, *_) = differences(texts["en"], texts["zh"].replace(before, after))
    assert difference.startswith(said)


@pytest.mark.parametrize("language", list(READMES))
def test_a_readme_is_short(texts: dict[str, str], language: str):
    assert len(texts[language].splitlines()) <= _LONGEST


@pytest.mark.parametrize("language", list(READMES))
def test_every_link_of_a_readme_leads_to_a_file(texts: dict[str, str], language: str):
    links = [link for link in _LINK.findall(texts[language]) if not link.startswith("https://")]
    assert len(links) > 20
    assert not [link for link in links if not (REPOSITORY / link).exists()]


def test_the_pictures_are_small():
    pictures = [Path(link) for link in _LINK.findall(READMES["en"].read_text("utf-8")) if link.endswith(".png")]
    assert len(pictures) == 2
    assert all((REPOSITORY / path).stat().st_size < 200_000 for path in pictures)


def test_the_tables_are_made_from_the_recorded_numbers(texts: dict[str, str]):
    for text in texts.values():
        assert [match[1] for match in MARKED.finditer(text)] == ["pipelines", "proof"]
