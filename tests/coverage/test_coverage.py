"""A short form of python -m tests.coverage: the same draws every time, so that it cannot fail by chance."""

import json

import pytest

from mmkeras.evaluation.intervals import Bootstrap
from tests.coverage import __main__ as program
from tests.coverage.__main__ import Setting, coverage, main, verdict


@pytest.mark.parametrize("setting", [Setting(10, 8, 1.0), Setting(50, 8, 1.0)], ids=lambda setting: setting.name)
@pytest.mark.parametrize("problem", ["classification, 70 %", "regression"])
def test_intervals_of_grouped_data_cover(problem, setting):
    found = coverage(problem, setting, 150)
    assert not {name: each.coverage for name, each in found.items() if verdict(round(150 * each.coverage), 150) < 0}
    assert 0.93 <= sum(each.coverage for each in found.values()) / len(found) <= 0.985


def test_intervals_that_ignore_groups_do_not_cover(monkeypatch):
    class Ungrouped(Bootstrap):
        def score(self, task, evidence, weights=None, groups=None, only=()):
            return super().score(task, evidence, weights, None, only)

    monkeypatch.setattr(program, "Bootstrap", Ungrouped)
    monkeypatch.setattr(program, "MANY", (400, 3000))
    found = coverage("regression", Setting(20, 8, 1.0), 60)
    assert found["mae"].coverage < 0.8


def test_the_command_prints_and_writes_a_table(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(program, "SETTINGS", (Setting(10, 3, 1.0),))
    monkeypatch.setattr(program, "MANY", (100, 100))
    out = tmp_path / "coverage.json"
    status = main(["--repetitions", "20", "--problems", "several labels", "--out", str(out)])
    written = json.loads(out.read_text())["coverage"]["several labels"]["10 x 3"]
    assert {"micro_f1", "mean_average_precision", "difference of mean_average_precision"} <= set(written)
    assert status == int(any(verdict(round(20 * each["coverage"]), 20) for each in written.values()))
    said = capsys.readouterr().out
    assert "mean average precision" in said
    assert "20 repetitions: a miss is a coverage below" in said
    assert "measured inside" in said
    assert main(["--repetitions", "1"]) == 2


def test_detection_is_simulated_too(monkeypatch):
    monkeypatch.setattr(program, "MANY", (40, 40))
    found = coverage("detection", Setting(6, 2, 1.0), 2)
    assert {"mAP", "AP_car", "velocity_error", "difference of mAP"} <= set(found)
    assert found["mAP"].width > 0


@pytest.mark.parametrize(
    ("held", "repetitions", "expected"),
    [(950, 1000, 0), (920, 1000, 0), (900, 1000, -1), (985, 1000, 1), (18, 20, 0), (20, 20, 0), (255, 300, -1)],
)
def test_a_miss_is_beyond_doubt(held, repetitions, expected):
    assert verdict(held, repetitions) == expected


def test_a_miss_is_named_and_decides_the_status(tmp_path, capsys, monkeypatch):
    covered = program.Covered(truth=1.0, coverage=0.8, above=0.1, below=0.1, width=1.0)
    monkeypatch.setattr(program, "coverage", lambda *_: {"mae": covered})
    assert main(["--repetitions", "100", "--problems", "regression", "--out", str(tmp_path / "coverage.json")]) == 1
    said = capsys.readouterr().out
    assert "below 93 to 97 %: regression, 10 x 8: mae, 80.0 %" in said
    assert "0 of 6 compatible" in said


def test_the_share_is_recorded_of_everything_alone(tmp_path, capsys, monkeypatch):
    covered = program.Covered(truth=1.0, coverage=0.95, above=0.02, below=0.03, width=1.0)
    recorded = []
    monkeypatch.setattr(program, "coverage", lambda *_: {"mae": covered})
    monkeypatch.setattr(program, "record", lambda *given: recorded.append(given))
    out = ["--out", str(tmp_path / "coverage.json"), "--record"]
    assert main(["--problems", "regression", *out]) == 2
    assert main(["--repetitions", "999", *out]) == 2
    assert not recorded
    assert main(out) == 0
    assert recorded == [("coverage.inside", 100.0)]
