from __future__ import annotations

import subprocess
import sys

from tests.conftest import REPOSITORY

_PROGRAM = """
import os, sys
from pathlib import Path
from mmkeras.core.console import Console
from rich.progress import track
from mmkeras.training.cluster.logs import keep_log

console = keep_log(Path(sys.argv[1]), Console({terminal}))
for _ in track(range(3), console=console, description="a bar"):
    pass
console.print("from the console")
if {terminal!r} == "":
    print("from Python")
    os.write(2, b"from C++\\n")
    raise SystemError("a crash")
"""


def _run(path, terminal: str = "") -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", _PROGRAM.format(terminal=terminal), str(path)]
    return subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True)


def test_everything_is_kept_and_still_heard(tmp_path):
    path = tmp_path / "workers" / "1" / "log.txt"
    for _ in range(2):
        done = _run(path)
        assert done.returncode == 1
        assert "from the console\nfrom Python\n" in done.stdout
        assert "from C++\n" in done.stderr
    kept = path.read_text()
    for line in ("from the console", "from Python", "from C++", "SystemError: a crash"):
        assert kept.count(line) == 2, line


def test_on_a_terminal_the_lines_are_kept_and_the_bars_are_not(tmp_path):
    done = _run(tmp_path / "log.txt", terminal="force_terminal=True")
    assert done.returncode == 0, done.stderr
    assert "a bar" in done.stdout
    assert (tmp_path / "log.txt").read_text() == "from the console\n"
