"""From an empty environment and the wheel to a verified bundle: python -m tests.bench.first_bundle [--record].

The wheel and what it needs are downloaded first, which does not count. Then the clock runs: make the environment,
install, `mmkeras fit` on a generated table of 1,000 rows with a picture, a text and two numbers. The bundle must pass
its self-test, and its model must have learnt the rule of the table.
"""

from __future__ import annotations

import argparse
import csv
import json
import resource
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from mmkeras.core.errors import MmkerasError, TrainingError
from mmkeras.core.terminal import say, utf8_program
from pipelines._stages.results import record
from tests.toys.tables import picture
from tests.wheels import ROOT, build_wheel, run_outside

__all__ = ["main", "write_table"]

_LEARNT = 0.9
"""Accuracy below which the model has not learnt the rule."""
_WORDS = ("cough", "fever", "pain", "since", "monday", "night", "left", "arm", "no", "better")


def write_table(folder: Path, rows: int) -> Path:
    """Write a table in which a red picture and an age above 50 together mean ``yes``."""
    rng = np.random.default_rng(0)
    (folder / "pictures").mkdir(parents=True)
    with (folder / "samples.csv").open("w", newline="", encoding="utf-8") as stream:
        writer = csv.writer(stream)
        writer.writerow(["scan", "note", "age", "size", "sick"])
        for row in range(rows):
            colour, age = str(rng.choice(["red", "blue"])), int(rng.integers(20, 80))
            name = picture(folder / "pictures" / f"{row}.png", colour, row)
            sick = "yes" if colour == "red" and age > 50 else "no"
            size = round(float(rng.normal(170, 10)), 1)
            writer.writerow([f"pictures/{name}", " ".join(rng.choice(_WORDS, 8)), age, size, sick])
    return folder / "samples.csv"


@utf8_program
def main(arguments: Sequence[str] | None = None) -> int:
    """Measure, print, and return the exit status."""
    parser = argparse.ArgumentParser("python -m tests.bench.first_bundle", description=(__doc__ or "").split(":")[0])
    parser.add_argument("--rows", type=int, default=1000, help="rows of the table")
    parser.add_argument("--record", action="store_true", help="write fit.minutes into docs/results.json")
    given = parser.parse_args(sys.argv[1:] if arguments is None else list(arguments))
    try:
        with tempfile.TemporaryDirectory(prefix="mmkeras-first-") as place:
            install, fit, cpu = _measure(Path(place), given.rows)
        minutes = (install + fit) / 60
        say(f"install {install:.0f} s, fit {fit:.0f} s: {minutes:.2f} min, of which CPU {cpu / 60:.2f} min")
        if given.record:
            result = record("fit.minutes", minutes)
            say(f"recorded fit.minutes: {result.value:.2f} (bar {result.bar:g}, goal {result.goal:g})")
    except MmkerasError as error:
        say(f"{type(error).__name__}: {error}", to=sys.stderr)
        return 2
    return 0


def _measure(folder: Path, rows: int) -> tuple[float, float, float]:
    """Return the seconds of installation and fit, and the CPU seconds of both.

    Raises:
        TrainingError: a step failed, or the bundle is not what it must be.
    """
    wheel = build_wheel(folder / "dist")
    write_table(folder / "work", rows)
    what = f"{wheel}[train,export]"
    constraints = ["--constraint", ROOT / "constraints.txt"]
    pip = ["-m", "pip", "--disable-pip-version-check"]
    _done([sys.executable, *pip, "download", "--quiet", *constraints, "--dest", folder / "wheels", what], folder)
    before, began = _cpu(), time.monotonic()
    _done([sys.executable, "-m", "venv", folder / "venv"], folder)
    python = folder / "venv" / "bin" / "python"
    local = ["--no-index", "--find-links", folder / "wheels"]
    _done([python, *pip, "install", "--quiet", *local, *constraints, what], folder)
    installed = time.monotonic()
    mmkeras = python.parent / "mmkeras"
    # Status 1: a file missed its gate, which a test split of 100 rows may cause; the others are the bundle.
    _done([mmkeras, "fit", "samples.csv", "--target", "sick"], folder / "work", accepted=(0, 1))
    ended, cpu = time.monotonic(), _cpu() - before
    _done([mmkeras, "selftest", "saved_models/samples"], folder / "work")
    manifest = json.loads((folder / "work/saved_models/samples/1/manifest.json").read_text("utf-8"))
    refused = [file["path"] for file in manifest["files"] if not file["accepted"]]
    say(f"{len(manifest['files']) - len(refused)} of {len(manifest['files'])} files accepted {' '.join(refused)}")
    metrics = json.loads((folder / "work/runs/samples/latest/metrics.json").read_text("utf-8"))
    if (accuracy := metrics["test"]["accuracy"]["value"]) < _LEARNT:
        raise TrainingError(f"accuracy {accuracy:.3f}: expected at least {_LEARNT}, so the time means nothing")
    return installed - began, ended - installed, cpu


def _done(command: Sequence[object], cwd: Path, accepted: Sequence[int] = (0,)) -> None:
    done = run_outside(command, cwd)
    if done.returncode not in accepted:
        raise TrainingError(f"{' '.join(map(str, command))}\n{done.stdout[-2000:]}\n{done.stderr[-2000:]}")


def _cpu() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


if __name__ == "__main__":
    sys.exit(main())
