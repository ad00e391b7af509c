from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.bundle.archive.samples import packed
from tests.fuzz.__main__ import main
from tests.fuzz.damage.raw import DAMAGES
from tests.fuzz.packed import _outcome


def test_every_kind_of_damage_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    out = tmp_path / "bundle_fuzz.json"
    arguments = ["--bundle", str(packed(tmp_path)), "--inputs", "400", "--out", str(out)]
    assert main(arguments) == 0
    first = json.loads(out.read_text())
    assert (first["tried"], first["refused"]) == (400, 400)
    assert (first["unnamed"], first["accepted"], first["crashed"]) == (0, 0, 0)
    assert set(first["kinds"]) == set(DAMAGES)
    assert "tried 400, refused 400" in capsys.readouterr().out
    assert main(arguments) == 0
    assert json.loads(out.read_text()) == first


def test_a_bundle_that_is_damaged_already(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    (tmp_path / "x.mmk").write_bytes(b"PK")
    assert main(["--bundle", str(tmp_path / "x.mmk")]) == 2
    assert "ArchiveError" in capsys.readouterr().err


def test_what_is_accepted_would_be_counted(tmp_path: Path):
    """The judge of the damages must not call everything refused."""
    assert _outcome(packed(tmp_path), set()) == ("accepted", "")
    assert _outcome(tmp_path, set())[0] == "unnamed"
