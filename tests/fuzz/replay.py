"""Reads one input that failed again, in this process, so that its traceback is seen."""

from __future__ import annotations

import json
import tempfile
from pathlib import Path

from mmkeras.core.console import Console
from mmkeras.core.errors import ConfigError, MmkerasError
from tests.fuzz.limits import limited
from tests.fuzz.reader import find_readers
from tests.fuzz.sample import Sample

__all__ = ["replay"]


def replay(folder: Path, memory: int, console: Console) -> int:
    """Read an input.

    Args:
        folder: as the fuzzer kept it: ``failure.json`` and ``files``.
        memory: MiB that it may take; what takes more ends in a MemoryError, not in the death of the machine.
        console: where the answer is shown.

    Returns:
        0 where it is read or refused by an error of mmkeras. Any other exception is let through.

    Raises:
        ConfigError: no such folder.
    """
    try:
        told = json.loads((folder / "failure.json").read_text("utf-8"))
        name = str(told["reader"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ConfigError(f"--replay {folder}: expected a folder with failure.json in it ({error!r})") from None
    reader = find_readers((name,))[name]
    kept = folder / "files"
    files = {path.relative_to(kept).as_posix(): path.read_bytes() for path in sorted(kept.rglob("*")) if path.is_file()}
    with tempfile.TemporaryDirectory(prefix="mmkeras-fuzz-") as scratch:
        path = Sample(reader, Path(scratch) / name).put(files)
        console.print(f"{name}: {', '.join(files)}", markup=False)
        try:
            with limited(memory):
                reader.read(path)
        except MmkerasError as error:
            console.print(f"refused: {type(error).__name__}: {str(error)[:2000]}", markup=False)
            return 0
    console.print("read without an error")
    return 0
