"""``python -m mmkeras``: the same as the console script ``mmkeras``."""

import sys

from mmkeras.runtime.cli import main

__all__: list[str] = []

if __name__ == "__main__":
    sys.exit(main())
