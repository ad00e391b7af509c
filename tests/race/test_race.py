from __future__ import annotations

import csv
import json
import shutil
from pathlib import Path

import jsonschema
import pytest

import mmkeras
from mmkeras.core.errors import DependencyError, TrainingError
from mmkeras.data.sources._contract import SPLITS
from mmkeras.training import stage_fit
from tests.race import __main__ as program
from tests.race import by_keras
from tests.race.network_race import check_parity
from tests.race.public_tables import epochs_for
from tests.race.rounds import paired, ratio_of
from tests.race.serving import measured
from tests.race.sides import PEERS, Side, peers_python
from tests.race.table import write_table
from tests.race.table_race import epochs_within
from tests.real import covid_cxr

SCHEMA = json.loads((Path(mmkeras.__file__).parent / "schemas" / "race.schema.json").read_text("utf-8"))
FALSE = shutil.which("false") or "false"
"""A program that fails and prints nothing."""
ALIKE = {"outputs": 1e-6, "loss": 1e-7, "gradients": {"stem_conv/kernel": 3e-3}}


def test_ways_take_turns_forwards_and_backwards_and_the_first_round_does_not_count():
    order = []

    def way(name, figures):
        figures = iter(figures)

        def once():
            order.append(name)
            return {"cpu": next(figures), "wall": 1.0}

        return once

    found = paired({"a": way("a", [9.0, 1.0, 2.0]), "b": way("b", [9.0, 2.0, 8.0])}, 2)
    assert "".join(order) == "ba" + "ab" + "ba"
    assert found["a"] == {"cpu": [1.0, 2.0], "wall": [1.0, 1.0]}
    assert found["b"]["cpu"] == [2.0, 8.0]


def test_the_ratio_is_that_of_each_round_against_the_best_other():
    figures = {
        "ours": {"cpu": [1.0, 2.0, 30.0, 2.0, 2.0]},
        "slow": {"cpu": [9.0, 9.0, 9.0, 9.0, 9.0]},
        "fast": {"cpu": [2.0, 4.0, 40.0, 2.0, 1.0]},
    }
    assert ratio_of(figures, "ours", ("slow", "fast")) == {"ratio": 0.75, "low": 0.5, "high": 1.0, "best": "fast"}


def test_cpu_time_is_of_the_work_and_not_of_waiting():
    import time

    waiting = measured(lambda: time.sleep(0.05), 2)
    assert waiting["wall"] > 45 > 20 > waiting["cpu"]


@pytest.mark.parametrize(
    ("what", "change"),
    [
        ("outputs", {"outputs": 1e-3}),
        ("loss", {"loss": float("nan")}),
        ("gradient of head_logits/kernel", {"gradients": {"head_logits/kernel": 0.2, "stem_conv/kernel": 1e-3}}),
    ],
)
def test_networks_that_differ_do_not_race(what, change):
    assert check_parity(ALIKE) == ALIKE
    with pytest.raises(TrainingError, match=rf"differ: {what} by .* Adapt tests/race/network\.py"):
        check_parity(ALIKE | change)


def test_without_the_environment_the_reason_says_how_to_get_it(tmp_path, capsys, monkeypatch):
    with pytest.raises(DependencyError, match=r"nothing: does not exist\. Make it with make race"):
        peers_python("torch", tmp_path / "nothing")
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin" / "python").symlink_to(FALSE)
    with pytest.raises(DependencyError, match="cannot import torch"):
        peers_python("torch", tmp_path)
    monkeypatch.setattr(peers_python, "__defaults__", (tmp_path / "nothing",))
    out = tmp_path / "race.json"
    assert program.main(["--only", "step", "ludwig", "--folder", str(tmp_path / "race"), "--out", str(out)]) == 0
    said = " ".join(capsys.readouterr().out.split())
    assert "step: left out. nothing: does not exist" in said
    assert "ludwig: left out." in said
    assert not out.exists()


def test_a_number_of_fewer_rounds_or_rows_is_not_recorded(capsys):
    assert program.main(["--record", "--rounds", "3"]) == 2
    assert program.main(["--record", "--only", "ludwig", "--rows", "100"]) == 2
    assert capsys.readouterr().err.count("--record needs") == 2


