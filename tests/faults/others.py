"""Faults other than kills, each made for real: disks, shards, the clock, two at once, a loss that is no number."""

from __future__ import annotations

import re
import shutil
import subprocess
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from tests.faults.bench import Bench, Unmet
from tests.faults.disk_faults import DISK_FAULTS
from tests.faults.disks import Unavailable
from tests.faults.kills import Undisturbed
from tests.faults.run_faults import RUN_FAULTS
from tests.faults.shard_faults import SHARD_FAULTS
from tests.faults.stages import STAGES, Stage

__all__ = ["FAULTS", "Verdict", "judge"]

FAULTS: dict[str, Callable[[Bench], str]] = {**DISK_FAULTS, **SHARD_FAULTS, **RUN_FAULTS}
"""What is made, by name; each returns what the user was told."""


@dataclass(frozen=True)
class Verdict:
    """What became of a fault."""

    fault: str
    """Its name."""
    verdict: str
    """``passed``, ``failed`` or ``skipped``."""
    said: str
    """The message that the user got, or why it failed or was skipped."""


def judge(name: str, work: Path, whole: dict[str, Undisturbed], stages: Mapping[str, Stage] = STAGES) -> Verdict:
    """Make one fault and judge the answer; the folder of a failure is kept.

    Args:
        name: one of `FAULTS`.
        work: holds ``base``.
        whole: the undisturbed stages.
        stages: what runs, by name.
    """
    bench = Bench(work / re.sub(r"\W+", "-", name), work / "base", whole, stages)
    try:
        said = FAULTS[name](bench)
    except Unavailable as error:
        return Verdict(name, "skipped", str(error))
    except (Unmet, OSError, ValueError, subprocess.SubprocessError) as error:
        return Verdict(name, "failed", f"{error} (see {bench.folder})")
    shutil.rmtree(bench.folder, ignore_errors=True)
    return Verdict(name, "passed", said)
