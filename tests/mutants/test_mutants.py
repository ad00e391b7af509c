from __future__ import annotations

import json
from collections import Counter
from dataclasses import replace
from pathlib import Path

import jsonschema
import numpy as np
import pytest
import tensorflow as tf

import mmkeras
from mmkeras.core.console import Console
from tests.mutants.account import Account, Settings
from tests.mutants.bench import Bench, Mutant
from tests.mutants.intervals import clopper_pearson
from tests.mutants.kind import Kind, Signal, Variant
from tests.mutants.kinds import every_kind, variants
from tests.mutants.pictures import COLOURS, SHAPES, write_table
from tests.mutants.summary import show, summarise

SCHEMA = json.loads((Path(mmkeras.__file__).parent / "schemas" / "mutants.schema.json").read_text("utf-8"))
SETTINGS = Settings("work", ("tflite",), ("float32", "int8"), 48, 0)
MACHINE = {"system": "Linux", "architecture": "x86_64", "cpu": "a", "cores": 2, "packages": {}, "code_revision": "r"}
STRONG = (
    "labels-rolled",
    "output-constant",
    "output-logits",
    "branch-blind",
    "channels-reversed",
    "pixel-signed",
    "token-order",
    "layer-zeroed",
    "embedding-rolled",
    "file-cut",
)


def planted() -> list[Variant]:
    """Strong faults; TensorFlow 2.16 gives the layers of a file other names, by which edits find them."""
    edits = ("layer-zeroed", "embedding-rolled") if tf.__version__.startswith("2.16.") else ()
    return [variant for variant in variants(STRONG) if variant.kind.name not in edits]


@pytest.mark.parametrize("variant", planted(), ids=lambda variant: variant.name)
def test_a_strong_fault_is_caught_in_every_file_by_gate_and_self_test(bench: Bench, variant: Variant) -> None:
    mutants = bench.try_variant(variant)
    assert {mutant.precision for mutant in mutants} == {"float32", "int8-weights"}
    assert not any(mutant.equivalent for mutant in mutants)
    # The picture moves the outputs of this untrained model little: by less than int8 weights may.
    felt = [m for m in mutants if m.precision == "float32" or m.difference is None or m.difference > 0.1]
    assert [mutant for mutant in felt if mutant.gate != "refused" or mutant.selftest != "failed"] == []


def test_a_file_that_computes_the_same_is_equivalent_and_nothing_refuses_it(bench: Bench) -> None:
    kind = Kind("labels-rolled", "nothing", {"": Signal(outputs=lambda arrays, scene: arrays)})
    mutants = bench.try_variant(Variant(kind, ""))
    assert [(m.equivalent, m.difference, m.gate, m.selftest) for m in mutants] == [
        (True, 0.0, "accepted", "passed")
    ] * 2


@pytest.mark.parametrize("name", ["host-channels-reversed", "host-ids-off-by-one"])
def test_a_host_that_preprocesses_otherwise_is_caught_on_the_device_and_at_the_export(bench: Bench, name: str) -> None:
    found = {v.kind.place: bench.try_variant(v) for v in variants((name,))}
    assert [(m.gate, m.selftest) for m in found["device"]] == [("not asked", "failed")]
    assert [m.gate for m in found["export"]] == ["refused"]


def test_a_bundle_with_words_exchanged_is_caught(bench: Bench) -> None:
    (variant,) = variants(("vocabulary-swapped",))
    (mutant,) = bench.try_variant(variant)
    assert (mutant.gate, mutant.selftest) == ("not asked", "failed")
    assert "text_token_ids" in mutant.selftest_reason


def test_there_are_enough_kinds_and_each_has_one_name() -> None:
    kinds = every_kind()
    assert len({kind.name for kind in kinds}) >= 40
    assert max(Counter((kind.name, kind.place) for kind in kinds).values()) == 1
    assert {kind.place for kind in kinds} == {"file", "bundle", "device", "export"}


def mutant(precision: str, gate: str, *, equivalent: bool = False) -> dict[str, object]:
    return Mutant("a", "x", "file", "tflite", precision, gate=gate, selftest="passed", equivalent=equivalent).to_json()


def test_the_summary_counts_static_int8_apart_and_leaves_out_what_is_equivalent() -> None:
    mutants = [
        mutant("int8", "refused"),
        mutant("int8", "accepted"),
        mutant("int8", "accepted", equivalent=True),
        mutant("float32", "refused"),
    ]
    refused = [{"format": "onnx", "precision": "int8", "reason": "[bold]noise"}]
    honest: list[dict[str, object]] = [
        {"name": "one", "refused": [], "selftest": ""},
        {"name": "two", "refused": refused, "selftest": ""},
    ]
    results = summarise(SETTINGS, mutants, honest, MACHINE)
    jsonschema.validate(json.loads(json.dumps(results)), SCHEMA)
    assert [results["int8"][key] for key in ("planted", "caught", "share")] == [2, 1, 0.5]
    assert [results["other"][key] for key in ("planted", "caught", "share")] == [1, 1, 1.0]
    assert results["equivalent"] == 1
    assert [survivor["precision"] for survivor in results["survivors"]] == ["int8"]
    assert (results["honest"]["exports"], results["honest"]["refused"]) == (2, 1)
    console = Console(record=True, width=200)
    show(results, console)
    printed = console.export_text()
    assert "survived: a (x), at file, tflite int8" in printed
    assert "refused: two onnx int8: [bold]noise" in printed


def test_the_schema_refuses_a_mutant_without_a_verdict() -> None:
    results = summarise(SETTINGS, [mutant("int8", "refused")], [], MACHINE)
    del results["mutants"][0]["gate"]
    with pytest.raises(jsonschema.ValidationError, match="'gate' is a required property"):
        jsonschema.validate(results, SCHEMA)


@pytest.mark.parametrize(
    ("hits", "tried", "interval"),
    [(0, 30, (0, 0.11570)), (1, 30, (0.00084, 0.17217)), (30, 30, (0.88430, 1)), (950, 1000, (0.93461, 0.96266))],
)
def test_intervals_are_exact(hits: int, tried: int, interval: tuple[float, float]) -> None:
    # Of scipy.stats.beta, which the command does not need.
    assert clopper_pearson(hits, tried) == pytest.approx(interval, abs=1e-5)


def test_a_result_of_other_settings_is_not_taken_for_done(tmp_path: Path) -> None:
    settings = replace(SETTINGS, work=str(tmp_path))
    Account(settings).note("file:labels-rolled", [1])
    assert Account(settings).get("file:labels-rolled") == [1]
    assert Account(replace(settings, samples=47)).get("file:labels-rolled") is None
    assert Account(settings).get("file:labels-reversed") is None


def test_generated_questions_have_answers_that_differ(tmp_path: Path) -> None:
    lines = write_table(tmp_path, 60).read_text("utf-8").splitlines()[1:]
    answers = {line.split(",")[2] for line in lines}
    assert answers == {*COLOURS, *SHAPES, "yes", "no"}
    assert Counter(line.split(",")[3] for line in lines) == {"train": 36, "validation": 9, "test": 15}
    assert np.unique([(tmp_path / f"{row}.png").stat().st_size for row in range(60)]).size > 30
