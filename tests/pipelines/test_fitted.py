"""``mmkeras.fit`` in Python, its bundle, and the evaluation of both on new data."""

from __future__ import annotations

import dataclasses
import json
import threading
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from PIL import Image

import mmkeras
from export.verification.report import FileResult, Report
from mmkeras.core.errors import ConfigError, DataError, ExportError, MmkerasError
from mmkeras.runtime.selftest import selftest
from pipelines._table.fitted import FittedRun, check_accepted
from pipelines.evaluate import main as evaluate

OPTIONS = {"train.epochs": 1, "model.image.size": [32, 32], "evaluate.pictures": 2, "evaluate.bootstrap": 50}
WORDS = ["cough", "fever", "pain", "since", "monday", "night", "left", "arm", "no", "better"]


def _frame(rows: int, folder: Path, seed: int = 0) -> pd.DataFrame:
    """Pictures in every form that a cell may have, notes, numbers with gaps, and a target that the picture shows."""
    rng = np.random.default_rng(seed)
    cells = []
    for row in range(rows):
        sick = bool(rng.integers(2))
        pixels = np.zeros((24, 24, 3), np.uint8)
        pixels[..., 0 if sick else 2] = rng.integers(120, 255, (24, 24))
        path = folder / f"{seed}_{row}.png"
        Image.fromarray(pixels).save(path)
        scan = (pixels, Image.fromarray(pixels), path.read_bytes(), path)[row % 4]
        age = int(rng.integers(20, 90)) if rng.random() > 0.1 else None
        cells.append((scan, " ".join(rng.choice(WORDS, 7)), age, "AB"[row % 2], "yes" if sick else "no"))
    return pd.DataFrame(cells, columns=["scan", "note", "age", "ward", "sick"])


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("fitted")


@pytest.fixture(scope="module")
def fitted(place: Path) -> FittedRun:
    """A run that was trained in a thread, as a notebook or a server may do."""
    found: list[Any] = []

    def work() -> None:
        try:
            found.append(mmkeras.fit(_frame(80, place), "sick", name="toy", options=OPTIONS, quiet=True))
        except BaseException as error:
            found.append(error)

    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(place)
        thread = threading.Thread(target=work)
        thread.start()
        thread.join()
    if isinstance(found[0], BaseException):
        raise found[0]
    run: FittedRun = found[0]
    return FittedRun(place / run.folder, place / run.config)


