"""The end of a pipeline: runs the exported model in a fresh process, and shows the commands."""

from __future__ import annotations

import os
import shlex
import subprocess
import sys
from pathlib import Path

from mmkeras.core.console import Console

__all__ = ["show_answer"]


def show_answer(bundle: Path, console: Console) -> None:
    """Run the exported model in a fresh process, which never loads TensorFlow, and show the commands."""
    from mmkeras.bundle import Bundle

    opened = Bundle.open(bundle)
    raw = next(iter(opened.golden_raw()), None)
    shown = os.path.relpath(bundle)
    commands = [["selftest", shown], ["benchmark", shown]]
    if raw is not None:  # else privacy.redact keeps samples out of the bundle
        given = [part for name, value in raw.items() if value is not None for part in (f"--{name}", _shown(value))]
        commands.insert(0, ["predict", shown, *given])
    for command in commands:
        console.print(f"\n$ mmkeras {shlex.join(command)}", style="bold", highlight=False, soft_wrap=True)
        console.file.flush()
        subprocess.run([sys.executable, "-m", "mmkeras", *command], check=False)


def _shown(value: object) -> str:
    return os.path.relpath(value) if isinstance(value, Path) else str(value)
