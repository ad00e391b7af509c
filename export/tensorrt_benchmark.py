"""``python -m export.tensorrt_benchmark BUNDLE``: builds, verifies and times its engines on this GPU."""

from __future__ import annotations

import sys

from export.to_tensorrt.benchmark import main

__all__ = ["main"]

if __name__ == "__main__":
    sys.exit(main())
