"""The fuzzer itself, and a short run of it over every reader."""

from __future__ import annotations

import json
import random
from pathlib import Path

import jsonschema
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import mmkeras
from mmkeras.core.errors import ConfigError
from tests.fuzz.__main__ import main
from tests.fuzz.campaign import Counts, Plan, _turns, run, shared_out
from tests.fuzz.damage import damaged
from tests.fuzz.outcome import outcome
from tests.fuzz.reader import find_readers
from tests.fuzz.sample import Sample

FAULTY = "tests.fuzz.faulty"
SCHEMA = Path(mmkeras.__file__).parent / "schemas" / "fuzz.schema.json"
LIGHT = (
    "astyx",
    "bundle_folder",
    "bundle_reports",
    "dicom",
    "edge_file",
    "golden",
    "keys",
    "packed_bundle",
    "pcd",
    "picture",
    "table_jsonl",
    "toml",
)


def test_every_reader_answers_damaged_files_with_our_errors(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    out = tmp_path / "fuzz.json"
    assert main(["--inputs", "700", "--seed", "11", "--out", str(out)]) == 0, capsys.readouterr().out
    told = json.loads(out.read_text())
    jsonschema.validate(told, json.loads(SCHEMA.read_text()))
    assert set(told["readers"]) == set(find_readers())
    assert told["totals"]["inputs"] >= 700
    assert told["totals"]["refused"] > 300, "the damages are seen"
    assert told["failures"] == []
    assert not (tmp_path / "fuzz").exists() or not list((tmp_path / "fuzz").iterdir()), "no progress is left behind"
    assert "packed_bundle" in capsys.readouterr().out


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(name=st.sampled_from(LIGHT), seed=st.integers(0, 2**32), number=st.integers(0, 2**32))
def test_any_seed(tmp_path: Path, name: str, seed: int, number: int):
    sample = Sample(find_readers((name,))[name], tmp_path / name)
    found = outcome(sample.reader, sample.put(sample.damage(seed, number)))
    assert found.kind in ("read", "refused"), found.said


@settings(max_examples=150, deadline=None)
@given(
    suffix=st.sampled_from((".json", ".jsonl", ".toml", ".csv", ".png", ".npz", ".tfrecord", ".pcd", ".bin")),
    content=st.binary(max_size=200),
    seed=st.integers(0, 2**32),
)
def test_anything_can_be_damaged_again(suffix: str, content: bytes, seed: int):
    once = damaged(f"x{suffix}", content, [b"other"], random.Random(seed))
    assert once == damaged(f"x{suffix}", content, [b"other"], random.Random(seed))
    damaged(f"x{suffix}", once, [content], random.Random(seed + 1))


@given(seeds=st.lists(st.integers(0, 2**32), min_size=20, max_size=20))
@settings(max_examples=20, deadline=None)
def test_earlier_damages_do_not_change_later_ones(seeds: list[int]):
    """What is put into JSON may be changed in a later round: the stock that it came from must not be."""
    content = json.dumps({"a": [1, {"b": []}], "c": "x"}).encode()
    alone = [damaged("x.json", content, [], random.Random(seed)) for seed in seeds]
    assert [damaged("x.json", content, [], random.Random(seed)) for seed in reversed(seeds)] == alone[::-1]


def test_every_fault_is_counted_kept_and_told_apart(tmp_path: Path):
    readers = find_readers(family=FAULTY)
    plan = Plan(inputs=15, seed=0, seconds=2.0, memory=256, code="x")
    counts = run(readers, plan, tmp_path / "out", tmp_path / "scratch", family=FAULTY)
    assert {name: each.inputs for name, each in counts.items()} == dict.fromkeys(readers, 3)
    assert counts["crashes"].crashes == 3
    assert counts["hangs"].hangs == 3
    assert counts["grows"].over_memory == 3
    assert counts["raises"].foreign_exceptions == 3
    assert "KeyError: 'shape'" in counts["raises"].failures[0]["said"]
    assert (counts["refuses"].refused, counts["refuses"].read) == (2, 1), "one damage made the same bytes"
    assert counts["refuses"].failures == []
    kept = sorted(path.name for path in (tmp_path / "out" / "failures").iterdir())
    assert len(kept) == 12
    again = Sample(readers["raises"], tmp_path / "again").damage(0, 0)
    assert (tmp_path / "out/failures/raises-0-0/files/valid.bin").read_bytes() == again["valid.bin"]


def test_an_interrupted_run_goes_on_to_the_same_counts(tmp_path: Path):
    readers = find_readers(("pcd",))
    plan = Plan(inputs=420, seed=1, seconds=30.0, memory=512, code="x")
    whole = run(readers, plan, tmp_path / "whole", tmp_path / "a")["pcd"]

    def interrupt(name: str, counts: Counts) -> None:
        if counts.inputs == 200:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run(readers, plan, tmp_path / "broken", tmp_path / "b", interrupt)
    seen: list[int] = []
    rest = run(readers, plan, tmp_path / "broken", tmp_path / "b", lambda name, counts: seen.append(counts.inputs))[
        "pcd"
    ]
    assert seen[0] == 200
    assert (
        (rest.inputs, rest.read, rest.refused)
        == (whole.inputs, whole.read, whole.refused)
        == (420, whole.read, 420 - whole.read)
    )


def test_an_input_that_failed_is_read_again(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    (tmp_path / "files").mkdir()
    (tmp_path / "files" / "binary.pcd").write_bytes(b"no cloud\n")
    (tmp_path / "failure.json").write_text(json.dumps({"reader": "pcd"}))
    assert main(["--replay", str(tmp_path)]) == 0
    assert "refused: DataError" in capsys.readouterr().out
    assert main(["--replay", str(tmp_path / "files")]) == 2
    assert "expected a folder with failure.json" in " ".join(capsys.readouterr().err.split())


def test_a_reader_that_is_not_there():
    with pytest.raises(ConfigError, match=r"did you mean 'picture'"):
        find_readers(("pictur",))


def test_a_long_run_comes_to_every_reader_early():
    wanted = shared_out(find_readers(), 1_000_000)
    turns = list(_turns(wanted))
    early = dict(turns[: len(wanted)])
    assert early.keys() == wanted.keys()
    assert sum(early.values()) < 26_000
    assert dict(turns) == wanted, "each ends with all of its inputs"
    assert list(_turns({"a": 3, "b": 4})) == [("a", 3), ("b", 4)]


def test_inputs_are_shared_out():
    shares = shared_out(find_readers(), 50_000)
    assert 50_000 <= sum(shares.values()) < 50_100
    assert min(shares.values()) > 50


@pytest.mark.parametrize("less", [("--inputs", "100"), ("--readers", "pcd"), ("--replay", "folder")])
def test_less_than_the_number_stands_for_is_not_recorded(less, capsys: pytest.CaptureFixture[str]):
    assert main(["--record", *less]) == 2
    assert "counts 50,000 inputs of all readers" in " ".join(capsys.readouterr().err.split())
