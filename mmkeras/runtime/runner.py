"""The base of all runners; a runner runs one exported file with one engine.

A module in ``mmkeras/runtime/runners/`` holds a class ``Runner(RunnerBase)`` and is found by its name. It imports its
engine in `_load`, so that listing the engines is cheap.

Several threads may use one runner. If the engine holds the tensors of a call, a lock lets one call run at a time: a
runner per thread would need the memory of weights and tensors once per thread, and load the file once per thread.
Threads that must infer in parallel open one runner each.
"""

from __future__ import annotations

import importlib.util
import os
import threading
import weakref
from abc import ABC, abstractmethod
from collections.abc import Mapping
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from mmkeras.core.components import find, names
from mmkeras.core.errors import BundleError, ConfigError, DataError, MmkerasError, install_hint, nearest
from mmkeras.modalities import TensorSpec

__all__ = ["RunnerBase", "runners"]


class RunnerBase(ABC):
    """Runs one exported file; thread-safe. As a context manager it activates and deactivates itself."""

    format: ClassVar[str]
    """Format of its files in the manifest."""
    engine: ClassVar[str]
    """Name of the engine in messages."""
    module: ClassVar[str]
    """Module of the engine's package."""
    extra: ClassVar[str]
    """Extra of mmkeras that installs it."""
    package: ClassVar[str]
    """Name of the package in package indexes."""
    rank: ClassVar[int]
    """Among files of one precision, the lowest rank is preferred."""
    devices: ClassVar[tuple[str, ...]] = ("cpu",)
    concurrent: ClassVar[tuple[str, ...]] = ()
    """Devices on which `_run` is thread-safe, so that calls run in parallel; on all others one call runs at a time."""

    def __init__(self, path: Path, *, threads: int = 1, device: str = "cpu") -> None:
        """Store the arguments; `activate` loads the file.

        Raises:
            ConfigError: a device that the engine does not have, or fewer than one thread.
        """
        if threads < 1:
            raise ConfigError(f"threads: expected at least 1, got {threads}")
        if device not in self.devices:
            raise ConfigError(f"{self.engine} has no device {device!r}; {nearest(device, self.devices)}")
        self.path = Path(path)
        self.threads = threads
        self.device = device
        self.inputs: tuple[TensorSpec, ...] = ()
        """Inputs of the file without the batch dimension; set while active, like ``outputs`` and ``batch``."""
        self.outputs: tuple[str, ...] = ()
        """Names of the outputs."""
        self.batch: int | None = None
        """Static batch size of the file, ``None`` if it takes any size."""
        self.quantized_inputs: dict[str, tuple[float, int]] = {}
        """Scale and zero point of each input in integers: the real value is ``scale * (integer - zero_point)``."""
        self.quantized_outputs: dict[str, tuple[float, int]] = {}
        """The same of each output in integers."""
        self._expected: tuple[tuple[TensorSpec, np.dtype], ...] = ()
        self._lock = threading.RLock()
        _ALL.add(self)

    @classmethod
    def available(cls) -> bool:
        """Return whether the engine is installed."""
        return importlib.util.find_spec(cls.module) is not None

    @classmethod
    def missing(cls) -> str:
        """Return why the engine cannot run on this machine, and what to do; empty if it can."""
        return "" if cls.available() else f"{cls.engine} is not installed: {install_hint(cls.extra, cls.package)}"

    @classmethod
    def device_for(cls, device: str) -> str:
        """Return the device to run on: an engine without a CPU replaces ``cpu``, the default, by its own device."""
        return cls.devices[0] if device == "cpu" and "cpu" not in cls.devices else device

    @property
    def active(self) -> bool:
        """Whether the file is loaded."""
        return bool(self.inputs)

    def activate(self) -> None:
        """Load the file and read its inputs and outputs. Does nothing if the file is loaded.

        Raises:
            DependencyError: the engine is not installed; the message names the extra.
            BundleError: the engine cannot load the file.
        """
        with self._lock:
            if self.active:
                return
            try:
                self._load()
                # Built once: a comparison with a dtype's name would build a dtype each time.
                self._expected = tuple((tensor, np.dtype(tensor.dtype)) for tensor in self.inputs)
            except (RuntimeError, ValueError, TypeError, IndexError, OSError) as error:
                self.deactivate()
                raise BundleError(
                    f"{self.engine} cannot load {self.path}: {str(error).strip()}. {self._needs()}"
                    "Use the engine version that the file was verified with, or export it again."
                ) from error

    def deactivate(self) -> None:
        """Release the file and its memory after the running calls of other threads. May be called again."""
        with self._lock:
            self._unload()
            self.inputs, self.outputs, self.batch, self._expected = (), (), None, ()
            self.quantized_inputs, self.quantized_outputs = {}, {}

    def infer(self, inputs: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        """Run a batch; a file with a static batch size is run several times. Several threads may call this.

        Args:
            inputs: an array (B, ...) for every input by name.

        Returns:
            Arrays (B, ...) by output name.

        Raises:
            DataError: names, shapes or dtypes other than those of ``self.inputs``, a runner that is not active, or
                values that the engine rejects, such as token ids beyond the vocabulary.
        """
        with self._turn():
            samples, batch = self._check(inputs), self.batch
            if batch is None or samples == batch:
                return self._answer(inputs)
            if samples % batch:
                raise DataError(f"{self.path.name} runs batches of {batch}, got {samples} samples.")
            parts = [
                self._answer({name: array[start : start + batch] for name, array in inputs.items()})
                for start in range(0, samples, batch)
            ]
        return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}

    def _answer(self, inputs: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        try:
            return self._run(inputs)
        except MmkerasError:
            raise
        except Exception as error:  # each engine has exceptions of its own
            raise DataError(f"{self.path.name}: {self.engine} failed on these inputs: {error!s:.300}") from error

    def __enter__(self) -> RunnerBase:
        self.activate()
        return self

    def __exit__(self, *problem: object) -> None:
        self.deactivate()

    @abstractmethod
    def _load(self) -> None:
        """Load the file; set ``inputs``, ``outputs`` and ``batch``."""

    @abstractmethod
    def _unload(self) -> None:
        """Release what `_load` took."""

    @abstractmethod
    def _run(self, inputs: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        """Run one checked batch of the size that the file takes."""

    def _turn(self) -> AbstractContextManager[Any]:
        """Return the lock of a call; calls on a device in `concurrent` need none."""
        return nullcontext() if self.device in self.concurrent else self._lock

    def _needs(self) -> str:
        """Return a sentence about the engine version that the file needs, ending with a space; empty if unknown."""
        return ""

    def _not_loaded(self) -> DataError:
        return DataError(f"{self.path.name} is not loaded: call activate() first, or use a with block.")

    def _check(self, inputs: Mapping[str, np.ndarray]) -> int:
        """Check names, dtypes and shapes, and return the number of samples."""
        wanted = self._expected
        if not wanted:
            raise self._not_loaded()
        if len(inputs) != len(wanted) or any(tensor.name not in inputs for tensor, _ in wanted):
            expected = {tensor.name for tensor, _ in wanted}
            problems = [f"{name} is missing" for name in sorted(expected - inputs.keys())]
            problems += [f"{n} is unknown; {nearest(n, expected)}" for n in sorted(inputs.keys() - expected)]
            raise DataError(f"Inputs of {self.path.name}: {'; '.join(problems)}")
        samples = -1
        for tensor, dtype in wanted:
            array = inputs[tensor.name]
            shape = getattr(array, "shape", ())
            if not shape or array.dtype != dtype or not (shape[1:] == tensor.shape or _fits(shape[1:], tensor.shape)):
                raise DataError(
                    f"Input {tensor.name} of {self.path.name}: expected {tensor.dtype} (B, *{tensor.shape}), "
                    f"got {getattr(array, 'dtype', type(array).__name__)} {shape}."
                )
            if samples not in (-1, shape[0]):
                raise DataError(
                    f"Input {tensor.name}: expected {samples} samples like the inputs before, got {shape[0]}."
                )
            samples = shape[0]
        if samples < 1:
            raise DataError(f"Inputs of {self.path.name}: expected at least one sample, got none.")
        return samples


def _fits(shape: tuple[int, ...], declared: tuple[Any, ...]) -> bool:
    """Return whether a shape fits that of a file of another tool, where a dimension without a size is a name."""
    sizes = zip(shape, declared, strict=False)
    return len(shape) == len(declared) and all(size == known or type(known) is not int for size, known in sizes)


_ALL: weakref.WeakSet[RunnerBase] = weakref.WeakSet()


def _renew_locks() -> None:
    """Give every runner a new lock: in a forked process, the thread that held the old one does not exist."""
    for runner in list(_ALL):
        runner._lock = threading.RLock()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_renew_locks)


def runners() -> dict[str, Any]:
    """Return the runner classes by format, the preferred one first; no engine is imported."""
    classes = [find("runtime.runners", name).Runner for name in names("runtime.runners")]
    return {cls.format: cls for cls in sorted(classes, key=lambda cls: cls.rank)}
