"""Builds the wheel from a copy of the checkout, and runs programs that must not see the checkout."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

__all__ = ["ROOT", "build_wheel", "run_outside"]

ROOT = Path(__file__).resolve().parent.parent
"""The checkout."""


def run_outside(command: Sequence[object], cwd: Path) -> subprocess.CompletedProcess[str]:
    """Run a program whose Python cannot import the checkout."""
    environment = {key: value for key, value in os.environ.items() if key not in ("PYTHONPATH", "VIRTUAL_ENV")}
    return subprocess.run(
        [str(part) for part in command], capture_output=True, text=True, check=False, cwd=cwd, env=environment
    )


def build_wheel(folder: Path) -> Path:
    """Build the wheel into a folder and return its path.

    Raises:
        RuntimeError: the build failed.
    """
    source = folder / "source"
    for name in ("mmkeras", "export", "pipelines"):
        shutil.copytree(ROOT / name, source / name, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, source)
    done = run_outside([sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", folder, source], source)
    if done.returncode:
        raise RuntimeError(done.stdout + done.stderr)
    (built,) = folder.glob("*.whl")
    return built
