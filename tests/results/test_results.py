from __future__ import annotations

import dataclasses
import json
import math
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import jsonschema
import pytest

import mmkeras
from mmkeras.core.errors import ConfigError
from pipelines._stages import results as _results
from pipelines._stages.numbers import NUMBERS
from pipelines._stages.results import ExportedFile, Origin, Result, describe_machine, read_results, record
from tests.results import __main__ as results
from tests.results import readme, shown

SCHEMA = json.loads((Path(mmkeras.__file__).parent / "schemas" / "results.schema.json").read_text("utf-8"))
ORIGIN = Origin("0123456789" * 4, "2 cores, x86_64, a processor, 24 GiB, no GPU", "2026-11-29T12:00:00+00:00")


def _result(value: float, low: float | None = None, high: float | None = None, command: str = "make it") -> Result:
    return Result(value, low, high, 0, 0, command, ORIGIN.commit, ORIGIN.machine, ORIGIN.date)


# === Recording ===


def test_a_number_is_added_with_where_it_comes_from(tmp_path: Path):
    file = tmp_path / "docs" / "results.json"
    record("vqa.accuracy", 99.97, low=99.93, high=100, file=file)
    record("mutants.int8.caught", 98, command="make mutants RUN=x", origin=ORIGIN, file=file)
    written = json.loads(file.read_text("utf-8"))
    jsonschema.validate(written, SCHEMA)
    assert list(written) == ["mutants.int8.caught", "vqa.accuracy"]
    accuracy = written["vqa.accuracy"]
    assert (accuracy["value"], accuracy["low"], accuracy["high"]) == (99.97, 99.93, 100)
    assert (accuracy["bar"], accuracy["goal"]) == (97, 99.5)
    assert accuracy["command"] == NUMBERS["vqa.accuracy"].command
    assert "cores" in accuracy["machine"]
    given = {"command": "make mutants RUN=x", "commit": ORIGIN.commit, "machine": ORIGIN.machine, "date": ORIGIN.date}
    assert written["mutants.int8.caught"] == {**given, "value": 98, "low": None, "high": None, "bar": 95, "goal": 99}


def test_recording_again_replaces_one_number_alone(tmp_path: Path):
    file = tmp_path / "results.json"
    record("threads.wrong", 3, origin=ORIGIN, file=file)
    record("vqa.accuracy", 98, origin=ORIGIN, file=file)
    before = file.read_bytes()
    record("threads.wrong", 0, origin=ORIGIN, file=file)
    assert read_results(file)["threads.wrong"].value == 0
    record("threads.wrong", 3, origin=ORIGIN, file=file)
    assert file.read_bytes() == before


def test_a_misspelt_name_is_answered_with_the_nearest(tmp_path: Path):
    with pytest.raises(ConfigError, match=r"no number 'vqa\.acuracy' .* did you mean 'vqa\.accuracy'"):
        record("vqa.acuracy", 99, file=tmp_path / "results.json")


@pytest.mark.parametrize(
    ("value", "low", "high", "message"),
    [
        (math.nan, None, None, "expected finite numbers"),
        (98, 97, None, "expected both ends of an interval"),
        (98, 99, 97, "expected both ends of an interval"),
        (980, None, None, "expected percent between 0 and 100"),
    ],
)
def test_what_no_measurement_gives_is_refused(tmp_path: Path, value, low, high, message):
    file = tmp_path / "results.json"
    with pytest.raises(ConfigError, match=message):
        record("vqa.accuracy", value, low=low, high=high, origin=ORIGIN, file=file)
    assert not file.exists()


def test_commands_that_record_at_once_lose_nothing(tmp_path: Path):
    file = tmp_path / "results.json"
    names = [name for name, number in NUMBERS.items() if number.unit == "%"]
    with ThreadPoolExecutor(len(names)) as pool:
        for done in [pool.submit(record, name, 50, origin=ORIGIN, file=file) for name in names]:
            done.result()
    assert list(read_results(file)) == sorted(names)
    assert [path.name for path in tmp_path.iterdir()] == ["results.json"]


