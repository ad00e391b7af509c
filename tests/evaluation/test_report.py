import io
import json
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import jsonschema
import numpy as np
import pytest

import mmkeras
from mmkeras.core.config import EvaluateConfig
from mmkeras.core.console import Console
from mmkeras.core.errors import DataError
from mmkeras.evaluation import Samples, evaluate, render_report, write_report
from mmkeras.evaluation.pictures import attention_figure
from tests.evaluation.problems import (
    LABELS,
    Signal,
    both_bits,
    numbers,
    numbers_task,
    several,
    several_task,
    specs,
    task,
    two_signals,
)

CONFIG = EvaluateConfig(batch_size=64, bootstrap=50)
PROVENANCE = {"name": "bits", "config": {"train": {"epochs": 3}}, "packages": {"keras": "3.15.1"}, "data": "3f2a"}
FILE: dict[str, Any] = {
    "format": "tflite",
    "precision": "int8-dynamic",
    "path": "edge/bits.int8-dynamic.tflite",
    "bytes": 3_400_000,
    "sha256": "ab" * 32,
    "max_abs_diff": 0.02,
    "mean_abs_diff": 0.001,
    "samples": 500,
    "flips": 7,
    "metric": 0.98,
    "metric_change": -0.012,
    "scenarios": {
        "all": {
            "samples": 500,
            "max_abs_diff": 0.02,
            "mean_abs_diff": 0.001,
            "flips": 4,
            "flipped": ["a", "b", "c", "d"],
            "metric": 0.98,
            "metric_change": -0.012,
        },
        "without left": {
            "samples": 500,
            "max_abs_diff": None,
            "mean_abs_diff": None,
            "flips": 3,
            "flipped": ["a", "b", "c"],
            "metric": None,
            "metric_change": None,
        },
    },
    "accepted": False,
    "reason": "metric fell by 1.2 points, the gate is 0.5",
}


class Page(HTMLParser):
    """Checks that tags are closed and collects what the page refers to."""

    VOID = ("meta", "img", "br", "link", "input", "hr")

    def __init__(self, html):
        super().__init__()
        self.open: list[str] = []
        self.links: list[str] = []
        self.tags: list[str] = []
        self.text = ""
        self.feed(html)
        assert not self.open

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self.links += [value for name, value in attrs if name in ("src", "href")]
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.text += data


def schema():
    path = Path(mmkeras.__file__).parent / "schemas" / "metrics.schema.json"
    return json.loads(path.read_text(encoding="utf-8"))


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    folder = tmp_path_factory.mktemp("run") / "new"
    samples = two_signals(300)

    def model(batch):
        outputs = both_bits(batch)
        outputs["probabilities"][::9] = outputs["probabilities"][::9, ::-1]
        return outputs

    extra = {"attention: what/where?": attention_figure(np.zeros((8, 8, 3), np.uint8), np.ones((2, 1, 4)), (2, 2))}
    console = Console(width=120, record=True, file=io.StringIO())
    metrics = evaluate(
        model,
        samples,
        specs("left", "right"),
        task(),
        CONFIG,
        folder,
        provenance=PROVENANCE,
        extra_pictures=extra,
        console=console,
    )
    return folder, metrics, console.export_text()


def test_metrics_follow_their_schema(run):
    folder, metrics, _ = run
    written = json.loads((folder / "metrics.json").read_text(encoding="utf-8"))
    assert written == metrics
    jsonschema.Draft202012Validator.check_schema(schema())
    jsonschema.validate(written, schema())
    assert set(written["test"]["accuracy"]) == {"value", "low", "high", "method"}
    assert written["provenance"] == PROVENANCE
    assert written["errors"][0]["key"].startswith("sample-")


@pytest.mark.parametrize(
    ("spec", "problem"), [(several_task(), several), (numbers_task(), numbers)], ids=["labels", "numbers"]
)
def test_other_tasks_follow_the_schema_and_have_a_report(tmp_path, spec, problem):
    targets, outputs = problem(120)
    ones = np.ones(120, np.float32)
    samples = Samples(
        {"one_value": outputs, "one_present": ones}, targets, ones, columns={"half": np.repeat(["a", "b"], 60)}
    )
    name = spec.outputs[0].name
    metrics = evaluate(
        lambda batch: {name: batch["one_value"]},
        samples,
        {"one": Signal("one", outputs.shape[1])},
        spec,
        CONFIG,
        tmp_path,
    )
    jsonschema.validate(metrics, schema())
    assert metrics["ablation"]["verdict"]["fusion_helps"] is None
    assert Page((tmp_path / "report.html").read_text(encoding="utf-8")).tags.count("img") >= 3


def test_the_report_stands_alone(run):
    folder, metrics, _ = run
    html = (folder / "report.html").read_text(encoding="utf-8")
    page = Page(html)
    assert page.links
    assert all(link.startswith("data:image/png;base64,") for link in page.links)
    assert not {"script", "link", "iframe"} & set(page.tags)
    assert LABELS[2] in page.text, "a label with tags in it is text, not markup"
    for words in ("Fusion helps", "3f2a", "keras", "epochs", "Nothing has been exported yet", *metrics["warnings"]):
        assert words in page.text
    assert page.tags.count("img") == 5


def test_the_report_is_written_anew_with_the_export(run):
    folder, _, _ = run
    before = (folder / "report.html").read_text(encoding="utf-8")
    write_report(folder, export={"schema_version": 1, "files": [FILE, {**FILE, "accepted": True, "reason": ""}]})
    page = Page((folder / "report.html").read_text(encoding="utf-8"))
    for words in (
        "rejected",
        "accepted",
        FILE["reason"],
        "3.4 MB",
        "7 of 1000",
        "without left",
        "-1.20",
        FILE["sha256"],
    ):
        assert words in page.text
    assert page.tags.count("img") == before.count("<img ")
    broken = {**FILE, "path": "", "bytes": 0, "sha256": "", "max_abs_diff": None, "scenarios": {}, "metric": None}
    write_report(folder, export={"files": [{**broken, "metric_change": None, "reason": "converter failed"}]})
    assert "converter failed" in (folder / "report.html").read_text(encoding="utf-8")


def test_the_table_says_what_the_file_says(run):
    _, metrics, text = run
    assert f"{100 * metrics['test']['accuracy']['value']:.1f}" in text
    for words in ("without left", "constant answer", "half = ", "Fusion helps", "report.html"):
        assert words in text


def test_pictures_of_an_older_evaluation_go(run, tmp_path):
    _, metrics, _ = run
    (tmp_path / "metrics.json").write_text(json.dumps(metrics), encoding="utf-8")
    figure = attention_figure(np.zeros((8, 8, 3), np.uint8), np.ones((2, 1, 4)), (2, 2))
    (tmp_path / "config.toml").write_text('name = "from the file"', encoding="utf-8")
    write_report(tmp_path, {"first": figure})
    assert "from the file" in Page((tmp_path / "report.html").read_text(encoding="utf-8")).text
    write_report(tmp_path, {"second": figure})
    assert [path.name for path in (tmp_path / "pictures").iterdir()] == ["second.png"]
    assert not list(tmp_path.glob(".*tmp"))


def test_missing_provenance_is_said(run):
    _, metrics, _ = run
    assert "No provenance was recorded" in Page(render_report({**metrics, "provenance": {}}, {})).text


def test_a_report_needs_metrics(tmp_path):
    with pytest.raises(DataError, match=r"Expected metrics\.json"):
        write_report(tmp_path)
