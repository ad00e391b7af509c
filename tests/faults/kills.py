"""Kills a stage at a random moment, runs it again, and compares what comes of it with an undisturbed run."""

from __future__ import annotations

import random
import shutil
import signal
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path

from mmkeras.core.errors import TrainingError
from tests.faults.artefacts import digests, leftovers
from tests.faults.stages import Stage, finish, launch, place

__all__ = ["Kill", "Undisturbed", "kill", "shared_out", "undisturbed"]

_TRIES = 12
_POLL = 0.01


@dataclass(frozen=True)
class Undisturbed:
    """A stage that nobody disturbed."""

    digests: dict[str, str]
    """Its artefacts."""
    first_write: float
    """Seconds from its start to the first thing that it wrote."""
    seconds: float
    """Seconds from its start to its end."""


@dataclass(frozen=True)
class Kill:
    """One stage that was killed and run again."""

    kind: str
    """The stage."""
    number: int
    """Of this kind, from 0."""
    moment: float
    """Seconds from the first thing written to the kill."""
    identical: bool
    """Whether all artefacts are those of the undisturbed run."""
    different: list[str]
    """Artefacts that are missing, surplus or different, or how the second run ended."""
    left: list[str]
    """What was left half-written or locked."""
    repeat: str
    """The command that does it again."""


def undisturbed(base: Path, stage: Stage) -> Undisturbed:
    """Run a stage in the base folder, where later stages find its outputs.

    Raises:
        TrainingError: it failed.
    """
    for name in stage.outputs:
        shutil.rmtree(base / name, ignore_errors=True)
    began = time.monotonic()
    process = launch(base, stage.command, f"{stage.name}.log")
    first = None
    while process.poll() is None:
        if first is None and _written(base, stage):
            first = time.monotonic() - began
        time.sleep(_POLL)
    seconds = time.monotonic() - began
    # The tiny bundle may miss a gate of accuracy: status 1.
    if process.returncode not in (0, 1) or not _written(base, stage):
        raise TrainingError(
            f"{stage.name}: ended with status {process.returncode} though nobody disturbed it; see "
            f"{base / f'{stage.name}.log'}"
        )
    found = {f"{name}/{key}": value for name in stage.outputs for key, value in digests(base / name).items()}
    return Undisturbed(found, seconds if first is None else first, seconds)


def kill(work: Path, stage: Stage, whole: Undisturbed, number: int, seed: int, moment: float | None = None) -> Kill:
    """Kill a stage once and run the same command again.

    Args:
        work: holds ``base`` and gets a folder for the attempt, which is kept where it fails.
        stage: what is killed.
        whole: the undisturbed run.
        number: of this kill.
        seed: with the number, of the moment.
        moment: seconds from the first thing written to the kill, in place of a random one.

    Raises:
        TrainingError: the stage always ended before it could be killed.
    """
    draw = random.Random(f"{seed} {stage.name} {number}")
    folder = work / f"{stage.name}-{number}"
    for attempt in range(_TRIES):
        # Where the machine is faster than it was, the process may end first: then earlier.
        share = draw.random() * 0.7**attempt
        chosen = share * (whole.seconds - whole.first_write) if moment is None else moment
        place(folder, work / "base", stage)
        if _killed(folder, stage, chosen):
            break
    else:
        raise TrainingError(f"{stage.name}: ended before it could be killed, {_TRIES} times; see {folder}")
    # Before anything is looked at: what the killed one wrote must not be in the way.
    status, _ = finish(folder, stage.command, "again.log")
    found = {f"{name}/{key}": value for name in stage.outputs for key, value in digests(folder / name).items()}
    names = sorted(found.keys() | whole.digests.keys())
    different = [name for name in names if found.get(name) != whole.digests.get(name)]
    if status not in (0, 1):
        different.insert(0, f"the second run ended with status {status}: again.log")
    left = [f"{name}/{each}" for name in stage.outputs for each in leftovers(folder / name)]
    repeat = f"python -m tests.faults --only kills --kinds {stage.name} --kills 1 --moment {chosen:.3f}"
    done = Kill(stage.name, number, chosen, not different, different, left, repeat)
    if done.identical and not left:
        shutil.rmtree(folder)
    else:
        (folder / "repeat.txt").write_text(f"{repeat}\n", encoding="utf-8")
    return done


def shared_out(total: int, names: list[str]) -> list[tuple[str, int]]:
    """Share kills out over kinds: (kind, number), in turns."""
    return [(names[position % len(names)], position // len(names)) for position in range(total)]


def _killed(folder: Path, stage: Stage, after: float) -> bool:
    """Start a stage and kill it so long after the first thing that it writes; return whether it had not ended."""
    process = launch(folder, stage.command, "killed.log")
    while process.poll() is None and not _written(folder, stage):
        time.sleep(_POLL)
    try:
        process.wait(timeout=after)
    except subprocess.TimeoutExpired:
        process.send_signal(signal.SIGKILL)
    return process.wait() == -signal.SIGKILL


def _written(folder: Path, stage: Stage) -> bool:
    return any(path.is_file() for name in stage.outputs for path in (folder / name).rglob("*"))
