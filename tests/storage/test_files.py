"""Files and folders in use, and what the dead have left."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from mmkeras.storage.files import claim, held, sweep, write_json

pytestmark = pytest.mark.tfio


def test_a_claim_ends_with_its_process(tmp_path):
    folder = tmp_path / "work"
    folder.mkdir()
    code = (
        "import sys; from pathlib import Path; from mmkeras.storage.files import claim; "
        "claim(Path(sys.argv[1])); print('claimed', flush=True); sys.stdin.read()"
    )
    command = [sys.executable, "-c", code, str(folder)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as other:
        assert other.stdout is not None
        assert other.stdout.readline() == b"claimed\n"
        with pytest.raises(BlockingIOError):
            claim(folder)
        sweep([folder])
        assert folder.is_dir()
        other.kill()
    os.close(claim(folder))
    sweep([folder, tmp_path / "nowhere"])
    assert not folder.exists()


def test_what_this_process_holds_is_not_swept(tmp_path):
    path = tmp_path / "half.tmp"
    path.write_text("half")
    with held(path):
        sweep([path])
        assert path.exists()
        with held(path):
            pass
    sweep([path])
    assert not path.exists()


def test_a_file_that_cannot_be_written_leaves_the_old_one(tmp_path):
    path = write_json(tmp_path / "a.json", {"a": 1})
    with pytest.raises(ValueError, match="Out of range"):
        write_json(path, {"a": float("nan")})
    assert path.read_text() == '{\n  "a": 1\n}\n'
    assert list(tmp_path.iterdir()) == [path]
