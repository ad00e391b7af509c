"""The contract of an engine that runs one exported file, and how the best one is chosen. numpy only.

A module in ``mmkeras/runtime/runners/`` holds a class ``Runner(RunnerBase)`` and is found by its name. It imports its
engine in `_load`, so that asking what there is costs nothing.
"""

from __future__ import annotations

import functools
import importlib.util
from abc import ABC, abstractmethod
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, ClassVar

import numpy as np

from mmkeras.components import find, names
from mmkeras.errors import BundleError, ConfigError, DataError, install_hint, nearest
from mmkeras.modalities import TensorSpec

__all__ = ["DEVICES", "RunnerBase", "runners"]

DEVICES = ("cpu", "cuda", "tensorrt")
"""What ``device`` may be; an engine takes those in its ``devices``."""


class RunnerBase(ABC):
    """Runs one exported file. A context manager: entering activates it, leaving deactivates it."""

    format: ClassVar[str]
    """Format of the files it runs, as the manifest names it."""
    engine: ClassVar[str]
    """Name of the engine, for people."""
    module: ClassVar[str]
    """Module that the engine's package brings."""
    extra: ClassVar[str]
    """Extra of mmkeras that installs it."""
    package: ClassVar[str]
    """Name of its package in package indexes."""
    rank: ClassVar[int]
    """Among files of one precision, the lowest rank is preferred."""
    devices: ClassVar[tuple[str, ...]] = ("cpu",)
    """Devices it can be asked for."""

    def __init__(self, path: Path, *, threads: int = 1, device: str = "cpu") -> None:
        """Remember what to load; nothing is loaded before `activate`.

        Args:
            path: the exported file; its hash has been checked.
            threads: threads of one inference.
            device: one of ``devices``.

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
        """Inputs of the file without the batch dimension; known once active."""
        self.outputs: tuple[str, ...] = ()
        """Names of the outputs; known once active."""
        self.batch: int | None = None
        """Static batch size of the file, ``None`` where any size will do; known once active."""

    @classmethod
    def available(cls) -> bool:
        """Return whether the engine is installed."""
        return importlib.util.find_spec(cls.module) is not None

    @classmethod
    def install_hint(cls) -> str:
        """Return the command that installs the engine."""
        return install_hint(cls.extra, cls.package)

    @classmethod
    def missing(cls) -> str:
        """Return why the engine cannot run here, with what to do; empty where it can."""
        return "" if cls.available() else f"{cls.engine} is not installed: {cls.install_hint()}"

    @classmethod
    def device_for(cls, device: str) -> str:
        """Return the device to run on: ``cpu``, the default, means its own to an engine that has no CPU."""
        return cls.devices[0] if device == "cpu" and "cpu" not in cls.devices else device

    @property
    def active(self) -> bool:
        """Whether the file is loaded."""
        return bool(self.inputs)

    def activate(self) -> None:
        """Load the file and read its inputs and outputs. Does nothing when it is active.

        Raises:
            DependencyError: the engine is not installed; names the extra.
            BundleError: the engine cannot load the file.
        """
        if self.active:
            return
        try:
            self._load()
        except (RuntimeError, ValueError, OSError) as error:
            self.deactivate()
            raise BundleError(
                f"{self.engine} cannot load {self.path}: {str(error).strip()}. "
                "Use the engine version that the file was verified with, or export it again."
            ) from error

    def deactivate(self) -> None:
        """Release the file and its memory. Does nothing when it is not active."""
        self._unload()
        self.inputs, self.outputs, self.batch = (), (), None
        self.__dict__.pop("_dtypes", None)

    def infer(self, inputs: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        """Run a batch; a file with a static batch is run several times.

        Args:
            inputs: an array (B, ...) for every input by name.

        Returns:
            Arrays (B, ...) by output name.

        Raises:
            DataError: names, shapes or dtypes that are not those of ``inputs``, or a runner that is not active.
        """
        samples = self._check(inputs)
        if self.batch is None or samples == self.batch:
            return self._run(inputs)
        if samples % self.batch:
            raise DataError(f"{self.path.name} runs batches of {self.batch}, got {samples} samples.")
        parts = [
            self._run({name: array[start : start + self.batch] for name, array in inputs.items()})
            for start in range(0, samples, self.batch)
        ]
        return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}

    def __enter__(self) -> RunnerBase:
        self.activate()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
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

    @functools.cached_property
    def _dtypes(self) -> tuple[np.dtype, ...]:
        """The dtypes of ``inputs``, made once: comparing with a name makes one each time."""
        return tuple(np.dtype(tensor.dtype) for tensor in self.inputs)

    def _check(self, inputs: Mapping[str, np.ndarray]) -> int:
        if not self.active:
            raise DataError(f"{self.path.name} is not loaded: call activate() first, or use a with block.")
        if len(inputs) != len(self.inputs) or any(tensor.name not in inputs for tensor in self.inputs):
            expected = {tensor.name for tensor in self.inputs}
            problems = [f"{name} is missing" for name in sorted(expected - inputs.keys())]
            problems += [f"{n} is unknown; {nearest(n, expected)}" for n in sorted(inputs.keys() - expected)]
            raise DataError(f"Inputs of {self.path.name}: {'; '.join(problems)}")
        samples = -1
        for tensor, dtype in zip(self.inputs, self._dtypes, strict=True):
            array = inputs[tensor.name]
            shape = getattr(array, "shape", ())
            if not shape or shape[1:] != tensor.shape or array.dtype != dtype:
                raise DataError(
                    f"Input {tensor.name} of {self.path.name}: expected {tensor.dtype} (B, *{tensor.shape}), "
                    f"got {getattr(array, 'dtype', type(array).__name__)} {shape}."
                )
            if samples not in (-1, shape[0]):
                raise DataError(f"Input {tensor.name}: expected {samples} samples as before, got {shape[0]}.")
            samples = shape[0]
        if samples < 1:
            raise DataError(f"Inputs of {self.path.name}: expected at least one sample, got none.")
        return samples


def runners() -> dict[str, Any]:
    """Return every runner class by the format it runs, the preferred one first; no engine is imported."""
    classes = [find("runtime.runners", name).Runner for name in names("runtime.runners")]
    return {cls.format: cls for cls in sorted(classes, key=lambda cls: cls.rank)}
