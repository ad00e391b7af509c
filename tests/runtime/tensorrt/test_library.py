from __future__ import annotations

import subprocess
import sys

import pytest

from mmkeras.core.errors import ConfigError, DependencyError
from mmkeras.runtime.tensorrt import library as module
from mmkeras.runtime.tensorrt.library import installed, open_library, why_not_here
from tests.runtime.tensorrt.conftest import needs_no_gpu, needs_rtx


def test_an_unknown_library_and_one_that_is_not_there(monkeypatch: pytest.MonkeyPatch):
    with pytest.raises(ConfigError, match=r"no TensorRT library 'tensorrt_rtx'; did you mean 'tensorrt-rtx'"):
        open_library("tensorrt_rtx")
    monkeypatch.setattr(module, "LIBRARIES", {"tensorrt": "library_that_is_not_there"})
    assert installed() == ()
    with pytest.raises(DependencyError, match=r"not installed.*JetPack|not installed.*Jetson"):
        open_library()


@needs_no_gpu
def test_without_a_gpu_the_library_is_not_even_imported(monkeypatch: pytest.MonkeyPatch):
    # This module stands for TensorRT 8.6, which ends the process here.
    monkeypatch.setattr(module, "LIBRARIES", {"tensorrt": "tests.runtime.tensorrt.crashing"})
    for to_run in (True, False):
        with pytest.raises(DependencyError, match=r"tensorrt needs an NVIDIA GPU, but"):
            open_library(to_run=to_run)
    assert "tests.runtime.tensorrt.crashing" not in sys.modules


@needs_no_gpu
@needs_rtx
def test_tensorrt_rtx_builds_without_a_gpu_and_runs_with_one():
    assert why_not_here("tensorrt-rtx", to_run=False) == ""
    with pytest.raises(DependencyError, match="Run this on the device"):
        open_library("tensorrt-rtx")


@needs_rtx
def test_it_keeps_what_the_library_says():
    code = """
from mmkeras.runtime.tensorrt.library import open_library
library = open_library("tensorrt-rtx", to_run=False)
severity = library.module.ILogger.Severity
for kind in (severity.ERROR, severity.WARNING, severity.INFO):
    library.logger.log(kind, f" {kind.name} ")
assert library.messages == ["error: ERROR", "warning: WARNING"], library.messages
assert library.errors() == "ERROR"
assert library.has("BuilderFlag.TF32") and not library.has("BuilderFlag.NOTHING.AT.ALL")
for number in range(1000):
    library.logger.log(severity.ERROR, str(number))
assert len(library.messages) == 200
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


@needs_rtx
def test_the_runtime_has_what_the_runner_calls():
    """No engine can be run here; that every name exists can be seen."""
    code = """
import tensorrt_rtx as trt
context = "set_input_shape get_tensor_shape set_tensor_address execute_async_v3"
engine = "num_io_tensors get_tensor_name get_tensor_mode get_tensor_dtype create_execution_context"
missing = [
    f"{owner.__name__}.{name}"
    for owner, names in (
        (trt.IExecutionContext, context),
        (trt.ICudaEngine, engine),
        (trt.Runtime, "deserialize_cuda_engine engine_host_code_allowed DLA_core"),
        (trt.TensorIOMode, "INPUT OUTPUT"),
    )
    for name in names.split()
    if not hasattr(owner, name)
]
assert not missing, missing
from mmkeras.runtime.tensorrt.execution import dtype_of
kinds = {name: dtype_of(getattr(trt.DataType, name)) for name in ("FLOAT", "HALF", "INT8", "INT32", "UINT8", "BOOL")}
assert kinds["HALF"] == "float16" and kinds["UINT8"] == "uint8", kinds
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
