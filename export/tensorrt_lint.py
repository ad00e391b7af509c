"""``python -m export.tensorrt_lint FILE.onnx``: checks whether TensorRT accepts a file."""

from __future__ import annotations

import sys

from export.to_tensorrt.lint import main

__all__ = ["main"]

if __name__ == "__main__":
    sys.exit(main())
