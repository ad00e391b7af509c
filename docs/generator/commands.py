"""The help texts of the commands, as the commands print them."""

from __future__ import annotations

import functools
import os
import subprocess
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from mmkeras.runtime.cli import COMMANDS
from mmkeras.runtime.verbs import TRAINING

__all__ = ["FURTHER", "ROOT", "VERBS", "command", "commands"]

ROOT = Path(__file__).resolve().parents[2]
"""The checkout."""
VERBS = (*TRAINING, *COMMANDS)
"""Every command of ``mmkeras``."""
FURTHER = ("export doctor", "export fine-tune")
"""Commands of a command."""
_COLUMNS = "96"


@functools.cache
def command(verb: str) -> str:
    """Return the help text of a command as a code block.

    Args:
        verb: such as ``predict`` or ``export doctor``.

    Raises:
        ValueError: the command fails, or its help names a folder of this machine.
    """
    environment = {**os.environ, "COLUMNS": _COLUMNS, "NO_COLOR": "1", "PYTHONPATH": str(ROOT)}
    with tempfile.TemporaryDirectory() as folder:
        done = subprocess.run(
            [sys.executable, "-m", "mmkeras", *verb.split(), "--help"],
            capture_output=True, text=True, check=False, cwd=folder, env=environment,
        )  # fmt: skip
    if done.returncode:
        raise ValueError(f"mmkeras {verb} --help: status {done.returncode}: {done.stderr[-500:]}")
    if str(ROOT) in done.stdout:
        raise ValueError(f"mmkeras {verb} --help: names the folder of the checkout")
    return f"```text\n{done.stdout.strip()}\n```"


def commands(*verbs: str) -> str:
    """Return a section with the help text of each command; of all when none is named."""
    wanted = verbs or (*VERBS, *FURTHER)
    with ThreadPoolExecutor() as pool:
        texts = list(pool.map(command, wanted))
    return "\n\n".join(f"## mmkeras {verb}\n\n{text}" for verb, text in zip(wanted, texts, strict=True))
