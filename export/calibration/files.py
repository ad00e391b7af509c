"""Calibration sets as ``.npz`` files: arrays (N, ...) by input name, readable without mmkeras."""

from __future__ import annotations

import os
import threading
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from export.calibration.calibration import Calibration, Strata
from export.calibration.traits import length_bins, mask_of
from mmkeras.core.errors import DataError, nearest
from mmkeras.modalities import ModalitySpec, TensorSpec
from mmkeras.storage.numpy_files import read_npz

__all__ = ["load_calibration", "save_calibration"]


def load_calibration(path: Path, specs: Mapping[str, ModalitySpec]) -> Calibration:
    """Read a calibration set that a user made, or that `save_calibration` wrote.

    Args:
        path: a ``.npz`` file with one array (N, ...) for every input of the model, presence inputs too, and no other.
            Another dtype is taken where every value stays the same.
        specs: modality specs by name.

    Raises:
        DataError: no such file, damaged, pickled objects, names or shapes other than the model's, no samples, numbers
            that are not finite, presence or mask other than 0 and 1.
    """
    path = Path(path)
    arrays = _read(path)
    tensors = {t.name: t for spec in specs.values() for t in (*spec.tensors, spec.present)}
    missing = sorted(set(tensors) - set(arrays))
    extra = sorted(set(arrays) - set(tensors))
    if missing:
        raise DataError(
            f"{path}: the inputs {missing} are missing; it has {sorted(arrays)}. Expected one array (N, ...) for every "
            f"input: {_wanted(tensors)}. <name>_present is 1.0 where the modality is there and 0.0 where it is not."
        )
    if extra:
        raise DataError(f"{path}: {extra[0]!r} is no input of the model; {nearest(extra[0], tensors)}")
    inputs = {name: _checked(path, tensor, arrays[name]) for name, tensor in tensors.items()}
    sizes = {name: len(array) for name, array in inputs.items()}
    if len(set(sizes.values())) > 1:
        raise DataError(f"{path}: expected the same number of samples in every array, got {sizes}.")
    if not min(sizes.values()):
        raise DataError(f"{path}: holds no samples. 100 to 500 that stand for what the device will see are usual.")
    for spec in specs.values():
        for name in (spec.present.name, *([mask.name] if (mask := mask_of(spec)) else [])):
            if not np.isin(inputs[name], (0, 1)).all():
                raise DataError(
                    f"{path}: {name}: expected 0 and 1 only, got {inputs[name].min()}..{inputs[name].max()}."
                )
        tokens = len(getattr(spec, "vocabulary", ()))
        for tensor in spec.tensors:
            ids = inputs[tensor.name]
            if tokens and tensor != mask_of(spec) and (ids.min() < 0 or ids.max() >= tokens):
                raise DataError(
                    f"{path}: {tensor.name}: expected ids from 0 to {tokens - 1}, got {ids.min()}..{ids.max()}. "
                    "Take the model's own vocabulary."
                )
    keys = tuple(f"{path.name}/{row}" for row in range(len(inputs[next(iter(inputs))])))
    return Calibration(inputs, keys, os.fspath(path), _strata(inputs, specs))


def save_calibration(calibration: Calibration, path: Path) -> Path:
    """Write the inputs of a calibration set, to look at or to calibrate another tool on.

    Raises:
        DataError: the file cannot be written.
    """
    aside = path.with_name(f".{path.name}.{os.getpid()}-{threading.get_native_id()}.npz")
    try:
        # Not allow_pickle=False: numpy 1.26 would store that as one more array.
        np.savez_compressed(aside, **calibration.inputs)  # type: ignore[arg-type]
        aside.replace(path)
    except OSError as error:
        raise DataError(
            f"{path}: cannot be written ({error.strerror or error}). Name a file in a folder that exists."
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
            raise DataError(f"{path}: not a .npz file. Write one with np.savez, an array (N, ...) by input name.")
        return read_npz(path)
    except FileNotFoundError:
        raise DataError(f"{path}: no such file. Expected a .npz of calibration samples.") from None
    except (OSError, ValueError) as error:
        raise DataError(
            f"{path}: not a whole .npz file, or one of another kind: {error}. Write plain arrays of numbers by "
            "input name: np.savez(path, image=...)."
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
            "cannot hold. Give what the model takes, as the modality's preprocessing makes it."
        )
    return cast


def _strata(inputs: Mapping[str, np.ndarray], specs: Mapping[str, ModalitySpec]) -> Strata:
    """Return what can be told of samples without targets."""
    there = {name: inputs[spec.present.name] > 0 for name, spec in specs.items()}
    patterns: dict[str, int] = {}
    for row in range(len(next(iter(inputs.values())))):
        pattern = "+".join(name for name, present in there.items() if present[row]) or "nothing"
        patterns[pattern] = patterns.get(pattern, 0) + 1
    result: Strata = {"present": dict(sorted(patterns.items()))}
    for name, spec in specs.items():
        if mask := mask_of(spec):
            bins, labels = length_bins(inputs[mask.name].sum(axis=1))
            counts = np.bincount(bins, minlength=len(labels))
            result[f"{name}_length"] = {label: int(n) for label, n in zip(labels, counts, strict=True)}
    return result


def _wanted(tensors: Mapping[str, TensorSpec]) -> str:
    return ", ".join(f"{tensor.name} {tensor.dtype} {_shape(tensor)}" for tensor in tensors.values())


def _shape(tensor: TensorSpec) -> str:
    return f"(N{''.join(f', {size}' for size in tensor.shape)}{',' if not tensor.shape else ''})"
