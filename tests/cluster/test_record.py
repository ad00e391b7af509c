from __future__ import annotations

import pytest

from tests.cluster.__main__ import JUDGED, figures, main


def test_the_recorded_numbers_are_the_worst_of_each_measurement():
    worlds = {"2 workers": {"largest_relative_difference": 1e-13}, "4 workers": {"largest_relative_difference": 6e-13}}
    others = {"2 workers": {"largest_relative_difference": 0.2}}
    results = {
        "equality": {"precisions": {JUDGED: worlds, "float32": others}},
        "efficiency": {"efficiency": 0.93},
        "stop": {"killed": 2.3, "silent": 10.2, "bar": 60.0, "goal": 15.0},
    }
    assert figures(results) == {"cluster.weights": 6e-13, "cluster.efficiency": 0.93, "cluster.stop": 10.2}


@pytest.mark.parametrize("less", [("--only", "stop"), ("--steps", "10"), ("--batch", "64"), ("--worlds", "2 workers")])
def test_less_than_the_numbers_stand_for_is_not_recorded(less, capsys: pytest.CaptureFixture[str]):
    assert main(["--record", *less]) == 2
    assert "stand for the default options" in " ".join(capsys.readouterr().err.split())