@pytest.mark.parametrize("content", ["{", "[]", '{"vqa.accuracy": {"value": 1}}', '{"vqa.accuracy": 1}'])
def test_a_damaged_file_is_named_and_kept(tmp_path: Path, content: str):
    file = tmp_path / "results.json"
    file.write_text(content)
    with pytest.raises(ConfigError, match=r"results\.json.*Restore it from git"):
        record("threads.wrong", 0, origin=ORIGIN, file=file)
    assert file.read_text() == content


def test_a_machine_is_described_without_its_name():
    known = {"system": "Linux", "architecture": "x86_64", "cpu": "a processor", "cores": 2}
    assert describe_machine(known) == "2 cores, x86_64, a processor"
    gpus = {**known, "memory_gib": 24, "gpus": ["A", "A"]}
    assert describe_machine(gpus) == "2 cores, x86_64, a processor, 24 GiB, A + A"
    assert describe_machine({**known, "memory_gib": 24, "gpus": []}).endswith(", 24 GiB, no GPU")


# === The numbers as text ===


def _row(name: str, result: Result | None) -> tuple[str, ...]:
    return shown.cells(name, {} if result is None else {name: result})


def test_a_measured_number_stands_beside_its_bar_its_goal_and_its_origin():
    row = _row("vqa.accuracy", _result(99.97, 99.93, 100, "python -m pipelines.vqa --record"))
    measured = f"2026-11-29, 0123456, {ORIGIN.machine}"
    command = "`python -m pipelines.vqa --record`"
    assert row[1:] == (command, "99.97 % (99.93 to 100.00)", "97 %", "99.5 %", measured)


@pytest.mark.parametrize(
    ("name", "value", "expected"),
    [
        ("vqa.accuracy", 96.9999, "96.9999 %, **bar not reached**"),
        ("vqa.accuracy", 99.999, "99.999 %"),
        ("vqa.accuracy", 100.0, "100.00 %"),
        ("mutants.int8.caught", 95.0, "95.00 %"),
        ("mutants.honest_refused", 0.004, "0.004 %"),
        ("mutants.honest_refused", 10.0, "10.00 %, **bar not reached**"),
        ("camera_radar.fusion_gain", 16.24, "+16.2 points"),
        ("camera_radar.radar_dead", -2.04, "-2.04 points, **bar not reached**"),
        ("camera_radar.radar_dead", -0.01, "-0.01 points"),
        ("threads.wrong", 1, "1 wrong, **bar not reached**"),
        ("fuzz.failures", 0, "0 failures"),
        ("bench.predict", 1.0512, "1.051, **bar not reached**"),
        ("bench.first_answer", 0.0546, "0.05"),
        ("cluster.weights", 4.7123e-13, "4.7e-13"),
        ("cluster.weights", 0.2, "2.0e-01, **bar not reached**"),
        ("cluster.stop", 10.24, "10.2 s"),
        ("fit.minutes", 4.96, "4.96 min"),
        ("fit.minutes", 3.14, "3.1 min"),
    ],
)
def test_a_missed_bar_is_said_and_never_rounded_away(name: str, value: float, expected: str):
    assert _row(name, _result(value))[2] == expected


def test_what_is_not_measured_says_so():
    assert _row("mutants.honest_refused", None)[1:] == (
        "`python -m tests.mutants --record`",
        "not measured yet",
        "3.33 % (1 of 30)",
        "0 % (0 of 100)",
        "",
    )
    assert shown.value("vqa.accuracy", {}) == shown.interval("vqa.accuracy", {}) == "not measured yet"
    with pytest.raises(ConfigError, match=r"did you mean 'vqa\.accuracy'"):
        shown.value("vqa.acuracy", {})


@pytest.mark.parametrize("name", list(NUMBERS))
def test_every_number_can_be_shown(name: str):
    meaning, command, shown_value, *_ = _row(name, _result(0.5))
    assert meaning
    assert command == "`make it`"
    assert shown_value.startswith(("0.5", "+0.5", "5.0e-01"))


def test_a_table_of_markdown_keeps_pipes_and_line_breaks_in_their_cell():
    assert shown.markdown_table(["a", "b"], [["1 | 2", "3\n4"]]).splitlines()[2] == r"| 1 \| 2 | 3 4 |"


