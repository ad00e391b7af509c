"""Worker processes that need neither the main module nor semaphores."""

from __future__ import annotations

import math
import os
import pickle
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from mmkeras.core.parallel import WorkerDied, WorkerPool

REPOSITORY = Path(__file__).resolve().parents[2]
# Neither a main guard nor a file: the whole program comes from standard input.
PROGRAM = """
import multiprocessing.synchronize, sys

def without_semaphores(*arguments, **options):
    raise OSError(38, "Function not implemented")

multiprocessing.synchronize.SemLock = without_semaphores
import math
from mmkeras.core.parallel import WorkerPool
with WorkerPool(2) as pool:
    results = [pool.submit(math.factorial, n) for n in range(6)]
    print([each.result() for each in results])
"""


def test_work_is_shared_by_processes_and_each_is_started_once(monkeypatch):
    monkeypatch.delenv("MMKERAS_TEST", raising=False)
    with WorkerPool(2, os.putenv, ("MMKERAS_TEST", "1")) as pool:
        assert [pool.submit(math.factorial, n).result() for n in range(5)] == [1, 1, 2, 6, 24]
        others = {pool.submit(os.getpid).result() for _ in range(20)}
    assert 1 <= len(others) <= 2
    assert os.getpid() not in others
    assert not any(Path(f"/proc/{pid}").exists() for pid in others)


def test_what_a_function_raises_or_prints_does_not_disturb_the_others(capfd):
    with WorkerPool(1) as pool:
        with pytest.raises(ValueError, match=r"math domain error|nonnegative"):
            pool.submit(math.sqrt, -1).result()
        with pytest.raises((pickle.PicklingError, AttributeError)):
            pool.submit(lambda: 1).result()
        assert pool.submit(print, "hello").result() is None
        assert pool.submit(math.sqrt, 4).result() == 2.0
    assert capfd.readouterr().err == "hello\n"


def test_a_worker_that_dies_is_an_error_that_says_how():
    with WorkerPool(1) as pool:
        with pytest.raises(WorkerDied, match="killed by SIGKILL"):
            pool.submit(os.kill, pool.submit(os.getpid).result(), signal.SIGKILL).result()
        with pytest.raises(WorkerDied):
            pool.submit(os.getpid).result()


def test_a_program_from_standard_input_without_main_guard_and_semaphores(tmp_path):
    environment = {**os.environ, "PYTHONPATH": str(REPOSITORY)}
    done = subprocess.run(
        [sys.executable, "-"], input=PROGRAM, capture_output=True, text=True, timeout=60, env=environment, cwd=tmp_path
    )
    assert (done.stdout, done.stderr) == ("[1, 1, 2, 6, 24, 120]\n", "")
