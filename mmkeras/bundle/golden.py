"""Golden samples: real inputs with the float32 Keras model's outputs, to check files on a device.

``golden.npz`` holds ``inputs/<tensor>`` (S, ...), ``outputs/<name>`` (S, ...), ``targets`` (S, ...), ``keys`` (S,),
``scenarios`` (S,) and ``raw`` (S,): the index of the sample's raw inputs in ``golden/raw.json``, or -1. That file is a
list of ``{"key": ..., "values": {modality: {"text": ...} | {"file": name below golden/} | null}}``.
``golden/answers.json`` holds the task's answers for the outputs, with labels by name, and the metric. numpy only.
"""

from __future__ import annotations

import io
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from mmkeras.bundle.manifest import GoldenFiles
from mmkeras.core.errors import BundleError
from mmkeras.core.typed import parse_json
from mmkeras.modalities import TensorSpec
from mmkeras.storage.files import write_bytes, write_json
from mmkeras.storage.hashes import digest
from mmkeras.storage.numpy_files import read_npz

__all__ = ["ANSWERS", "Golden", "check_tensors", "read_golden", "read_raw", "write_golden"]

_ARRAYS = "golden.npz"
_FOLDER = "golden"
_RAW = "golden/raw.json"
ANSWERS = "golden/answers.json"
_MAGIC = {
    b"\x93NUMPY": ".npy",
    b"\x89PNG": ".png",
    b"\xff\xd8\xff": ".jpg",
    b"BM": ".bmp",
    b"RIFF": ".webp",
    b"GIF8": ".gif",
}


@dataclass(frozen=True)
class Golden:
    """S samples, each in one modality scenario."""

    keys: tuple[str, ...]
    """Key of each sample in its dataset; a sample may occur in several scenarios."""
    scenarios: tuple[str, ...]
    """``all``, ``without_<modality>``, ``empty_<modality>``, ``longest_<modality>``."""
    inputs: dict[str, np.ndarray]
    """Model inputs by tensor name, the presence inputs among them, each (S, ...)."""
    outputs: dict[str, np.ndarray]
    """Outputs of the float32 Keras model by name, each (S, ...)."""
    targets: np.ndarray
    """Encoded targets (S, ...)."""
    raw: np.ndarray
    """int32 (S,): index of the sample's raw inputs, -1 where they are missing."""

    def __len__(self) -> int:
        return len(self.keys)


def write_golden(
    folder: Path, golden: Golden, raw: Sequence[Mapping[str, Any]] = (), answers: Mapping[str, Any] | None = None
) -> GoldenFiles:
    """Write golden samples into a bundle folder.

    ``raw`` are the raw values by modality for the indices in ``golden.raw``: ``bytes`` or a ``Path`` for a file, which
    is copied; ``str`` for text; ``None`` for a missing modality. ``answers`` are from
    `mmkeras.runtime.replay.answers_of`.

    Returns:
        The entry of the manifest.

    Raises:
        BundleError: arrays of different length, or an index outside ``raw``.
    """
    folder = Path(folder)
    arrays: dict[str, np.ndarray] = {
        **{f"inputs/{name}": array for name, array in golden.inputs.items()},
        **{f"outputs/{name}": array for name, array in golden.outputs.items()},
        "targets": np.asarray(golden.targets),
        "raw": np.asarray(golden.raw, "int32"),
        "keys": np.asarray(golden.keys, "U"),
        "scenarios": np.asarray(golden.scenarios, "U"),
    }
    _check_arrays(arrays, len(raw), str(folder / _ARRAYS))
    (folder / _FOLDER).mkdir(parents=True, exist_ok=True)
    packed = io.BytesIO()
    np.savez_compressed(packed, **arrays)  # type: ignore[arg-type]
    write_bytes(folder / _ARRAYS, packed.getvalue())
    written = [_ARRAYS, _RAW]
    entries = []
    for index, values in enumerate(raw):
        entry: dict[str, Any] = {}
        for modality, value in values.items():
            if value is None or isinstance(value, str):
                entry[modality] = None if value is None else {"text": value}
                continue
            content = value.read_bytes() if isinstance(value, Path) else bytes(value)
            suffix = value.suffix if isinstance(value, Path) else _suffix(content)
            name = f"{index:04d}_{modality}{suffix}"
            (folder / _FOLDER / name).write_bytes(content)
            entry[modality] = {"file": name}
            written.append(f"{_FOLDER}/{name}")
        key = next((k for k, i in zip(golden.keys, golden.raw, strict=True) if i == index), "")
        entries.append({"key": key, "values": entry})
    write_json(folder / _RAW, entries)
    if answers is not None:
        write_json(folder / ANSWERS, answers)
        written.append(ANSWERS)
    return GoldenFiles(samples=len(golden), files={path: digest(folder, path) for path in written})


