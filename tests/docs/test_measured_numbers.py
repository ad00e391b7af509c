"""No measured number stands in README or in a page unless it comes from docs/results.json.

A measured number is digits with a unit (``99.5 %``, ``0.4 MB``, ``3 ms``, ``3.6x``, ``2 points``) outside code. It may
stand in a table that is made from the file, or come from a reference such as ``{{ value("vqa.accuracy") }}``. Settings
and limits are code: `0.5`. The level of an interval (95 % intervals) is not a measurement.
"""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.conftest import REPOSITORY
from tests.results.readme import MARKED

PAGES = [REPOSITORY / "README.md", REPOSITORY / "README.zh.md", *sorted((REPOSITORY / "docs" / "pages").glob("*.md"))]
_UNITS = (
    "%", "％", "ms", "s", "sec", "seconds", "min", "minutes", "h", "hours", "[kMGT]i?B", r"[x×](?! ?\d)", "times",
    "points?", "samples/s", "fps", "Hz", "毫秒", "秒", "分钟", "个百分点", "倍",
)  # fmt: skip
_NUMBER = re.compile(
    rf"(?<![\w.])[+-]?\d[\d,]*(?:\.\d+)?[ \u00a0]?(?:{'|'.join(_UNITS)})(?![\w\u4e00-\u9fff])", re.ASCII
)
_GENERATED = (
    MARKED,
    re.compile(r"^```.*?^```", re.DOTALL | re.MULTILINE),
    re.compile(r"\{\{.*?\}\}", re.DOTALL),
    re.compile(r"`[^`\n]*`"),
    re.compile(r"\b95 % (?:intervals?\b|区间)"),
    re.compile(r"\]\([^)]*\)"),
)


def measured(text: str) -> list[str]:
    """Return the numbers with a unit that stand in a page's own text."""
    for pattern in _GENERATED:
        text = pattern.sub(" ", text)
    return [" ".join(match[0].split()) for match in _NUMBER.finditer(text)]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_measured_number_comes_from_the_recorded_ones(page: Path):
    found = measured(page.read_text("utf-8"))
    assert not found, (
        f"{page.name} states {found}: declare each in pipelines/_stages/numbers.py, record it with its command and "
        "refer to it, or write a setting as code"
    )


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("an accuracy of 97.5 % here", ["97.5 %"]),
        ("| int8 | 0.39 MB | 3 ms |", ["0.39 MB", "3 ms"]),
        ("is 3.6x smaller and 1.9 times faster", ["3.6x", "1.9 times"]),
        ("in 5 min 53 s, +21.7 points", ["5 min", "53 s", "+21.7 points"]),
        ("准确率 97.5 %，快 2 倍", ["97.5 %", "2 倍"]),
        ("95 % accuracy", ["95 %"]),
        ("its 95 % interval, 95 % intervals, 95 % 区间", []),
        ('{{ value("vqa.accuracy") }} of 9,673 questions, `0.5 %`', []),
        ("```\naccuracy 99.97 %\n```\n", []),
        ("<!-- results:proof:begin -->\n| 97.62 % |\n<!-- results:proof:end -->", []),
        ("Python 3.11, TensorRT 8.6, 128 x 64, 2 cores", []),
    ],
)
def test_a_number_without_a_source_is_found(text: str, found: list[str]):
    assert measured(text) == found
