"""A short form of python -m tests.coverage: the same draws every time, so that it cannot fail by chance."""

import json

import pytest

from mmkeras.evaluation.intervals import Bootstrap
from tests.coverage import __main__ as program
from tests.coverage.__main__ import Setting, coverage, main


@pytest.mark.parametrize("setting", [Setting(10, 8, 1.0), Setting(50, 8, 1.0)], ids=lambda setting: setting.name)
@pytest.mark.parametrize("problem", ["classification, 70 %", "regression"])
def test_intervals_of_grouped_data_cover(problem, setting):
    found = coverage(problem, setting, 150)
    # Two standard errors of 150 repetitions beside the bar.
    outside = {name: each.coverage for name, each in found.items() if each.coverage < 0.93 - 0.036}
    assert not outside
    assert 0.93 <= sum(each.coverage for each in found.values()) / len(found) <= 0.985


def test_intervals_that_ignore_groups_do_not_cover(monkeypatch):
    class Ungrouped(Bootstrap):
        def score(self, task, targets, outputs, weights=None, groups=None, only=()):
            return super().score(task, targets, outputs, weights, None, only)

    monkeypatch.setattr(program, "Bootstrap", Ungrouped)
    monkeypatch.setattr(program, "MANY", (400, 3000))
    found = coverage("regression", Setting(20, 8, 1.0), 60)
    assert found["mae"].coverage < 0.8


def test_the_command_prints_and_writes_a_table(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(program, "SETTINGS", (Setting(10, 3, 1.0),))
    monkeypatch.setattr(program, "MANY", (100, 100))
    out = tmp_path / "coverage.json"
    status = main(["--repetitions", "20", "--problems", "detection", "--out", str(out)])
    written = json.loads(out.read_text())["coverage"]["detection"]["10 x 3"]
    assert {"mAP", "AP_car", "difference of mAP"} <= set(written)
    assert status == int(any(not 0.93 <= each["coverage"] <= 0.97 for each in written.values()))
    assert "mAP" in capsys.readouterr().out
    assert main(["--repetitions", "1"]) == 2