@pytest.fixture(autouse=True)
def _there(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(place)


def test_a_run_has_metrics_and_a_report_for_notebooks(fitted: FittedRun) -> None:
    assert set(fitted.metrics) == {"accuracy", "macro_f1", "balanced_accuracy", "mcc", "cross_entropy"}
    assert fitted.metrics["accuracy"] == fitted.details["test"]["accuracy"]["value"]
    assert "accuracy" in repr(fitted)
    page = fitted.report._repr_html_()
    assert page.startswith("<iframe")
    assert "&lt;html" in page
    assert (fitted.config.name, fitted.config.is_file()) == ("toy.toml", True)


def test_a_run_becomes_a_bundle_that_proves_itself_and_takes_every_form(fitted: FittedRun, place: Path) -> None:
    rows = _frame(8, place, seed=1)
    with fitted.export("tflite", precision="float32", quiet=True) as bundle:
        assert selftest(bundle.bundle).passed
        answers = bundle.predict(rows)
        assert [bundle.predict(row) for row in rows.to_dict("records")] == answers.to_dict("records")
        first = rows.iloc[0]
        values = {"image": first["scan"], "text": first["note"], "row": {"age": first["age"], "ward": first["ward"]}}
        assert bundle.predict(**values) == answers.iloc[0].to_dict()
        assert bundle.bundle.manifest.columns == {"image": "scan", "text": "note", "row": ["age", "ward"]}
    with pytest.raises(ConfigError, match=r"export\.sample: unknown option; did you mean 'samples'"):
        fitted.export("tflite", sample=3, quiet=True)


def test_a_file_that_missed_its_gate_is_an_error(tmp_path: Path) -> None:
    good, bad = FileResult("tflite", "float32", accepted=True), FileResult("tflite", "int8", reason="3 flips")
    report = Report(tmp_path, "toy", 1, "accuracy", {}, (good, bad))
    with pytest.raises(ExportError, match=r"tflite int8: 3 flips \(strict=False takes the others\)"):
        check_accepted(report, strict=True)
    check_accepted(report, strict=False)
    with pytest.raises(ExportError, match="no file was accepted"):
        check_accepted(dataclasses.replace(report, files=(bad,)), strict=False)


def test_new_data_gets_the_whole_report(fitted: FittedRun, place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    rows = _frame(40, place, seed=2)
    before = fitted.evaluate(rows, quiet=True)
    assert before["samples"] == 40
    table = rows.assign(scan=[f"2_{row}.png" for row in range(40)], site=["north", "south"] * 20)
    table.loc[3, "sick"] = "maybe"
    table.loc[[4, 5], "scan"] = "gone.png"
    table.to_csv("new.csv", index=False)
    run = str(fitted.folder)
    assert evaluate([run, "--data", "new.csv", "--out", "few"]) == 2
    assert "3 of 40 checked rows" in " ".join(capsys.readouterr().err.split())
    assert not Path("few").exists()
    assert evaluate([run, "--data", "new.csv", "--max-bad-share", "0.1", "--out", "keras"]) == 0
    shown = " ".join(capsys.readouterr().out.split())
    assert "3 rows (7.5 %) cannot be used" in shown
    assert "on the test split of the training" in shown
    bundle = fitted.export("tflite", precision="float32", quiet=True)
    place_of_bundle = str(bundle.bundle.folder)
    bundle.close()
    assert evaluate([place_of_bundle, "--data", "new.csv", "--max-bad-share", "0.1", "--out", "file"]) == 0
    keras, file = (_metrics(Path(name)) for name in ("keras", "file"))
    assert keras["samples"] == file["samples"] == 37
    assert set(keras["slices"]["site"]) == {"north", "south"}
    assert file["test"]["cross_entropy"]["value"] == pytest.approx(keras["test"]["cross_entropy"]["value"], rel=1e-3)
    assert "tflite float32" in file["provenance"]["evaluated"]
    for arguments, message in (
        ([run, "--data", "new.csv", "--format", "onnx"], "which has its Keras model alone"),
        ([run, "--data", "new.csv", "--map", "imag=scan"], "did you mean 'image'"),
        ([run, "--data", "new.csv", "--target", "sikc"], "did you mean 'sick'"),
        ([run, "--data", "none.csv"], "none.csv: no such file"),
        (["nowhere", "--data", "new.csv"], "no folder nowhere"),
    ):
        assert evaluate(arguments) == 2
        assert message in " ".join(capsys.readouterr().err.split())


def _metrics(folder: Path) -> dict[str, Any]:
    return dict(json.loads((folder / "metrics.json").read_text("utf-8")))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"target": "sikc"}, "did you mean 'sick'"),
        ({"quality": "fastest"}, "did you mean 'fast'"),
        ({"kinds": {"aeg": "number"}}, "no column 'aeg'"),
        ({"ignore": ["sick"]}, "this column is the target"),
        ({"options": {"train.epoch": 3}}, "did you mean 'train.epochs'"),
    ],
)
def test_what_cannot_be_is_refused(arguments: dict[str, Any], message: str, place: Path) -> None:
    with pytest.raises(MmkerasError, match=message):
        mmkeras.fit(_frame(24, place, seed=3), **{"target": "sick", "name": "wrong", "quiet": True, **arguments})
    with pytest.raises(DataError, match="no rows"):
        mmkeras.fit(pd.DataFrame({"a": []}), "a", quiet=True)
