"""The launcher, with workers that are real processes and do nothing but end."""

from __future__ import annotations

import io
import os
import signal
import subprocess
import sys
import time

import pytest

from mmkeras.core.config import ClusterConfig
from mmkeras.core.console import Console
from mmkeras.core.errors import ConfigError
from mmkeras.training.cluster.launch import PEER_LOST, launch


def _worker(*lines: str) -> list[str]:
    """Return the command of a worker that runs lines which know their ``rank``."""
    start = "import json, os, sys, time; rank = json.loads(os.environ['TF_CONFIG'])['task']['index']"
    return [sys.executable, "-c", "\n".join([start, *lines])]


def _launch(command: list[str], workers: int = 3, grace: float = 20.0, **options) -> tuple[int, str]:
    console = Console(record=True, width=200, file=io.StringIO())
    config = ClusterConfig(workers=workers, heartbeat_seconds=1, **options)
    return launch(command, config, console, grace), " ".join(console.export_text().split())


def test_all_workers_run_with_an_address_of_their_own(tmp_path):
    status, _ = _launch(_worker(f"open(rf'{tmp_path}/{{rank}}', 'w').write(os.environ['TF_CONFIG'])"))
    assert status == 0
    written = [(tmp_path / str(rank)).read_text() for rank in range(3)]
    assert len({text.split('"task"')[0] for text in written}) == 1
    assert len(set(written)) == 3


def test_the_one_that_failed_by_itself_is_named_with_its_last_words():
    lines = f"if rank == 1: print('no space left'); sys.exit(2)\ntime.sleep(0.5)\nsys.exit({PEER_LOST})"
    status, text = _launch(_worker(lines))
    assert status == 2
    assert "Worker 1 printed last: no space left" in text
    assert "Worker 1 ended with status 2" in text


def test_a_killed_worker_is_named_and_those_that_hang_are_ended():
    began = time.monotonic()
    status, text = _launch(_worker("if rank == 2: os.kill(os.getpid(), 9)", "time.sleep(600)"), grace=0.0)
    assert status == 1
    assert "Worker 2 was ended by SIGKILL; all workers have stopped. Continue from the last checkpoint" in text
    assert time.monotonic() - began < 60


def test_signals_are_passed_on():
    command = _worker(
        "import signal",
        "signal.signal(signal.SIGINT, lambda *_: sys.exit(130))",
        "print('up', flush=True)",
        "time.sleep(600)",
    )
    program = f"""
import sys
from mmkeras.core.console import Console
from mmkeras.core.config import ClusterConfig
from mmkeras.training.cluster.launch import launch
sys.exit(launch({command!r}, ClusterConfig(workers=2), Console()))
"""
    with subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        while b"up" not in process.stdout.readline():
            pass
        time.sleep(0.5)  # the second worker's handler
        process.send_signal(signal.SIGINT)
        assert process.wait(timeout=60) == 130


def test_cores_are_shared_out(tmp_path):
    cores = len(os.sched_getaffinity(0))
    write = f"open(rf'{tmp_path}/{{rank}}', 'w').write(os.environ['MMKERAS_CORES'])"
    status, _ = _launch(_worker(write), workers=cores, pin=True)
    assert status == 0
    assert len({(tmp_path / str(rank)).read_text() for rank in range(cores)}) == cores
    with pytest.raises(ConfigError, match=f"{cores + 1} workers, but this process may use {cores} cores"):
        _launch(_worker(write), workers=cores + 1, pin=True)
