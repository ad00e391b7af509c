"""Says how far a build is, where the library tells it (IProgressMonitor, from TensorRT 9 on)."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

__all__ = ["monitor"]


def monitor(trt: Any, say: Callable[[str], None], every: float = 0.5) -> Any:
    """Return a progress monitor that says the outermost phase and how far it is, or ``None`` where there is none.

    Args:
        trt: the TensorRT module.
        say: called with a text for people.
        every: seconds between two texts.
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
