"""One Predictor under several threads: every answer is that of its own request, and the measurement would notice."""

from __future__ import annotations

import contextlib
import json
from pathlib import Path

import jsonschema
import numpy as np
import pytest

import mmkeras
from mmkeras.core.errors import DataError
from mmkeras.runtime.runner import RunnerBase
from tests.threads.__main__ import main
from tests.threads.bundle import FILES, write_bundle
from tests.threads.load import distinct, same, under_load

SCHEMA = json.loads((Path(mmkeras.__file__).parent / "schemas" / "threads.schema.json").read_text(encoding="utf-8"))


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_bundle(tmp_path_factory.mktemp("threads") / "made", saved_model=False)


def _main(bundle: Path, out: Path, *more: str) -> tuple[int, dict]:
    status = main(["--bundle", str(bundle), "--out", str(out), *more])
    return status, json.loads(out.read_text(encoding="utf-8"))


def test_every_runner_answers_each_thread_its_own_request(bundle, tmp_path):
    status, result = _main(bundle, tmp_path / "threads.json", "--answers", "1000")
    jsonschema.validate(result, SCHEMA)
    assert status == 0, result
    names = [f"{format} {precision}" for format, precision in FILES]
    assert [row["runner"] for row in result["runners"]] == [*names, *(f"{name}, packed" for name in names)]
    for row in result["runners"]:
        assert (row["answers"], row["wrong"], row["errors"]) == (1000, 0, {})


def test_the_measurement_notices_an_engine_that_several_threads_use_at_once(bundle, tmp_path, monkeypatch):
    monkeypatch.setattr(RunnerBase, "_turn", lambda self: contextlib.nullcontext())
    status, result = _main(bundle, tmp_path / "threads.json", "--answers", "1000")
    jsonschema.validate(result, SCHEMA)
    faults = {row["runner"]: row["wrong"] + sum(row["errors"].values()) for row in result["runners"]}
    assert status == 1
    assert result["wrong"] == sum(faults.values())
    assert faults["tflite float32"], "LiteRT keeps the tensors of a call in its interpreter"
    assert not faults["onnx float32"], "ONNX Runtime does not, and needs no lock"


def test_answers_that_cannot_be_told_apart_are_refused():
    with pytest.raises(DataError, match="at least 4 different answers, got 2 of 6"):
        distinct(lambda request: {"score": float(request["n"] % 2)}, [{"n": n} for n in range(6)])


def test_wrong_answers_errors_and_the_shares_of_the_threads_are_counted():
    expected = [({"n": n}, {"label": "x", "score": float(n)}) for n in range(5)]

    def answer(request):
        if request["n"] == 3:
            raise RuntimeError("busy")
        return {"label": "x", "score": float(request["n"] == 4) + request["n"]}

    load = under_load(answer, expected, threads=3, answers=1000)
    assert load.answers + load.errors.total() == 1000
    assert list(load.errors) == ["RuntimeError: busy"]
    assert 100 < load.wrong < 300
    assert load.faults == load.wrong + load.errors.total()


@pytest.mark.parametrize(
    ("one", "other", "equal"),
    [
        ({"a": [1.0, "x"]}, {"a": [1.000001, "x"]}, True),
        ({"a": [1.0, "x"]}, {"a": [1.0, "y"]}, False),
        ({"a": 1.0}, {"a": 1.1}, False),
        ({"a": 1.0}, {"b": 1.0}, False),
        ([1.0], [1.0, 2.0], False),
        (np.ones(3), np.ones(3), True),
        (np.ones(3), np.zeros(3), False),
        (float("nan"), float("nan"), False),
    ],
)
def test_answers_are_compared_number_by_number(one, other, equal):
    assert same(one, other) is equal


@pytest.mark.parametrize("more", [("--answers", "5000"), ("--threads", "2")])
def test_a_short_measurement_is_not_recorded(more, tmp_path, capsys):
    assert main(["--record", "--out", str(tmp_path / "threads.json"), *more]) == 2
    assert "stands for 100,000 answers of every runner" in " ".join(capsys.readouterr().err.split())
