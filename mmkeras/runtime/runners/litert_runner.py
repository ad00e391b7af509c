"""Runs LiteRT files (``.tflite``) on the CPU with the package ai-edge-litert."""

from __future__ import annotations

import os
from collections.abc import Mapping
from importlib.metadata import PackageNotFoundError, version
from typing import Any

import numpy as np

from mmkeras.core.errors import require
from mmkeras.modalities import TensorSpec
from mmkeras.runtime.runner import RunnerBase
from mmkeras.storage.litert_file import needed_runtime

__all__ = ["Runner"]


class Runner(RunnerBase):
    """Runs a LiteRT file; inputs and outputs have the names of its signature, or tensor names without one."""

    format = "tflite"
    engine = "LiteRT"
    module = "ai_edge_litert"
    extra = "litert"
    package = "ai-edge-litert"
    rank = 0

    _interpreter: Any = None

    def _load(self) -> None:
        litert = require("ai_edge_litert.interpreter", self.extra, self.package)
        # As bytes: a path that the locale cannot decode is not valid Unicode.
        self._interpreter = litert.Interpreter(os.fsencode(self.path), num_threads=self.threads)
        self._interpreter.allocate_tensors()
        signatures = self._interpreter.get_signature_list()
        if signatures:
            # The signature has the model's names and order; get_input_details() has others.
            signature = self._interpreter.get_signature_runner(next(iter(signatures)))
            given, results = signature.get_input_details(), signature.get_output_details()
        else:
            given = {detail["name"]: detail for detail in self._interpreter.get_input_details()}
            results = {detail["name"]: detail for detail in self._interpreter.get_output_details()}
        self._results = {name: detail["index"] for name, detail in results.items()}
        self._indices = {name: detail["index"] for name, detail in given.items()}
        self.batch = int(next(iter(given.values()))["shape"][0])
        self.outputs = tuple(self._results)
        self.quantized_inputs, self.quantized_outputs = _quantization(given), _quantization(results)
        self.inputs = tuple(
            TensorSpec(name, tuple(int(size) for size in detail["shape"][1:]), np.dtype(detail["dtype"]).name)
            for name, detail in given.items()
        )

    def _needs(self) -> str:
        needed = needed_runtime(self.path.read_bytes()) if self.path.is_file() else ""
        if not needed:
            return ""
        try:
            here = version(self.package)
        except PackageNotFoundError:
            here = "of unknown version"
        return f"The file needs TensorFlow Lite {needed} or newer; installed is {self.package} {here}. "

    def _unload(self) -> None:
        self._interpreter = None

    def _run(self, inputs: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        # By index: calling the signature object does the same and checks the inputs again.
        interpreter = self._interpreter
        for name, index in self._indices.items():
            interpreter.set_tensor(index, inputs[name])
        interpreter.invoke()
        return {name: interpreter.get_tensor(index) for name, index in self._results.items()}


def _quantization(details: Mapping[str, Mapping[str, Any]]) -> dict[str, tuple[float, int]]:
    """Return scale and zero point of the tensors in integers that have them."""
    found = {}
    for name, detail in details.items():
        scale, zero = detail["quantization"]
        if np.dtype(detail["dtype"]).kind in "iu" and scale:
            found[name] = (float(scale), int(zero))
    return found
