"""Finds the format of a model file from its name and content, and opens it with the engine for it."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from export.foreign.model import Model, Tensor, real_outputs
from mmkeras.core.errors import BundleError, ConfigError, DataError, nearest
from mmkeras.runtime.differences.read import read_contents
from mmkeras.runtime.runner import RunnerBase, runners

__all__ = ["FORMATS", "format_of", "open_model"]

FORMATS = {".tflite": "tflite", ".onnx": "onnx", ".keras": "keras", ".plan": "tensorrt", ".engine": "tensorrt"}
"""Formats by the ending of the name; a folder with ``saved_model.pb`` is a SavedModel."""
_ELSEWHERE = {
    **dict.fromkeys((".pt", ".pth", ".ckpt"), "a PyTorch checkpoint: export it to ONNX with torch.onnx.export first"),
    **dict.fromkeys((".h5", ".hdf5"), "an old Keras file: load it with keras and save it as .keras first"),
    ".pb": "the graph of a SavedModel or a frozen graph: name the folder of the SavedModel",
    ".mmk": "a packed bundle: mmkeras selftest proves it without a reference",
}


def format_of(path: Path) -> str:
    """Return the format of a file.

    Raises:
        ConfigError: no such file, or a name that says no format.
        DataError: the content is not of the format that the name says.
    """
    if not path.exists():
        raise ConfigError(
            f"{path}: no such file or folder; expected {', '.join(FORMATS)} or the folder of a SavedModel"
        )
    if path.is_dir():
        if not (path / "saved_model.pb").is_file():
            raise ConfigError(f"{path}: a folder without saved_model.pb; expected a SavedModel")
        return "saved_model"
    suffix = path.suffix.lower()
    if suffix not in FORMATS:
        hint = _ELSEWHERE.get(suffix) or nearest(suffix, FORMATS)
        raise ConfigError(f"{path}: {suffix or 'a name without an ending'} is not a format that can be run; {hint}")
    with path.open("rb") as stream:
        head = stream.read(8)
    kinds = {"tflite": head[4:8] == b"TFL3", "keras": head[:4] == b"PK\x03\x04"}
    found = next((kind for kind, holds in kinds.items() if holds), "")
    named = FORMATS[suffix]
    if (named in kinds and not kinds[named]) or (found and found != named):
        other = f"a .{found} file" if found else "something else"
        raise DataError(f"{path}: is not a {suffix} file: its first bytes are those of {other}. Check what was written")
    return named


def open_model(path: Path, signature: str = "") -> Model:
    """Open a file; it is loaded until it is closed.

    Args:
        path: a ``.tflite``, ``.onnx``, ``.keras`` or TensorRT file, or the folder of a SavedModel.
        signature: of a SavedModel; by default ``serving_default`` or the only one.

    Raises:
        ConfigError: no such file, format or signature.
        DataError: the file is damaged, of another format, or cannot be run.
        DependencyError: its engine is not installed.
    """
    model = _opened(path, format_of(path), signature)
    wrong = [tensor for tensor in model.inputs if not _is_number(tensor.dtype)]
    if wrong or not model.inputs:
        model.close()
        what = f"input {wrong[0].name} takes {wrong[0].dtype}" if wrong else "it has no inputs"
        raise DataError(
            f"{path}: {what}; expected numbers. Choose another signature or export it with tensors as inputs"
        )
    return model


def _opened(path: Path, format: str, signature: str) -> Model:
    if format == "saved_model":
        from export.foreign.keras_models import SavedModel

        return SavedModel(path, signature)
    if signature:
        raise ConfigError(f"--signature: {path} is no SavedModel and has no signatures to choose from")
    if format == "keras":
        from export.foreign.keras_models import KerasModel

        return KerasModel(path)
    return _EdgeFile(path, format)


def _is_number(dtype: str) -> bool:
    try:
        return np.dtype(dtype).kind in "fiub"
    except TypeError:
        return False


class _EdgeFile(Model):
    """A file that `mmkeras.runtime` has a runner for."""

    def __init__(self, path: Path, format: str) -> None:
        super().__init__(path, format)
        read_contents(path, format)  # a truncated file is found here, with a message that names the place
        kind = runners()[format]
        self._runner: RunnerBase = kind(path, threads=1, device=kind.device_for("cpu"))
        try:
            self._runner.activate()
        except BundleError as error:
            raise DataError(_explained(path, str(error.__cause__ or error))) from error
        quantised = self._runner.quantized_inputs
        self.inputs = tuple(
            Tensor(
                tensor.name,
                tuple(size if type(size) is int else None for size in tensor.shape),
                tensor.dtype,
                *quantised.get(tensor.name, (0.0, 0)),
            )
            for tensor in self._runner.inputs
        )
        self.batch = self._runner.batch

    @property
    def bytes(self) -> int:
        """Size of the file and, of an ONNX file, of the files that hold its weights."""
        parts = {self.path, *(_external(self.path) if self.format == "onnx" else ())}
        return sum(part.stat().st_size for part in parts)

    def run(self, inputs: dict[str, np.ndarray]) -> Mapping[str, Any]:
        """Run a batch."""
        return self._runner.infer(inputs)

    def outputs_of(self, stored: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
        """Run a batch and return real values, also of outputs in integers with a scale."""

        def real(name: str, value: np.ndarray) -> np.ndarray:
            scale, zero = self._runner.quantized_outputs.get(name, (0.0, 0))
            return ((value.astype(np.float64) - zero) * scale).astype(np.float32) if scale else value

        return real_outputs(self.run(stored), len(next(iter(stored.values()))), self.notes, real)

    def close(self) -> None:
        """Release the engine."""
        self._runner.deactivate()


def _explained(path: Path, reason: str) -> str:
    reason = " ".join(reason.split())[:300]
    if re.search(r"\bFlex|Select TensorFlow op", reason):
        return (
            f"{path}: has TensorFlow operations that LiteRT does not have (Flex): {reason}. Convert it with "
            "TFLITE_BUILTINS alone; mmkeras' own export names the layers that need Flex: python -m export doctor"
        )
    return f"{path}: cannot be loaded: {reason}. It is damaged, incomplete, or of a version this engine does not have"


def _external(path: Path) -> list[Path]:
    """Return the files beside an ONNX file that hold its weights."""
    import onnx

    with contextlib.suppress(Exception):  # the engine has loaded it already
        graph = onnx.load(str(path), load_external_data=False).graph
        entries = [entry for tensor in graph.initializer for entry in tensor.external_data if entry.key == "location"]
        return [part for entry in entries if (part := path.parent / entry.value).is_file()]
    return []
