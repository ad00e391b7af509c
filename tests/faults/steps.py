"""A program that writes three files as the stages do, whole or not at all; or as they must not.

python -m tests.faults.steps careful|careless <folder>
"""

from __future__ import annotations

import sys
import time
from collections.abc import Sequence
from pathlib import Path

from mmkeras.core.terminal import say, utf8_program
from mmkeras.storage.disk import explain
from mmkeras.storage.files import sweep, write_bytes
from tests.faults.stages import Stage

__all__ = ["main", "stage"]

_PARTS = 8


def stage(kind: str, way: str = "careful") -> Stage:
    """Return it as a stage."""
    return Stage(kind, ("tests.faults.steps", way, "made"), (), ("made",))


@utf8_program
def main(arguments: Sequence[str] | None = None) -> int:
    """Write; go on with what is there."""
    way, place = sys.argv[1:] if arguments is None else arguments
    folder = Path(place)
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
        say(f"Stopped: {explain(error)}")
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
