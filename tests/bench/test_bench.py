from __future__ import annotations

import json
from pathlib import Path

import jsonschema
import pytest

import mmkeras
from tests.bench.__main__ import compare, main

SCHEMA = json.loads((Path(mmkeras.__file__).parent / "schemas" / "bench.schema.json").read_text())


def test_both_sides_take_turns_and_the_first_turn_does_not_count():
    turns = []
    ours, baseline = iter([100.0, 2.0, 4.0, 3.0]), iter([100.0, 1.0, 2.0, 3.0])

    def measure(name, figures):
        def once():
            turns.append(name)
            return next(figures)

        return once

    result = compare(measure("ours", ours), measure("baseline", baseline), 3, "s")
    assert turns == ["ours", "baseline"] * 4
    assert result["ratio"] == 1.5
    assert result["ours"] == {"median": 3.0, "spread": 2.0, "unit": "s"}


@pytest.mark.slow
def test_the_benchmark_writes_what_its_schema_says(tmp_path):
    assert main(["--rounds", "2", "--out", str(tmp_path / "bench.json")]) == 0
    written = json.loads((tmp_path / "bench.json").read_text())
    jsonschema.validate(written, SCHEMA)
    assert written.keys() == {"fit_step", "predict", "first_answer", "machine"}


def test_a_short_measurement_is_not_recorded(capsys):
    assert main(["--record", "--rounds", "2"]) == 2
    assert "9 turns or more" in " ".join(capsys.readouterr().err.split())


def test_the_schema_refuses_a_ratio_without_its_sides():
    entry = {"ratio": 1.0, "rounds": 3, "bar": 1.0, "goal": 1.0}
    machine = {"system": "Linux", "architecture": "x86_64", "cpu": "a", "cores": 2, "packages": {}}
    with pytest.raises(jsonschema.ValidationError, match="'ours' is a required property"):
        jsonschema.validate({"fit_step": entry, "machine": machine}, SCHEMA)
