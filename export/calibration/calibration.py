"""A calibration set: the inputs on which ranges are measured, with their keys and strata, and its file."""

from __future__ import annotations

import dataclasses
import hashlib
import itertools
import os
import threading
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from export.calibration.traits import length_bins, mask_of
from mmkeras.core.errors import DataError, nearest
from mmkeras.modalities import ModalitySpec, TensorSpec
from mmkeras.modalities.text.spec import Spec as TextSpec
from mmkeras.storage.numpy_files import read_npz

__all__ = ["Calibration", "Strata", "fingerprint_of", "load_calibration", "save_calibration"]

Strata = dict[str, dict[str, int]]
"""Samples by stratum, for each way to divide them: ``{"class": {"red": 12, ...}, "text_length": {"5-8": 50, ...}}``."""


@dataclass(frozen=True)
class Calibration:
    """Samples to measure the ranges of a static int8 file on."""

    inputs: dict[str, np.ndarray]
    """Tensors and presence inputs (N, ...) by name, as the model takes them."""
    keys: tuple[str, ...]
    """Key of each sample in its dataset, followed by its scenario in brackets where that is not ``all``."""
    source: str
    """Origin of the samples: ``train`` for that split of the converted data, or the path of a file."""
    strata: Strata = field(default_factory=dict)
    """Samples by class, scenario, modalities present and length."""
    warnings: tuple[str, ...] = ()
    """Findings of the audit."""

    def __len__(self) -> int:
        """Return the number of samples."""
        return len(self.keys)

    @cached_property
    def fingerprint(self) -> str:
        """Hex sha256 of the inputs: names, dtypes, shapes and bytes."""
        return fingerprint_of(self.inputs)

    def batches(self) -> Iterator[dict[str, np.ndarray]]:
        """Yield each sample as a batch of one, arrays (1, ...) by input name."""
        for row in range(len(self)):
            yield {name: array[row : row + 1] for name, array in self.inputs.items()}

    def with_warnings(self, warnings: Iterable[str]) -> Calibration:
        """Return the same samples with further warnings, each once."""
        return dataclasses.replace(self, warnings=tuple(dict.fromkeys((*self.warnings, *warnings))))

    def to_json(self) -> dict[str, Any]:
        """Return the entry in export.json and in the manifest's provenance."""
        return {
            "samples": len(self),
            "source": self.source,
            "fingerprint": self.fingerprint,
            "strata": {name: dict(counts) for name, counts in self.strata.items()},
            "warnings": list(self.warnings),
        }


def fingerprint_of(inputs: Mapping[str, np.ndarray]) -> str:
    """Return the hex sha256 of arrays by name, whatever their order and the machine's byte order."""
    sha = hashlib.sha256()
    for name in sorted(inputs):
        array = np.asarray(inputs[name])
        stored = np.ascontiguousarray(array, array.dtype.newbyteorder("<"))
        sha.update(f"{name} {stored.dtype.name} {stored.shape}\n".encode())
        sha.update(stored.tobytes())
    return sha.hexdigest()


def load_calibration(path: Path, specs: Mapping[str, ModalitySpec], *, part: bool = False) -> Calibration:
    """Read a calibration set that a user made, or that `save_calibration` wrote.

    It is an ``.npz`` file with one array (N, ...) for every input of the model, presence inputs too, and no other
    array. Another dtype is accepted where the conversion changes no value.

    Args:
        path: the file.
        specs: modality specs by name.
        part: the model is a submodel of the one that the file was made for; arrays of other inputs are ignored.

    Raises:
        DataError: the file is missing, damaged or holds pickled objects or no samples; names or shapes are not the
            model's; values are not finite; presence or mask values are not 0 or 1.
    """
    path = Path(path)
    arrays = _read(path)
    tensors = {t.name: t for spec in specs.values() for t in (*spec.tensors, spec.present)}
    missing = sorted(set(tensors) - set(arrays))
    extra = sorted(set(arrays) - set(tensors))
    if missing:
        raise DataError(
            f"{path}: the inputs {missing} are missing; it has {sorted(arrays)}. Expected one array (N, ...) for every "
            f"input: {', '.join(f'{t.name} {t.dtype} {_shape(t)}' for t in tensors.values())}. <name>_present is 1.0 "
            "where the modality is present and 0.0 where it is missing."
        )
    if extra and not part:
        raise DataError(f"{path}: {extra[0]!r} is no input of the model; {nearest(extra[0], tensors)}")
    inputs = {name: _checked(path, tensor, arrays[name]) for name, tensor in tensors.items()}
    sizes = {name: len(array) for name, array in inputs.items()}
    if len(set(sizes.values())) > 1:
        raise DataError(f"{path}: expected the same number of samples in every array, got {sizes}.")
    if not min(sizes.values()):
        raise DataError(f"{path}: holds no samples. 100 to 500 samples like those on the device are usual.")
    for spec in specs.values():
        for name in (spec.present.name, *([mask.name] if (mask := mask_of(spec)) else [])):
            if not np.isin(inputs[name], (0, 1)).all():
                raise DataError(
                    f"{path}: {name}: expected 0 and 1 only, got {inputs[name].min()}..{inputs[name].max()}."
                )
        tokens = len(spec.vocabulary) if isinstance(spec, TextSpec) else 0
        for tensor in spec.tensors:
            ids = inputs[tensor.name]
            if tokens and tensor != mask_of(spec) and (ids.min() < 0 or ids.max() >= tokens):
                raise DataError(
                    f"{path}: {tensor.name}: expected ids from 0 to {tokens - 1}, got {ids.min()}..{ids.max()}. "
                    "Use the model's own vocabulary."
                )
    keys = tuple(f"{path.name}/{row}" for row in range(len(inputs[next(iter(inputs))])))
    return Calibration(inputs, keys, os.fspath(path), _strata(inputs, specs))