def _file(precision: str, size: int, accepted: bool = True) -> ExportedFile:
    return ExportedFile("tflite", precision, size, accepted, -0.00125, 3, 1500)


def test_files_are_shown_with_their_gate_and_their_differences():
    results = {
        "vqa.minutes": dataclasses.replace(_result(6.5), files=(_file("int8", 870_000), _file("float16", 9, False)))
    }
    first, _, int8, float16, missing = shown.files_table(["vqa", "camera_radar"], results).splitlines()
    assert int8 == "| `vqa` | LiteRT int8 | accepted | 0.87 MB | -0.0013 | 3 of 1,500 |"
    assert "**refused**" in float16
    assert missing.count("|") == first.count("|")
    assert "not measured yet" in missing
    shown_sizes = [shown.size("vqa", "tflite", each, results) for each in ("int8", "float16", "float32")]
    assert shown_sizes == ["0.87 MB", "refused", "not exported"]


# === The README files ===


@pytest.fixture
def readmes(tmp_path: Path, monkeypatch) -> dict[str, Path]:
    """README files that hold nothing but their tables, and a file of numbers."""
    paths = {"en": tmp_path / "README.md", "zh": tmp_path / "README.zh.md"}
    for path in paths.values():
        blocks = (f"<!-- results:{name}:begin -->\nold\n<!-- results:{name}:end -->" for name in ("pipelines", "proof"))
        path.write_text("before\n{}\nbetween\n{}\nafter\n".format(*blocks))
    monkeypatch.setattr(readme, "READMES", paths)
    monkeypatch.setattr(results, "READMES", paths)
    monkeypatch.setattr(_results, "RESULTS", tmp_path / "results.json")
    return paths


def test_the_command_writes_the_tables_and_nothing_else(readmes: dict[str, Path], capsys):
    record("threads.wrong", 0, origin=ORIGIN)
    record("vqa.minutes", 6.5, origin=ORIGIN, files=[_file("int8", 394_100)])
    assert results.main(["--readme"]) == 0
    for language, path in readmes.items():
        lines = path.read_text("utf-8").splitlines()
        assert [lines[0], lines[-1]] == ["before", "after"]
        assert "between" in lines
        assert "old" not in lines
        (row,) = [line for line in lines if "python -m tests.threads" in line]
        assert "| 0 wrong |" in row
        (row,) = [line for line in lines if "make demo" in line]
        assert "LiteRT int8 0.39 MB" in row
        missing = {"en": "not measured yet", "zh": "尚未测量"}
        assert missing[language] in path.read_text("utf-8")
        assert not any(said in path.read_text("utf-8") for other, said in missing.items() if other != language)
    assert results.main([]) == 0
    assert "threads.wrong" in capsys.readouterr().out


_PAIR = "<!-- results:proof:begin -->\n<!-- results:proof:end -->"


@pytest.mark.parametrize(
    "text", ["", "<!-- results:proof:begin -->", _PAIR, 2 * _PAIR, _PAIR + _PAIR.replace("proof", "other")]
)
def test_a_readme_without_its_markers_is_refused(text: str):
    with pytest.raises(ConfigError, match=r"README\.md: expected once each, in pairs"):
        readme.with_blocks(text, {})


# === The checkout ===


def test_the_file_of_the_checkout_holds_declared_numbers_and_their_present_bars():
    jsonschema.validate(json.loads(_results.RESULTS.read_text("utf-8")), SCHEMA)
    for name, result in read_results().items():
        declared = NUMBERS[name]
        again = f"{name} was measured against another bar or goal: run {declared.command}"
        assert (result.bar, result.goal) == (declared.bar, declared.goal), again


@pytest.mark.parametrize("language", list(readme.READMES))
def test_the_readme_holds_the_tables_of_the_file(language: str):
    path = readme.READMES[language]
    text = path.read_text("utf-8")
    again = f"{path.name} differs from docs/results.json: make readme"
    assert text == readme.with_blocks(text, read_results(), language), again


def test_bars_are_no_better_than_goals():
    assert all(number.goal is None or number.reaches(number.goal, number.bar) for number in NUMBERS.values())
    assert all((number.bar is None) == (number.goal is None) for number in NUMBERS.values())
