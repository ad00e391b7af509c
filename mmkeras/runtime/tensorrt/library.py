"""Finds and opens the installed TensorRT: tensorrt 8.6, 10 or 11, or tensorrt-rtx.

Versions are distinguished by their features, never by their numbers.
"""

from __future__ import annotations

import importlib
import importlib.util
import operator
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from mmkeras.core.errors import ConfigError, DependencyError, nearest
from mmkeras.runtime.tensorrt.cuda import gpus, why_no_gpu

__all__ = ["LIBRARIES", "Library", "installed", "monitor", "open_library", "why_not_here"]

LIBRARIES = {"tensorrt": "tensorrt", "tensorrt-rtx": "tensorrt_rtx"}
"""Module by the library's name, in order of preference."""
_COMPILES_WITHOUT_GPU = ("tensorrt-rtx",)
_KEPT = 200
_INSTALL = (
    "On a Jetson or a DRIVE it is part of the system: create the virtual environment with --system-site-packages. "
    "Elsewhere: pip install 'mmkeras[tensorrt]' (or only: pip install tensorrt), or tensorrt-rtx for RTX GPUs"
)


@dataclass
class Library:
    """An imported TensorRT and its messages."""

    name: str
    module: Any
    messages: list[str] = field(default_factory=list)
    """Its latest warnings and errors; an error starts with ``error: ``."""

    def __post_init__(self) -> None:
        # This keeps the logger alive: TensorRT holds no reference to it.
        self.logger = _logger(self.module, self.messages)

    @property
    def version(self) -> str:
        """Version of the library, for example ``10.3.0``."""
        return str(self.module.__version__)

    def has(self, name: str) -> bool:
        """Return whether the library has an attribute, for example ``BuilderFlag.FP16``."""
        try:
            operator.attrgetter(name)(self.module)
        except AttributeError:
            return False
        return True

    def errors(self) -> str:
        """Return the latest errors as one line."""
        said = [text[len("error: ") :] for text in self.messages if text.startswith("error: ")]
        return " | ".join(dict.fromkeys(said[-6:])) or "it gave no reason"


def installed() -> tuple[str, ...]:
    """Return the names of the libraries that are installed; none is imported."""
    return tuple(name for name, module in LIBRARIES.items() if importlib.util.find_spec(module) is not None)


def why_not_here(name: str | None = None, *, to_run: bool = True) -> str:
    """Return why a library cannot be used on this machine, and what to do; empty if it can.

    ``name`` defaults to the first installed library. Running needs a GPU; tensorrt-rtx builds without one.
    """
    found = installed()
    if not found or (name is not None and name not in found):
        return f"{name or 'TensorRT'} is not installed. {_INSTALL}"
    if gpus() or (not to_run and (name or found[0]) in _COMPILES_WITHOUT_GPU):
        return ""
    advice = (
        "Run this on the device, or run the ONNX or LiteRT file here."
        if to_run
        else "Build the engine on the device that runs it; tensorrt-rtx (extra tensorrt-rtx) builds without a GPU."
    )
    return f"{name or found[0]} needs an NVIDIA GPU, but {why_no_gpu()}. {advice}"


def open_library(name: str | None = None, *, to_run: bool = True) -> Library:
    """Import a TensorRT, by default the first usable one, after checking for a GPU.

    Raises:
        ConfigError: the library is unknown.
        DependencyError: it is not installed or damaged, or there is no GPU.
    """
    if name is not None and name not in LIBRARIES:
        raise ConfigError(f"There is no TensorRT library {name!r}; {nearest(name, LIBRARIES)}")
    usable = [n for n in installed() if name in (None, n) and not why_not_here(n, to_run=to_run)]
    if not usable:
        raise DependencyError(why_not_here(name, to_run=to_run))
    try:
        module = importlib.import_module(LIBRARIES[usable[0]])
    except (ImportError, OSError) as error:
        raise DependencyError(
            f"{usable[0]} is installed but cannot be loaded: {error}. Its libraries and the CUDA driver must be "
            f"compatible; install it again. {_INSTALL}"
        ) from error
    if not hasattr(module, "Builder"):
        # In public indexes the package may be a stub that only downloads the real one.
        raise DependencyError(f"{usable[0]} is installed without its libraries: it has no Builder. {_INSTALL}")
    library = Library(usable[0], module)
    if hasattr(module, "init_libnvinfer_plugins"):
        # 8.6 reads some of ONNX's own operators, such as InstanceNormalization, as plugins.
        module.init_libnvinfer_plugins(library.logger, "")
    return library


def _logger(trt: Any, messages: list[str]) -> Any:
    class Logger(trt.ILogger):
        def __init__(self) -> None:
            trt.ILogger.__init__(self)

        def log(self, severity: Any, message: str) -> None:
            if severity in (trt.ILogger.Severity.ERROR, trt.ILogger.Severity.INTERNAL_ERROR):
                messages.append(f"error: {message.strip()}")
            elif severity == trt.ILogger.Severity.WARNING:
                messages.append(f"warning: {message.strip()}")
            del messages[:-_KEPT]

    return Logger()


def monitor(trt: Any, say: Callable[[str], None], every: float = 0.5) -> Any:
    """Return a progress monitor, or ``None`` if the library has none.

    ``say`` is called with phases and steps, at most once per ``every`` seconds.
    """
    if not hasattr(trt, "IProgressMonitor"):
        return None

    class Monitor(trt.IProgressMonitor):
        def __init__(self) -> None:
            trt.IProgressMonitor.__init__(self)
            self._steps: dict[str, int] = {}
            self._last = 0.0

        def phase_start(self, phase_name: str, parent_phase: str | None, num_steps: int) -> None:
            self._steps[phase_name] = num_steps
            if parent_phase is None:
                self._say(phase_name)

        def phase_finish(self, phase_name: str) -> None:
            self._steps.pop(phase_name, None)

        def step_complete(self, phase_name: str, step: int) -> bool:
            steps = self._steps.get(phase_name, 0)
            if steps > 1:
                self._say(f"{phase_name} {step + 1}/{steps}")
            return True  # False would cancel the build

        def _say(self, text: str) -> None:
            now = time.monotonic()
            if now - self._last >= every:
                self._last = now
                say(text)

    return Monitor()
