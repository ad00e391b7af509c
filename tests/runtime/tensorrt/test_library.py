from __future__ import annotations

import subprocess
import sys

import pytest

from mmkeras.errors import ConfigError, DependencyError
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
        with pytest.raises(DependencyError, match=r"tensorrt needs an NVIDIA GPU and finds none"):
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