def read_golden(folder: Path) -> Golden:
    """Read ``golden.npz`` of a bundle. `Bundle.golden` checks its hash first."""
    path = Path(folder) / _ARRAYS
    try:
        arrays = read_npz(path)
        _check_arrays(arrays, None, str(path))
        return Golden(
            keys=tuple(str(key) for key in arrays["keys"]),
            scenarios=tuple(str(scenario) for scenario in arrays["scenarios"]),
            inputs={name[7:]: array for name, array in arrays.items() if name.startswith("inputs/")},
            outputs={name[8:]: array for name, array in arrays.items() if name.startswith("outputs/")},
            targets=arrays["targets"],
            raw=arrays["raw"],
        )
    except BundleError:
        raise
    except Exception as error:  # hostile arrays: no keys, another dtype, no samples
        raise BundleError(f"{path} cannot be read: {error}. Copy the bundle again.") from error


def check_tensors(golden: Golden, inputs: Iterable[TensorSpec], outputs: Iterable[TensorSpec], where: str) -> None:
    """Refuse golden samples without an input or output of the model, or with another shape."""
    for kind, given, tensors in (("inputs", golden.inputs, inputs), ("outputs", golden.outputs, outputs)):
        for tensor in tensors:
            array = given.get(tensor.name)
            if array is None or array.shape[1:] != tensor.shape:
                got = "nothing" if array is None else f"(S, *{array.shape[1:]})"
                raise BundleError(
                    f"{where}: {kind}/{tensor.name}: expected shape (S, *{tensor.shape}), got {got}. "
                    "Export the bundle again."
                )


def read_raw(folder: Path) -> list[dict[str, Any]]:
    """Return the raw values by modality for the indices in ``Golden.raw``: a ``Path``, a text or ``None``."""
    path = Path(folder) / _RAW
    try:
        return [
            {name: _raw_value(path.parent, value) for name, value in entry["values"].items()}
            for entry in parse_json(path.read_text(encoding="utf-8"))
        ]
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise BundleError(f"{path} cannot be read: {error!r}. Copy the bundle again.") from error


def _raw_value(folder: Path, value: dict[str, str] | None) -> Path | str | None:
    if value is None:
        return None
    if "text" in value:
        if not isinstance(value["text"], str):
            raise TypeError(f"expected a text, got {value['text']!r:.60}")
        return value["text"]
    if Path(value["file"]).name != value["file"]:
        raise ValueError(f"{value['file']} lies outside {folder}")
    return folder / value["file"]


def _suffix(content: bytes) -> str:
    return next((suffix for magic, suffix in _MAGIC.items() if content.startswith(magic)), ".bin")


def _check_arrays(arrays: dict[str, np.ndarray], raws: int | None, where: str) -> None:
    samples = len(arrays["keys"])
    for name, array in arrays.items():
        if array.ndim == 0 or len(array) != samples:
            raise BundleError(f"{where}: {name}: expected {samples} samples as in keys, got shape {array.shape}.")
        if array.dtype.hasobject:
            raise BundleError(f"{where}: {name}: expected numbers or strings, got dtype {array.dtype}.")
    indices = arrays["raw"]
    if raws is not None and samples and not (indices.min() >= -1 and indices.max() < raws):
        raise BundleError(f"{where}: raw: expected indices from -1 to {raws - 1}, got {indices.tolist()}.")
