"""A clock that jumps, two processes at once, and a loss that is no number."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

from tests.faults.bench import Bench, check
from tests.faults.disks import Unavailable
from tests.faults.stages import finish, launch

__all__ = ["RUN_FAULTS"]


def _clock(bench: Bench) -> str:
    """Let the wall clock jump a day back in the middle of a training."""
    stage = bench.place("training")
    library = bench.folder / "clock.so"
    source = Path(__file__).with_name("clock.c")
    try:
        # Below Python: TensorFlow asks the system for the time itself.
        build = ["cc", "-shared", "-fPIC", "-O1", "-o", str(library), str(source), "-ldl"]
        subprocess.run(build, check=True, capture_output=True)
    except (OSError, subprocess.CalledProcessError) as error:
        raise Unavailable(f"no C compiler to make a clock that jumps: {error}") from None
    after = bench.whole["training"].first_write + 1.0
    environment = {"LD_PRELOAD": str(library), "FAULTS_JUMP_AFTER": f"{after:.1f}"}
    status, output = finish(bench.folder, stage.command, "log.txt", environment=environment)
    check(status == 0, f"ended with status {status}: {output[-300:]}")
    bench.same(stage)
    return f"a day back after {after:.0f} s: the same artefacts"


def _two_at_once(bench: Bench, kind: str) -> str:
    """Run a stage twice at once: both end, and the artefacts are those of one."""
    stage = bench.place(kind)
    processes = [launch(bench.folder, stage.command, f"{number}.log") for number in range(2)]
    try:
        statuses = [process.wait(timeout=900) for process in processes]
    finally:
        for process in processes:
            process.kill()
            process.wait()
    check(set(statuses) <= {0, 1}, f"ended with {statuses}")
    bench.same(stage)
    return "both end with the same artefacts"


def _two_resume(bench: Bench) -> str:
    """Go on with a run that another process is training: the second is refused, the first is not disturbed."""
    stage = bench.place("training")
    # So long that it cannot end meanwhile.
    command = (*stage.command, "--train.steps_per_epoch", "100000")
    again = ("pipelines.vqa", "--resume", "runs/tiny/latest")
    process = launch(bench.folder, command, "first.log")
    try:
        while process.poll() is None and not list(bench.folder.glob("runs/tiny/*/checkpoints/step-*")):
            time.sleep(0.05)
        said = bench.refused(again, "uses this run")
        check(process.poll() is None, "the first one has ended")
    finally:
        process.kill()
        process.wait()
    return said


def _not_a_number(bench: Bench) -> str:
    """Let the loss overflow: the batch is kept and its samples are named."""
    stage = bench.place("training")
    said = bench.refused((*stage.command, "--train.learning_rate", "1e38"), "The batch of that step is in")
    kept = list(bench.folder.glob("runs/tiny/latest/diverged-*.npz"))
    check(len(kept) == 1, f"the run holds {kept}")
    return said


RUN_FAULTS: dict[str, Callable[[Bench], str]] = {
    "clock jumps a day back": _clock,
    "two conversions at once": partial(_two_at_once, kind="conversion"),
    "two packings at once": partial(_two_at_once, kind="packing"),
    "two processes in one run": _two_resume,
    "loss is not a number": _not_a_number,
}
"""Faults of clocks, processes and numbers, by name."""