def test_the_error_of_a_side_is_shown(tmp_path):
    with Side(FALSE, "tests.race.ours", tmp_path) as side, pytest.raises(TrainingError, match="step failed"):
        side.ask("step", form="fused", times=1)


def test_epochs_are_cut_to_the_budget():
    assert epochs_within(1000, 0.1, 286, 6) == 6
    assert epochs_within(150, 0.1, 286, 6) == 3
    with pytest.raises(TrainingError, match="no epoch of 286 steps"):
        epochs_within(30, 0.1, 286, 6)


def test_ludwig_gets_the_epochs_that_use_the_budget():
    assert epochs_for(100, {1: 20, 3: 40}) == 9  # 10 seconds in all, and 10 for each epoch
    assert epochs_for(105, {1: 20, 3: 40}) == 10
    assert epochs_for(5, {1: 20, 3: 40}) == 1


def test_no_patient_is_on_both_sides_of_a_fold(shared_data):
    unpacked = shared_data("covid_cxr")
    tested: list[str] = []
    for fold in range(covid_cxr.FOLDS):
        table = covid_cxr.make_table(unpacked / "covid_cxr.tar.xz", unpacked, fold)
        with table.open(encoding="utf-8", newline="") as stream:
            rows = list(csv.DictReader(stream))
        splits = {split: {row["patient"] for row in rows if row["split"] == split} for split in SPLITS}
        assert not splits["train"] & splits["test"]
        assert not splits["validation"] & (splits["train"] | splits["test"])
        assert {row["finding"] for row in rows if row["split"] == "test"} == {"COVID-19", "other"}
        assert not any("covid" in row["notes"].lower() for row in rows)
        tested += sorted(splits["test"])
    assert len(tested) == len(set(tested)) == 112


def test_both_sides_read_one_table_with_the_splits_of_the_pipeline(tmp_path):
    assert write_table(tmp_path / "table.csv", 3) == {"train": 3, "validation": 3, "test": 3}
    head, *rows = (tmp_path / "table.csv").read_text().splitlines()
    assert head == "image,question,answer,split,group"
    assert all(Path(row.split(",")[0]).is_file() for row in rows)


def test_the_comparison_leaves_out_what_a_run_uses(monkeypatch):
    for name in ("fused_batch_norm", "flat_dense"):
        monkeypatch.setattr(stage_fit, name, getattr(stage_fit, name))
    given = []

    def run(arguments):
        given.append(arguments)
        return 0

    monkeypatch.setattr(by_keras.vqa, "main", run)
    before = stage_fit.fused_batch_norm
    assert by_keras.main(["--train.seed", "1"]) == 0
    assert given == [["--train.seed", "1"]]
    assert stage_fit.fused_batch_norm is not before
    with stage_fit.fused_batch_norm(None), stage_fit.flat_dense(None):
        pass


def test_the_schema_wants_both_sides_of_ludwig():
    machine = {"system": "Linux", "architecture": "x86_64", "cpu": "a", "cores": 2, "packages": {}}
    training = {"accuracy": 99.0, "questions": 10, "cpu_seconds": 1.0, "peak_gigabytes": 1.0}
    part = {"value": 99.0, "rows": {"test": 10}, "mmkeras": {**training, "epochs": 6, "step_milliseconds": 1.0}}
    with pytest.raises(jsonschema.ValidationError, match="'ludwig' is a required property"):
        jsonschema.validate({"schema_version": 1, "machine": machine, "ludwig": part}, SCHEMA)


@pytest.mark.slow
def test_the_race_writes_what_its_schema_says(tmp_path):
    if not (PEERS / "bin" / "python").is_file():
        pytest.skip("PyTorch and Ludwig are not installed: make race")
    out = tmp_path / "race.json"
    common = ["--rounds", "3", "--folder", str(tmp_path / "race"), "--out", str(out)]
    assert program.main(["--only", "step", *common]) == 0
    assert program.main(["--only", "inference", *common]) == 0
    written = json.loads(out.read_text())
    jsonschema.validate(written, SCHEMA)
    assert written.keys() == {"schema_version", "step", "inference", "machine"}
