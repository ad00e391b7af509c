"""A picture with the signal of a sensor, from a table to answers of the packed bundle; and a signal alone."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from export.run import export_run
from mmkeras.bundle import Bundle
from mmkeras.core.config import ExportConfig
from mmkeras.core.console import Console
from mmkeras.modalities.series.spec import Spec
from mmkeras.runtime.predictor import Predictor
from mmkeras.runtime.selftest import selftest
from mmkeras.training.run import Run
from tests.toys.chain import PICTURE, Chain, command, reads_otherwise, run_chain
from tests.toys.tables import write_signals

SIGNAL = """
[model]
width = 16
[model.signal]
kind = "series"
length = 24
patch = 4
layers = 1
heads = 2
mask_rate = 0.1
"""
RISING = [float(step) for step in range(24)]


@pytest.fixture(scope="module")
def chain(tmp_path_factory: pytest.TempPathFactory) -> Chain:
    folder = tmp_path_factory.mktemp("signals")
    config = f"{SIGNAL}[model.image]{PICTURE}"
    columns = {"signal": "signal", "image": "picture"}
    return run_chain(folder, write_signals(folder), columns, config, ("saved_model", "tflite", "onnx"))


def test_every_file_is_accepted_in_every_scenario(chain: Chain):
    assert chain.report.accepted, [file.reason for file in chain.report.files]
    for file in chain.report.files:
        assert {"without_signal", "half_missing_signal", "newest_missing_signal"} <= set(file.scenarios)


def test_the_statistics_of_the_run_are_those_of_its_training_windows(chain: Chain):
    manifest = json.loads((chain.bundle() / "manifest.json").read_text("utf-8"))
    (signal,) = (each for each in manifest["modalities"] if each["name"] == "signal")
    assert (signal["length"], signal["features"]) == (24, 1)
    assert 40 < signal["means"][0] < 60
    assert signal["deviations"][0] > 1


def test_golden_series_are_files_that_can_be_opened(chain: Chain):
    shapes = [np.load(file).shape for file in (chain.bundle() / "golden").glob("*_signal.npy")]
    assert shapes.count((24, 1)) > 3


def test_the_packed_bundle_proves_itself_and_answers(chain: Chain):
    with Bundle.open(chain.packed()) as bundle:
        assert selftest(bundle).passed
    with Predictor(chain.packed()) as predictor:
        whole = predictor.predict(image=chain.folder / "3.png", signal=RISING)
        for series in (RISING[::-1], RISING[:3], [None, *RISING[1:]], np.array(RISING) ** 2):
            assert predictor.predict(image=chain.folder / "3.png", signal=series) != whole
        assert np.isfinite(predictor.predict(signal=RISING)["confidence"])
    arguments = ("predict", chain.bundle(), "--image", chain.folder / "3.png", "--signal")
    assert command(*arguments, json.dumps(RISING))[0] == 0
    assert command(*arguments, "up and down")[0] != 0


def test_a_table_is_answered_and_a_series_of_strings_is_named(chain: Chain, tmp_path: Path):
    table, out = tmp_path / "new.jsonl", tmp_path / "answers.jsonl"
    rows: list[dict[str, Any]] = [{"signal": RISING}, {"signal": ["up", "down"]}, {"signal": "1 2 3 NA"}]
    table.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    status, _ = command("predict", chain.bundle(), "--table", table, "--out", out, "--missing", "picture")
    answers = [json.loads(line) for line in out.read_text("utf-8").splitlines()]
    assert (status, ["error" in answer for answer in answers]) == (1, [False, True, False])
    assert "step 1: expected a number, got 'up'" in answers[1]["error"]


@pytest.mark.slow
@pytest.mark.parametrize("form", ["patches", "convolutions"])
def test_a_signal_alone_is_exported_in_every_precision(tmp_path: Path, form: str):
    config = f'{SIGNAL}form = "{form}"\n'
    chain = run_chain(tmp_path, write_signals(tmp_path), {"signal": "signal"}, config, ("tflite",))
    # Matrices as small as these stay in float32 with int8-dynamic, which the export refuses.
    precisions = ("float32", "float16", "int8")
    settings = ExportConfig(folder=str(tmp_path / "all"), formats=("tflite", "onnx"), precisions=precisions)
    report = export_run(Run.open(chain.run), settings, console=Console(quiet=True))
    found = {(file.format, file.precision): file.reason for file in report.files}
    assert {format for format, _ in found} == {"tflite", "onnx"}
    assert {precision for _, precision in found} == set(precisions)
    assert report.accepted, found
    assert not any("without" in name for file in report.files for name in file.scenarios)


def _more(spec: Spec, made: dict[str, np.ndarray]) -> None:
    made["signal_values"] *= np.float32(1.001)


def _later(spec: Spec, made: dict[str, np.ndarray]) -> None:
    made["signal_values"][:] = np.roll(made["signal_values"], 1, axis=0)


def _never_missing(spec: Spec, made: dict[str, np.ndarray]) -> None:
    made["signal_mask"][:] = 1


def _level_in_other_units(spec: Spec, made: dict[str, np.ndarray]) -> None:
    made["signal_level"] += np.float32(0.01)


@pytest.mark.parametrize("fault", [_more, _later, _never_missing, _level_in_other_units])
def test_a_device_that_reads_series_otherwise_fails_its_self_test(
    chain: Chain, fault: Callable[[Spec, dict[str, np.ndarray]], None]
):
    packed = chain.packed()
    with reads_otherwise(Spec, fault), Bundle.open(packed) as bundle:
        assert not selftest(bundle).passed
