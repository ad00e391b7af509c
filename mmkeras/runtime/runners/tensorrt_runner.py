"""TensorRT engines (``.plan``), built on the device by ``mmkeras build-engine``."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from mmkeras.core.errors import BundleError, DependencyError
from mmkeras.runtime.runner import RunnerBase

if TYPE_CHECKING:
    from mmkeras.runtime.tensorrt.execution import Execution
    from mmkeras.runtime.tensorrt.sidecar import BuiltFor

__all__ = ["Runner"]


class Runner(RunnerBase):
    """Runs an engine on the first GPU; any batch size: larger ones are split, smaller ones filled up."""

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
        """Return whether a TensorRT is installed and there is a GPU."""
        return not cls.missing()

    @classmethod
    def missing(cls) -> str:
        """Return why engines cannot be run here, with what to do; empty where they can."""
        from mmkeras.runtime.tensorrt.library import why_not_here

        return why_not_here()

    def _load(self) -> None:
        from mmkeras.runtime.tensorrt.cuda import gpus
        from mmkeras.runtime.tensorrt.execution import Execution
        from mmkeras.runtime.tensorrt.library import installed, open_library, why_not_here
        from mmkeras.runtime.tensorrt.sidecar import read_sidecar

        built = read_sidecar(self.path)
        # libcuda first: TensorRT 8.6 crashes without a GPU.
        problem = why_not_here(built.library) if built.library in installed() else why_not_here()
        if problem:
            raise DependencyError(problem)
        library = open_library(built.library if built.library in installed() else None)
        gpu = gpus()[0]
        problems = built.mismatches(library.name, library.version, gpu)
        if problems:
            raise BundleError(
                f"{self.path} was not built for this machine: {'; '.join(problems)}. {_rebuild(self.path, built)}, "
                "or give --rebuild to have it built now."
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
