"""Runs ONNX files with ONNX Runtime: on the CPU, or with CUDA or TensorRT if its package has them."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from mmkeras.core.errors import DependencyError, require
from mmkeras.modalities import TensorSpec
from mmkeras.runtime.runner import RunnerBase

__all__ = ["Runner"]

_PROVIDERS = {
    "cpu": ("CPUExecutionProvider",),
    "cuda": ("CUDAExecutionProvider", "CPUExecutionProvider"),
    "tensorrt": ("TensorrtExecutionProvider", "CUDAExecutionProvider", "CPUExecutionProvider"),
}
_DTYPES = {"float": "float32", "double": "float64"}


class Runner(RunnerBase):
    """Runs an ONNX file; the first dimension of its inputs decides which batch sizes it takes."""

    format = "onnx"
    engine = "ONNX Runtime"
    module = "onnxruntime"
    extra = "onnx"
    package = "onnxruntime"
    rank = 1
    devices = ("cpu", "cuda", "tensorrt")
    # Its documentation allows parallel calls of Run on one session; its TensorRT provider shares one context.
    concurrent = ("cpu", "cuda")

    _session: Any = None

    def _load(self) -> None:
        ort = require("onnxruntime", self.extra, self.package)
        provider = _PROVIDERS[self.device][0]
        if provider not in ort.get_available_providers():
            raise DependencyError(
                f"This onnxruntime has no {provider}: expected it for device {self.device!r}, got "
                f"{', '.join(ort.get_available_providers())}. Install onnxruntime-gpu in its place."
            )
        options = ort.SessionOptions()
        options.intra_op_num_threads = self.threads
        options.inter_op_num_threads = 1
        options.log_severity_level = 3
        if self.device == "cpu":
            # Without this it quantises activations that the file keeps in float, and int8 runs at half the speed of
            # float. TensorRT and CUDA need QuantizeLinear and DequantizeLinear unchanged.
            options.add_session_config_entry("session.disable_quant_qdq", "1")
        try:
            source = _path_or_content(self.path)
            self._session = ort.InferenceSession(source, options, providers=_PROVIDERS[self.device])
        except Exception as error:  # its exceptions derive directly from Exception
            raise RuntimeError(str(error)) from error
        if self._session.get_providers()[0] != provider:
            # ONNX Runtime only logs that it fell back to another provider.
            raise DependencyError(
                f"{provider} could not start and ONNX Runtime fell back to {self._session.get_providers()[0]}. "
                "Check the driver and the CUDA libraries, or use the device 'cpu'."
            )
        given = self._session.get_inputs()
        first = given[0].shape[0]
        self.batch = first if isinstance(first, int) else None
        self.outputs = tuple(output.name for output in self._session.get_outputs())
        self.inputs = tuple(
            TensorSpec(item.name, tuple(item.shape[1:]), _DTYPES.get(kind := item.type[len("tensor(") : -1], kind))
            for item in given
        )

    def _unload(self) -> None:
        self._session = None

    def _run(self, inputs: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        # In this order: another thread may close the runner meanwhile, which removes the session first.
        names = self.outputs
        session = self._session
        if session is None:
            raise self._not_loaded()
        return dict(zip(names, session.run(None, inputs), strict=True))


def _path_or_content(path: Path) -> str | bytes:
    """Return the source of a session: the path, or the file's content if the locale cannot decode the path."""
    try:
        str(path).encode()
    except UnicodeEncodeError:
        return path.read_bytes()
    return str(path)
