"""The ladder of precisions: the smallest file that holds the budget ships, and there is always one."""

from __future__ import annotations

import io
from pathlib import Path

import pytest

import export.to_litert.litert_from_saved_model
from export.formats import Job, formats, plan
from export.run import export_source
from export.source import Source
from export.to_litert.litert_from_saved_model import convert
from export.verification.report import Report
from mmkeras.bundle import Bundle
from mmkeras.core.config import ExportConfig
from mmkeras.core.console import Console
from mmkeras.core.errors import ConfigError
from tests.export.conftest import put_in_place


def climb(source: Source, folder: Path, max_metric_drop: float | None = None) -> tuple[Report, str]:
    stream = io.StringIO()
    config = ExportConfig(
        folder=str(folder),
        formats=("tflite",),
        precisions=("float16", "int8-weights"),
        ladder=True,
        max_metric_drop=max_metric_drop,
    )
    return export_source(source, config, console=Console(file=stream, width=200)), stream.getvalue()


def test_the_first_rung_that_holds_the_budget_ships_alone(source: Source, tmp_path: Path) -> None:
    report, _ = climb(source, tmp_path, max_metric_drop=100.0)
    assert [(file.precision, file.rung, file.accepted) for file in report.files] == [("int8-weights", 1, True)]
    assert report.accepted
    assert report.to_json()["budget"] == {"max_metric_drop": 100.0, "max_flips": None, "ladder": True}
    assert [file.precision for file in Bundle.open(report.folder).files] == ["int8-weights"]


def test_rungs_that_fail_are_kept_with_their_reason_and_float32_ends_the_ladder(
    source: Source, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def other_model(job: Job, precision: str, path: Path) -> None:
        # What a rung that loses the metric looks like: two labels are exchanged in its answer.
        if precision == "float32":
            convert(job, precision, path)
            return
        head = job.source.model.get_layer("head_logits")
        kernel, bias = head.get_weights()
        head.set_weights([kernel[:, [1, 0, 2]], bias[[1, 0, 2]]])
        try:
            convert(Job(job.source, path.parent / precision), "float16", path)
        finally:
            head.set_weights([kernel, bias])

    put_in_place(monkeypatch, export.to_litert.litert_from_saved_model, other_model)
    report, shown = climb(source, tmp_path)
    assert [(file.precision, file.rung, file.accepted) for file in report.files] == [
        ("int8-weights", 1, False),
        ("float16", 2, False),
        ("float32", 3, True),
    ]
    assert report.accepted
    for file in report.files[:2]:
        assert "decisions changed" in file.reason
        assert file.reason.startswith("on 64 train samples: "), "chosen on other samples than it is verified on"
        assert (report.folder / file.path).is_file()
        assert file.path.startswith("rejected/")
    assert "REJECTED" in shown
    assert "next rung" in shown


def test_every_ladder_ends_with_float32_and_a_ladder_without_precisions_has_every_rung() -> None:
    for format in formats().values():
        assert format.ladder[-1] == "float32"
        assert set(format.ladder) == set(format.precisions)
    assert plan(["tflite"], [], ladder=True)[0][1] == list(formats()["tflite"].ladder)
    assert plan(["onnx"], ["int8"], ladder=True)[0][1] == ["int8", "float32"]
    with pytest.raises(ConfigError, match="did you mean 'int8-weights'"):
        plan(["tflite"], ["int8-weight"], ladder=True)
