"""What ``privacy.redact`` keeps out of what is written about samples."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import pytest

from mmkeras.core.errors import ConfigError, DataError
from mmkeras.data.quarantine import BadRow, check_share, write_report
from mmkeras.evaluation.samples import Samples
from mmkeras.storage.privacy import Redaction, recorded, redacting, redaction

pytestmark = pytest.mark.tfio

NAME, TEXT = "patients/ann-example.png", "Ann Example has a cough"


def samples() -> Samples:
    return Samples(
        inputs={"image": np.zeros((1, 2, 2, 3), np.uint8)},
        targets=np.zeros(1, np.int32),
        weights=np.ones(1, np.float32),
        keys=(NAME,),
        columns={"ward": np.asarray(["Ann's ward"])},
        raw=({"image": b"\x89PNG", "text": TEXT},),
    )


def test_nothing_is_hidden_by_default():
    assert samples().shown().raw[0]["text"] == TEXT
    assert not redaction().texts


def test_texts_are_hidden():
    with redacting("text"):
        shown = samples().shown()
    assert shown.raw[0] == {"image": b"\x89PNG", "text": "(text of 23 characters, redacted)"}
    assert shown.keys == (NAME,)
    assert shown.drawable


def test_everything_is_hidden_but_the_inputs():
    with redacting("all"):
        shown = samples().shown()
        again = samples().shown()
    assert shown.raw == ()
    assert not shown.drawable
    assert not shown.take(np.array([0])).drawable
    assert "ann" not in shown.keys[0]
    assert shown.keys == again.keys, "two reports can be compared"
    assert "Ann" not in shown.columns["ward"][0]
    assert shown.inputs["image"].shape == (1, 2, 2, 3)


@pytest.mark.parametrize("level", ["text", "all"])
def test_the_quarantine_quotes_nothing(tmp_path: Path, level: str):
    row = BadRow("t.csv:7", NAME, "train", "text", f"Expected a text with words, got {TEXT!r}.")
    report = tmp_path / "quarantine.csv"
    with redacting(level):  # type: ignore[arg-type]
        write_report(report, [row])
        with pytest.raises(DataError) as caught:
            check_share([row], 1, 1, 0.0, report)
    written = report.read_text("utf-8")
    assert "cough" not in written + str(caught.value)
    assert "t.csv:7" in written
    assert (NAME in written) == (level == "text")
    with report.open(newline="") as stream:
        assert next(csv.DictReader(stream))["reason"] == "Expected a text with words, got '...'."


def test_it_ends_with_its_block_and_knows_its_words():
    with pytest.raises(RuntimeError), redacting("all"):
        raise RuntimeError
    assert redaction() == Redaction("none")
    with pytest.raises(ConfigError, match=r"privacy\.redact: did you mean 'text'"):
        Redaction("txt")  # type: ignore[arg-type]


def test_a_message_of_any_length_is_done_in_time():
    for text in ("'" * 1_000_001, "'" + "\\" * 1_000_000, "a'" * 500_000):
        assert len(Redaction("text").message(text)) <= 10_000


@pytest.mark.parametrize("text", [TEXT, "Ann's cough", 'say "cough"', 'Ann\'s "cough"', "cough " * 40, "cough\n" * 3])
def test_quotations_of_any_kind(text: str):
    hidden = Redaction("text").message(f"row 7: can't read this, got {text!r:.80}")
    assert hidden == "row 7: can't read this, got '...'"


def test_a_message_about_a_sample_names_none_of_its_values():
    message = f"{NAME}: no such file; ann-example.png is not there, got {TEXT!r}"
    assert Redaction("none").about(message, [NAME, TEXT]) == message
    assert Redaction("text").about(message, [NAME, TEXT]) == message.replace(repr(TEXT), "'...'")
    hidden = Redaction("all").about(message, [NAME, TEXT, None, 7, ""])
    assert "ann" not in hidden
    assert hidden.startswith("(file): no such file; #")
    assert hidden.endswith("got '...'")


@pytest.mark.parametrize("level", ["text", "all"])
def test_the_quarantine_names_no_file_of_a_sample(tmp_path: Path, level: str):
    row = BadRow("t.csv:7", "7", "train", "image", "/ward 7/ann-example.png#3: no such file")
    with redacting(level):  # type: ignore[arg-type]
        write_report(tmp_path / "quarantine.csv", [row])
    written = (tmp_path / "quarantine.csv").read_text("utf-8")
    assert "no such file" in written
    assert "t.csv:7" in written
    assert ("ann-example" in written) == (level == "text")


def test_a_bundle_remembers_what_its_run_was_told():
    assert recorded({}) is recorded({"config": None}) is recorded({"config": {"privacy": {}}}) is None
    assert recorded({"config": {"privacy": {"redact": "text"}}}) == Redaction("text")
    for unknown in ("txt", None, ["all"]):
        assert recorded({"config": {"privacy": {"redact": unknown}}}) == Redaction("all")
