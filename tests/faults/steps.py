"""A program that writes three files as the stages do, whole or not at all; or as they must not.

python -m tests.faults.steps careful|careless <folder>
"""

from __future__ import annotations

import sys
import time
from pathlib import Path

from mmkeras.storage.disk import explain
from mmkeras.storage.files import sweep, write_bytes
from tests.faults.stages import Stage

__all__ = ["main", "stage"]

_PARTS = 8


def stage(kind: str, way: str = "careful") -> Stage:
    """Return it as a stage."""
    return Stage(kind, ("tests.faults.steps", way, "made"), (), ("made",))


def main(arguments: list[str]) -> int:
    """Write; go on with what is there."""
    way, folder = arguments[0], Path(arguments[1])
    try:
        sweep(folder.glob(".*.tmp"))
        for number in range(3):
            path = folder / f"{number}.bin"
            if path.exists():
                continue
            if way == "careful":
                time.sleep(0.1)
                write_bytes(path, bytes([number]) * 20_000)
                continue
            folder.mkdir(exist_ok=True)
            with path.open("wb") as file:
                for _ in range(_PARTS):
                    file.write(bytes([number]) * 2_500)
                    file.flush()
                    time.sleep(0.05)
    except OSError as error:
        print(f"Stopped: {explain(error)}")
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
