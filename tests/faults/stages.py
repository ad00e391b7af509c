"""The four stages that are killed: what runs, what it needs, and where its artefacts lie.

Every attempt has a folder of its own in which the stage runs, with relative paths, so that artefacts can be compared
byte for byte.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

__all__ = ["CONFIG", "STAGES", "Stage", "finish", "keep_code", "launch", "place"]

CONFIG = Path(__file__).parent / "tiny.toml"
_ROOT = Path(__file__).resolve().parents[2]
_CODE = ("mmkeras", "export", "pipelines", "tests")
_SET = ("--config", CONFIG.name)


@dataclass(frozen=True)
class Stage:
    """A command that is started, killed and started again."""

    name: str
    """``conversion``, ``training``, ``export`` or ``packing``."""
    command: tuple[str, ...]
    """Module and options; the same command goes on with what was left."""
    needs: tuple[str, ...]
    """What it reads, from the folder of the undisturbed run."""
    outputs: tuple[str, ...]
    """What it writes."""


STAGES = {
    stage.name: stage
    for stage in (
        Stage(
            "conversion",
            # Pictures too, and enough rows for worker processes.
            (
                *("tests.faults.conversion", *_SET, "--model.without", "[]", "--data.folder", "converted"),
                *("--data.limit", "400", "--data.samples_per_shard", "64"),
            ),
            (),
            ("converted",),
        ),
        Stage(
            "training",
            ("pipelines.vqa", *_SET, "--skip_export", "--cluster.resume_unfinished", "true"),
            ("data",),
            ("runs",),
        ),
        Stage(
            "export",
            (
                *("export", "runs/tiny/latest", "--formats", "saved_model", "tflite", "onnx"),
                *("--precisions", "float32", "--samples", "16", "--out", "saved_models"),
            ),
            ("data", "runs"),
            ("saved_models",),
        ),
        Stage(
            "packing",
            ("mmkeras", "pack", "saved_models/tiny/1", "--include", "saved_model", "--out", "packed/tiny.mmk"),
            ("saved_models",),
            ("packed",),
        ),
    )
}


def keep_code(work: Path) -> bool:
    """Copy the programs into a measurement's folder, from which all its stages are then run.

    Returns:
        Whether they are those of the checkout; a measurement that goes on keeps to the programs that it began with.
    """
    if (work / "code").is_dir():
        copies = {path: _ROOT / path.relative_to(work / "code") for path in (work / "code").rglob("*.py")}
        return all(path.is_file() and path.read_bytes() == copy.read_bytes() for copy, path in copies.items())
    aside = work / "code.tmp"
    shutil.rmtree(aside, ignore_errors=True)
    for name in _CODE:
        shutil.copytree(_ROOT / name, aside / name, ignore=shutil.ignore_patterns("__pycache__"))
    os.replace(aside, work / "code")
    return True


def place(folder: Path, base: Path, stage: Stage) -> None:
    """Make an attempt's folder with what the stage needs."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    shutil.copy(CONFIG, folder)
    for name in stage.needs:
        shutil.copytree(base / name, folder / name, symlinks=True)


def launch(
    folder: Path,
    command: Sequence[str],
    log: str,
    *,
    environment: Mapping[str, str] | None = None,
    largest_file: int | None = None,
) -> subprocess.Popen[bytes]:
    """Start a stage's command in a folder.

    Args:
        folder: working directory.
        command: module and options.
        log: file in the folder that its output is appended to.
        environment: further variables.
        largest_file: bytes that a file may have (``ulimit -f``).
    """

    def limit() -> None:
        import resource

        if largest_file is not None:
            resource.setrlimit(resource.RLIMIT_FSIZE, (largest_file, largest_file))

    # The code as it was when the measurement began: a checkout changes, and what is packed holds code.
    kept = next((each / "code" for each in folder.parents if (each / "code").is_dir()), _ROOT)
    paths = os.pathsep.join(filter(None, (str(kept), os.environ.get("PYTHONPATH"))))
    variables = {**os.environ, "PYTHONPATH": paths, "TF_CPP_MIN_LOG_LEVEL": "3", "PYTHONUNBUFFERED": "1"}
    with (folder / log).open("ab") as output:
        return subprocess.Popen(
            [sys.executable, "-m", *command],
            cwd=folder,
            env={**variables, **(environment or {})},
            stdout=output,
            stderr=subprocess.STDOUT,
            preexec_fn=limit,
            start_new_session=True,
        )


def finish(
    folder: Path, command: Sequence[str], log: str, *, timeout: float = 900, **options: object
) -> tuple[int, str]:
    """Run a command to its end; return its status and what it printed."""
    before = (folder / log).stat().st_size if (folder / log).exists() else 0
    process = launch(folder, command, log, **options)  # type: ignore[arg-type]
    try:
        status = process.wait(timeout=timeout)
    finally:
        process.kill()
        process.wait()
    with (folder / log).open("rb") as output:
        output.seek(before)
        return status, output.read().decode("utf-8", errors="replace")
