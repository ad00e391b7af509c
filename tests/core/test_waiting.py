"""No wait is silent: what is waited for is printed after a while."""

from __future__ import annotations

import os
import subprocess
import sys
import threading

import pytest

import mmkeras.core.waiting
from mmkeras.core.waiting import waiting
from mmkeras.storage.files import locked


@pytest.fixture(autouse=True)
def _soon(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(mmkeras.core.waiting, "AFTER_SECONDS", 0.05)
    monkeypatch.setattr(mmkeras.core.waiting, "AGAIN_SECONDS", 0.05)


def test_a_long_wait_is_told_again_and_a_short_one_is_not(capsys):
    said: list[str] = []
    with waiting("Waiting for nothing.", said.append):
        pass
    assert said == []
    enough = threading.Event()

    def say(line: str) -> None:
        said.append(line)
        if len(said) == 2:
            enough.set()

    with waiting("Waiting for a test.", say):
        assert enough.wait(10)
    assert all(line.startswith("Waiting for a test. (") for line in said)
    with waiting("On standard error."):
        threading.Event().wait(0.2)
    assert "On standard error. (" in capsys.readouterr().err


def test_a_lock_names_the_process_that_holds_it_and_is_taken_afterwards(tmp_path):
    path = tmp_path / "data.lock"
    code = (
        "import sys; from pathlib import Path; from mmkeras.storage.files import locked\n"
        "with locked(Path(sys.argv[1]), 'which sleeps'): print('held', flush=True); sys.stdin.read()"
    )
    said: list[str] = []
    with subprocess.Popen(
        [sys.executable, "-c", code, str(path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as other:
        assert other.stdin is not None
        assert other.stdout is not None
        assert other.stdout.readline() == b"held\n"

        def say(line: str) -> None:
            said.append(line)
            other.stdin.close()  # type: ignore[union-attr]

        with locked(path, "which sleeps", say):
            assert path.read_text().startswith(f"process {os.getpid()} on ")
    assert said[0].startswith(f"Waiting for process {other.pid} on ")
    assert f"which sleeps; it holds {path}." in said[0]
    assert not path.exists()


def test_two_threads_of_one_process_wait_for_each_other(tmp_path):
    path, order = tmp_path / "data.lock", []

    def second() -> None:
        with locked(path, "which counts", lambda line: None):
            order.append("second")

    with locked(path, "which counts"):
        thread = threading.Thread(target=second)
        thread.start()
        threading.Event().wait(0.1)
        order.append("first")
    thread.join(10)
    assert order == ["first", "second"]
