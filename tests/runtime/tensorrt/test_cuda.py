from __future__ import annotations

import numpy as np
import pytest

from mmkeras.runtime.tensorrt.cuda import CudaError, call, driver, gpus, why_no_gpu
from mmkeras.runtime.tensorrt.memory import Buffer, Context, Stream
from tests.runtime.tensorrt.conftest import needs_gpu, needs_no_gpu


def test_asking_never_fails_and_says_why_there_is_none():
    assert bool(gpus()) != bool(why_no_gpu())


@needs_no_gpu
def test_a_call_without_a_driver_is_an_error_and_no_crash():
    if driver() is not None:
        pytest.skip("a driver without a GPU is installed")
    assert "driver is not installed" in why_no_gpu()
    with pytest.raises(CudaError, match="cuMemAlloc_v2: the CUDA driver is not installed"):
        call("cuMemAlloc_v2")


@needs_gpu
def test_what_goes_to_the_gpu_comes_back():
    gpu = gpus()[0]
    assert gpu.memory_bytes > 1 << 28
    assert float(gpu.compute_capability) >= 5
    context = Context(gpu)
    stream, buffer = Stream(), Buffer((4, 3), "float32", gpu)
    buffer.array[:] = values = np.arange(12, dtype=np.float32).reshape(4, 3)
    buffer.upload(4, stream)
    stream.wait()
    if not buffer.shared:
        buffer.array[:] = 0
    buffer.download(2, stream)
    stream.wait()
    np.testing.assert_array_equal(buffer.array[:2], values[:2])
    for part in (buffer, stream, context):
        part.close()
        part.close()
