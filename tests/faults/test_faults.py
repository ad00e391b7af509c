"""Faults made on purpose: of programs small enough for every run of the tests, and of the stages themselves."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import jsonschema
import pytest

import mmkeras
from tests.faults.__main__ import figures, main
from tests.faults.account import Account
from tests.faults.flat import Flat
from tests.faults.kills import Kill, kill, shared_out, undisturbed
from tests.faults.others import FAULTS, Verdict, judge
from tests.faults.stages import STAGES, keep_code
from tests.faults.steps import stage

SCHEMA = Path(mmkeras.__file__).parent / "schemas" / "faults.schema.json"


@pytest.fixture
def work(tmp_path: Path) -> Path:
    (tmp_path / "base").mkdir()
    return tmp_path


def _valid(path: Path) -> dict:
    told = json.loads(path.read_text())
    jsonschema.validate(told, json.loads(SCHEMA.read_text()))
    return told


def test_a_killed_process_goes_on_to_the_same_artefacts(work: Path):
    whole = undisturbed(work / "base", stage("conversion"))
    assert sorted(whole.digests) == ["made/0.bin", "made/1.bin", "made/2.bin"]
    done = kill(work, stage("conversion"), whole, 0, seed=1)
    assert done.identical, done.different
    assert not done.left
    assert not (work / "conversion-0").exists(), "what was survived is removed"


def test_a_program_that_writes_in_place_is_found_out(work: Path):
    careless = stage("conversion", "careless")
    done = kill(work, careless, undisturbed(work / "base", careless), 0, seed=1, moment=0.1)
    assert not done.identical
    assert done.different == ["made/0.bin"]
    assert (work / "conversion-0" / "repeat.txt").read_text().startswith("python -m tests.faults --only kills")


def test_other_faults_are_judged_by_what_the_program_says(work: Path):
    stages = {"conversion": stage("conversion"), "packing": stage("packing")}
    whole = {name: undisturbed(work / "base", each) for name, each in stages.items()}
    limited = judge("file size limit: packing", work, whole, stages)
    assert (limited.verdict, "a file may not become as large" in limited.said) == ("passed", True), limited
    assert judge("two conversions at once", work, whole, stages).verdict == "passed"
    read = judge("read-only folder: conversion", work, whole, {"conversion": stage("conversion", "careless")})
    assert read.verdict in ("passed", "skipped"), read
    other = dict(whole, packing=whole["packing"].__class__({"made/9.bin": ""}, 0.0, 1.0))
    failed = judge("two packings at once", work, other, stages)
    assert failed.verdict == "failed"
    assert "not as undisturbed: made/0.bin" in failed.said


def test_what_was_done_is_kept_and_told(work: Path):
    account = Account.open(work)
    account.note_kill(0, Kill("packing", 0, 0.5, True, [], [], "again"))
    account.note_kill(0, Kill("packing", 1, 0.5, False, ["a"], [".b.tmp"], "again"))
    account.note_fault(Verdict("shard truncated", "skipped", "why"))
    account.note_flat(Flat("onnx", 100, 200.0, 240.0, 9, 9))
    again = Account.open(work)
    assert again.has_kill(0, "packing", 0)
    assert not again.has_kill(0, "packing", 1), "what failed is tried again"
    assert not again.has_fault("shard truncated")
    told = again.results(0, None)
    assert {name: told["kills"][name] for name in ("tried", "identical", "left_half_written")} == {
        "tried": 2,
        "identical": 1,
        "left_half_written": 1,
    }
    assert not told["flat"]["processes"][0]["flat"]
    jsonschema.validate(told, json.loads(SCHEMA.read_text()))


def test_the_exit_status_says_whether_a_bar_is_missed(work: Path, capsys: pytest.CaptureFixture[str]):
    out = work / "faults.json"
    asked = ["--only", "kills", "--kills", "0", "--work", str(work / "w"), "--out", str(out), "--kinds", "conversion"]
    (work / "w" / "base").mkdir(parents=True)
    account = Account.open(work / "w")
    account.note_whole("conversion", undisturbed(work / "base", stage("conversion")))
    (work / "w" / "code").mkdir()
    account.note_kill(0, Kill("conversion", 0, 0.5, True, [], [], "again"))
    assert main(asked) == 0
    assert _valid(out)["kills"]["kinds"]["conversion"]["identical"] == 1
    account.note_kill(0, Kill("conversion", 1, 0.5, False, ["index.json"], [], "python -m again"))
    assert main(asked) == 1
    assert "python -m again: ['index.json']" in capsys.readouterr().out
    (work / "w" / "account.json").write_text("{")
    assert main(asked) == 2
    assert "Start anew with --fresh" in capsys.readouterr().err


def test_the_recorded_numbers_count_what_was_not_survived(work: Path):
    account = Account.open(work / "recorded")
    account.path.parent.mkdir()
    account.note_kill(0, Kill("packing", 0, 0.5, True, [], [], "again"))
    account.note_kill(0, Kill("packing", 1, 0.5, True, [], [".b.tmp"], "again"))
    account.note_fault(Verdict("disk full", "failed", "why"))
    account.note_fault(Verdict("shard truncated", "skipped", "why"))
    for end in (240.0, 190.0):
        account.note_flat(Flat(f"until {end}", 100, 200.0, end, 9, 9))
    told = figures(account.results(0, None))
    assert told == {"faults.identical": 50, "faults.others": 1, "faults.growth": pytest.approx(20)}


@pytest.mark.parametrize("less", [("--only", "kills"), ("--kills", "3"), ("--kinds", "packing"), ("--moment", "1")])
def test_less_than_the_numbers_stand_for_is_not_recorded(work: Path, capsys: pytest.CaptureFixture[str], less):
    assert main(["--record", "--work", str(work / "w2"), "--out", str(work / "faults2.json"), *less]) == 2
    assert "leave out the options" in " ".join(capsys.readouterr().err.split())


def test_a_measurement_keeps_to_the_programs_it_began_with(tmp_path: Path):
    assert keep_code(tmp_path)
    assert keep_code(tmp_path)
    (tmp_path / "code" / "mmkeras" / "errors.py").write_text("")
    assert not keep_code(tmp_path)


def test_kills_are_shared_out_over_the_stages():
    assert [kind for kind, _ in shared_out(20, list(STAGES))].count("training") == 5
    assert shared_out(3, ["a", "b"]) == [("a", 0), ("b", 0), ("a", 1)]
    assert len(FAULTS) >= 20


def test_a_real_conversion_survives_a_kill(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    out = tmp_path / "faults.json"
    asked = ["--only", "kills", "--kinds", "conversion", "--kills", "1", "--work", str(tmp_path / "w")]
    assert main([*asked, "--out", str(out)]) == 0, capsys.readouterr().out
    assert _valid(out)["kills"]["kinds"] == {"conversion": {"tried": 1, "identical": 1, "left_half_written": 0}}


@pytest.mark.slow
def test_every_stage_survives_a_kill_and_every_fault_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    out = tmp_path / "faults.json"
    few = ["--kills", "4", "--steps", "400", "--epochs", "40", "--predictions", "1000"]
    assert main([*few, "--work", str(tmp_path / "w"), "--out", str(out)]) == 0, capsys.readouterr().out
    told = _valid(out)
    assert set(told["kills"]["kinds"]) == set(STAGES)
    assert {each["fault"] for each in told["others"]} == set(FAULTS)
    shutil.rmtree(tmp_path / "w")
