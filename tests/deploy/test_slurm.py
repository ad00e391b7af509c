"""The batch script, run by bash with an ``srun`` that sets what Slurm sets and starts the tasks on this machine."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from mmkeras.training.cluster.launch import PEER_LOST
from tests.conftest import REPOSITORY
from tests.pipelines.conftest import Place, place

__all__ = ["place"]

SCRIPT = REPOSITORY / "deploy" / "slurm" / "train.sbatch"

_SRUN = f"""#!{sys.executable}
import os, subprocess, sys
arguments = sys.argv[1:]
own = next(i for i, a in enumerate(arguments) if not a.startswith("--"))
options, command = arguments[:own], arguments[own:]
name = next(o.split("=", 1)[1] for o in options if o.startswith("--output="))
job = os.environ["SLURM_JOB_ID"]
tasks = []
for rank in range(2):
    step = dict(SLURM_STEP_NUM_TASKS="2", SLURM_STEP_NODELIST="127.0.0.[1-2]", SLURM_STEP_TASKS_PER_NODE="1(x2)",
                SLURM_PROCID=str(rank), SLURM_LOCALID="0", SLURM_DISTRIBUTION="block")
    log = open(name.replace("%j", job).replace("%t", str(rank)), "ab")
    tasks.append(subprocess.Popen(command, env=dict(os.environ, **step), stdout=log, stderr=log))
import signal
signal.signal(signal.SIGTERM, lambda *_: [task.send_signal(signal.SIGTERM) for task in tasks])
codes = [task.wait() for task in tasks]
sys.exit(max(128 - code if code < 0 else code for code in codes))
"""
_SCONTROL = '#!/bin/sh\necho "$@" >> requeued\n'


@pytest.fixture
def slurm(tmp_path):
    """A submit folder and an environment with Slurm's commands."""
    for name, text in (("srun", _SRUN), ("scontrol", _SCONTROL)):
        path = tmp_path / "bin" / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(text)
        path.chmod(0o755)
    folder = tmp_path / "submitted"
    folder.mkdir()
    environment = {
        **os.environ,
        "PATH": f"{tmp_path / 'bin'}:{os.environ['PATH']}",
        "PYTHON": sys.executable,
        "PYTHONPATH": str(REPOSITORY),
        "SLURM_JOB_ID": "4711",
        "SLURM_SUBMIT_DIR": str(folder),
    }
    return folder, environment


def _ends_with(slurm: tuple[Path, dict[str, str]], program: str, **more: str) -> tuple[int, bool]:
    """Run the script with a worker that is a small program; return its status, and whether the job is queued again."""
    folder, environment = slurm
    (folder / "worker.py").write_text(f"import os, sys, time\nrank = int(os.environ['SLURM_PROCID'])\n{program}\n")
    environment = {**environment, "PIPELINE": "worker", "PYTHONPATH": str(folder), **more}
    status = subprocess.run(["bash", str(SCRIPT), "--config", "a b.toml"], env=environment, timeout=60).returncode
    return status, (folder / "requeued").exists()


def test_directives_are_those_that_slurm_knows():
    text = SCRIPT.read_text()
    names = re.findall(r"^#SBATCH --([a-z-]+)(?:=\S+)?$", text, re.MULTILINE)
    known = "job-name nodes ntasks-per-node gpus-per-node cpus-per-task time signal requeue open-mode output"
    assert set(names) <= set(known.split())
    assert len(names) == text.count("#SBATCH")
    assert os.access(SCRIPT, os.X_OK)
    # Slurm reads no directive after the first command.
    assert text.rindex("#SBATCH") < text.index("\nset ")


def test_workers_get_every_argument_and_a_log_each(slurm):
    status, again = _ends_with(slurm, "print(rank, sys.argv[1:])")
    assert (status, again) == (0, False)
    for rank in range(2):
        written = (slurm[0] / f"slurm-4711-{rank}.log").read_text().strip()
        assert written == f"{rank} ['--cluster.resume_unfinished', 'true', '--config', 'a b.toml']"


@pytest.mark.parametrize(
    ("program", "status", "again"),
    [
        ("sys.exit(130)", 0, True),
        (f"sys.exit(2 if rank else {PEER_LOST})", PEER_LOST, False),
        (f"os.kill(os.getpid(), 9) if rank else sys.exit({PEER_LOST})", 0, True),
        ("sys.exit(1)", 1, False),
    ],
)
def test_what_is_queued_again(slurm, program, status, again):
    assert _ends_with(slurm, program) == (status, again)


def test_it_is_not_queued_again_for_ever(slurm):
    assert _ends_with(slurm, "sys.exit(130)", SLURM_RESTART_COUNT="50") == (130, False)


@pytest.mark.slow
def test_a_real_training_is_stopped_in_time_and_goes_on_when_it_is_queued_again(slurm, place: Place):
    folder, environment = slurm
    arguments = place.arguments("slurm", "--cluster.port", "29411")[1:]
    with subprocess.Popen(["bash", str(SCRIPT), *arguments], env=environment, start_new_session=True) as job:
        deadline = time.monotonic() + 300
        while not list(place.folder.glob("runs/slurm/*/checkpoints/step-*")):
            assert job.poll() is None, (folder / "slurm-4711-0.log").read_text()
            assert time.monotonic() < deadline
            time.sleep(0.05)
        os.killpg(job.pid, signal.SIGTERM)
        assert job.wait(timeout=120) == 0
    assert (folder / "requeued").read_text() == "requeue 4711\n"
    again = subprocess.run(
        ["bash", str(SCRIPT), *arguments], env={**environment, "SLURM_RESTART_COUNT": "1"}, timeout=600
    )
    assert again.returncode == 0, (folder / "slurm-4711-0.log").read_text()
    from tests.cluster.trained import largest_difference

    assert largest_difference(place.run("undisturbed"), place.run("slurm")).relative < 1e-5