def save_calibration(calibration: Calibration, path: Path) -> Path:
    """Write the inputs of a calibration set, for inspection or for another tool."""
    aside = path.with_name(f".{path.name}.{os.getpid()}-{threading.get_native_id()}.npz")
    try:
        # Not allow_pickle=False: numpy 1.26 would store that as one more array.
        np.savez_compressed(aside, **calibration.inputs)  # type: ignore[arg-type]
        aside.replace(path)
    except OSError as error:
        raise DataError(
            f"{path}: cannot be written ({error.strerror or error}). Give a file in a folder that exists."
        ) from error
    finally:
        aside.unlink(missing_ok=True)
    return path


def _read(path: Path) -> dict[str, np.ndarray]:
    try:
        with path.open("rb") as stream:
            magic = stream.read(6)
        if magic == b"\x93NUMPY":
            raise DataError(
                f"{path}: a single array; expected a .npz of arrays by input name: np.savez(path, image=...)."
            )
        if not magic.startswith(b"PK"):
            raise DataError(f"{path}: not a .npz file. Write one with np.savez: one array (N, ...) per input name.")
        return read_npz(path)
    except FileNotFoundError:
        raise DataError(f"{path}: no such file. Expected a .npz of calibration samples.") from None
    except (OSError, ValueError) as error:
        raise DataError(
            f"{path}: not a whole .npz file of numbers: {error}. Write plain arrays of numbers by input name: "
            "np.savez(path, image=...)."
        ) from error


def _checked(path: Path, tensor: TensorSpec, array: np.ndarray) -> np.ndarray:
    where = f"{path}: {tensor.name}"
    if array.ndim == 0 or array.shape[1:] != tensor.shape:
        raise DataError(f"{where}: expected the shape {_shape(tensor)}, got {array.shape}.")
    if array.dtype.kind not in "biuf":
        raise DataError(f"{where}: expected {tensor.dtype}, got {array.dtype}.")
    if not np.isfinite(array).all():
        raise DataError(f"{where}: holds NaN or infinity in sample {int(np.argwhere(~np.isfinite(array))[0][0])}.")
    if array.dtype.name == tensor.dtype:
        return array
    with np.errstate(all="ignore"):
        cast = array.astype(tensor.dtype)
    close = cast == array if tensor.dtype != "float32" else np.isclose(cast, array, rtol=1e-6, atol=0)
    if not close.all():
        raise DataError(
            f"{where}: expected {tensor.dtype}, got {array.dtype} with values such as {array[~close].flat[0]} that it "
            "cannot hold. Give the model's inputs as the modality's preprocessing makes them."
        )
    return cast


def _strata(inputs: Mapping[str, np.ndarray], specs: Mapping[str, ModalitySpec]) -> Strata:
    """Return the strata of samples without targets."""
    present = np.stack([inputs[spec.present.name] > 0 for spec in specs.values()], axis=1)
    patterns = Counter("+".join(itertools.compress(specs, row)) or "nothing" for row in present)
    result: Strata = {"present": dict(sorted(patterns.items()))}
    for name, spec in specs.items():
        if mask := mask_of(spec):
            bins, labels = length_bins(inputs[mask.name].sum(axis=1))
            counts = np.bincount(bins, minlength=len(labels))
            result[f"{name}_length"] = dict(zip(labels, counts.tolist(), strict=True))
    return result


def _shape(tensor: TensorSpec) -> str:
    return f"(N{''.join(f', {size}' for size in tensor.shape)}{',' if not tensor.shape else ''})"
