"""A report shows hostile names, labels and texts as letters: no markup of theirs gets into the page."""

from __future__ import annotations

from html.parser import HTMLParser
from typing import Any

from mmkeras.evaluation.report import _TEMPLATE, render_report
from tests.conftest import REPOSITORY
from tests.sources import MODULES, PACKAGES

EVIL = "<script>alert(1)</script><img src=x onerror=alert(2)>\"'&{{7*7}}</td></style>"


class _Elements(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.found: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        self.text += data


def _metrics() -> dict[str, Any]:
    interval = {"value": 0.9, "low": 0.8, "high": 0.95, "method": "bootstrap"}
    scores = {"accuracy": interval, EVIL: interval}
    parts = {EVIL: {"metrics": scores, "difference": scores}, "text": {"metrics": scores, "difference": scores}}
    few = {"samples": 9, "few": False}
    return {
        "schema_version": 1,
        "task": {"kind": "classification", "metric": "accuracy", "metric_sign": 1},
        "samples": 9,
        "intervals": {"confidence": 0.95, "resamples": 50, "seed": 0, "slow_resamples": 10, "slow_metrics": []},
        "test": scores,
        "ablation": {"removed": parts, "shuffled": parts, "alone": parts, "verdict": {"text": EVIL, "gain": interval}},
        "slices": {EVIL: {EVIL: {**scores, **few, "worse": True}}},
        "per_class": {EVIL: {"precision": interval, "recall": interval, "f1": interval, **few}},
        "calibration": None,
        "confusion": {
            "labels": [EVIL, "b"],
            "matrix": [[1, 1], [0, 1]],
            "top": [{"truth": EVIL, "predicted": EVIL, "count": 1, "share": 0.5}],
        },
        "errors": [{"key": EVIL, "truth": EVIL, "prediction": EVIL, "wrongness": 0.7}],
        "warnings": [EVIL],
        "remarks": [EVIL],
        "provenance": {"name": EVIL, "notice": EVIL, "packages": {EVIL: EVIL}, EVIL: EVIL, "config": EVIL},
    }


def test_hostile_words_stay_words():
    page = render_report(_metrics(), {"ablation": b"png", EVIL: b"png"}, config=EVIL)
    parser = _Elements()
    parser.feed(page)
    tags = {tag for tag, _ in parser.found}
    assert "script" not in tags
    assert not [a for _, attributes in parser.found for a in attributes if a.startswith("on")]
    assert {a["src"][:22] for tag, a in parser.found if tag == "img" and a["src"]} == {"data:image/png;base64,"}
    assert parser.text.count("<script>alert(1)</script>") >= 10, "they are shown"
    assert "49" not in parser.text, "no template runs in a text"


def test_every_template_escapes():
    """The report is the only page; a new one has to be tried as well, and none may switch escaping off."""
    templates = [path for package in PACKAGES for path in (REPOSITORY / package).rglob("*.jinja")]
    assert [path.name for path in templates] == [_TEMPLATE]
    assert not [
        path
        for path in templates
        if "|safe" in (text := path.read_text("utf-8").replace(" ", "")) or "autoescape" in text
    ]


def test_no_page_is_written_by_hand():
    assert [path.name for path in MODULES.values() if "<html" in path.read_text("utf-8")] == []
