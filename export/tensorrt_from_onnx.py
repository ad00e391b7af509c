"""``python -m export.tensorrt_from_onnx FILE.onnx``: builds a TensorRT engine on the device that runs it."""

from __future__ import annotations

import sys

from export.to_tensorrt.tensorrt_from_onnx import main

__all__ = ["main"]

if __name__ == "__main__":
    sys.exit(main())
