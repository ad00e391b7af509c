"""Runs TensorRT engines (``.plan``), which ``mmkeras build-engine`` builds on the device."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from mmkeras.core.errors import BundleError
from mmkeras.runtime.runner import RunnerBase

if TYPE_CHECKING:
    from mmkeras.runtime.tensorrt.execution import Execution
    from mmkeras.runtime.tensorrt.sidecar import BuiltFor

__all__ = ["Runner"]


class Runner(RunnerBase):
    """Runs an engine on the first GPU with any batch size: large batches are split, small ones are padded."""

    format = "tensorrt"
    engine = "TensorRT"
    module = "tensorrt"
    extra = "tensorrt"
    package = "tensorrt"
    # Only on request: an engine runs only on the machine that built it.
    rank = 2
    devices = ("tensorrt",)

    _execution: Execution | None = None

    @classmethod
    def available(cls) -> bool:
        """Return whether TensorRT is installed and there is a GPU."""
        return not cls.missing()

    @classmethod
    def missing(cls) -> str:
        """Return why engines cannot run on this machine, and what to do; empty if they can."""
        from mmkeras.runtime.tensorrt.library import why_not_here

        return why_not_here()

    def _load(self) -> None:
        from mmkeras.runtime.tensorrt.cuda import gpus
        from mmkeras.runtime.tensorrt.execution import Execution
        from mmkeras.runtime.tensorrt.library import installed, open_library
        from mmkeras.runtime.tensorrt.sidecar import read_sidecar

        built = read_sidecar(self.path)
        # Checks for a GPU first: TensorRT 8.6 crashes without one.
        library = open_library(built.library if built.library in installed() else None)
        gpu = gpus()[0]
        problems = built.mismatches(library.name, library.version, gpu)
        if problems:
            raise BundleError(
                f"{self.path} was not built for this machine: {'; '.join(problems)}. {_rebuild(self.path, built)}, "
                "or use --rebuild to build it now."
            )
        self._execution = Execution(library, self.path, built, gpu)
        self.inputs, self.outputs = self._execution.inputs, self._execution.outputs

    def _unload(self) -> None:
        if self._execution is not None:
            self._execution.close()
        self._execution = None

    def _run(self, inputs: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        execution = self._execution
        assert execution is not None
        samples = len(next(iter(inputs.values())))
        if samples <= execution.largest:
            return execution.run(inputs)
        parts = [
            execution.run({name: array[start : start + execution.largest] for name, array in inputs.items()})
            for start in range(0, samples, execution.largest)
        ]
        return {name: np.concatenate([part[name] for part in parts]) for name in self.outputs}


def _rebuild(engine: Path, built: BuiltFor) -> str:
    folder = engine.parent
    bundle = folder.with_suffix(".mmk") if folder.suffix == ".engines" else folder.parent
    precision = f" --precision {built.precision}" if built.precision else ""
    return f"Build it again with: mmkeras build-engine {bundle}{precision}"
