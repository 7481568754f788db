"""The calls of the CUDA driver, through a real C library that only has plain memory."""

from __future__ import annotations

import ctypes.util
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest

from stream_app.encoders.tensorrt.cuda import Cuda
from stream_app.encoders.tensorrt.library import TensorrtError

SOURCE = Path(__file__).with_name("libcuda_stub.c")
COMPILER = shutil.which("cc") or shutil.which("gcc")


@pytest.fixture(scope="module")
def stub(tmp_path_factory):
    if COMPILER is None:
        pytest.skip("needs a C compiler")
    library = tmp_path_factory.mktemp("cuda") / "libcuda_stub.so"
    subprocess.run([COMPILER, "-shared", "-fPIC", "-o", library, SOURCE], check=True, timeout=60)
    return str(library)


def test_the_gpu_is_described(stub):
    assert Cuda(library=stub).describe() == {
        "gpu": "Stub GPU",
        "capability": "9.0",
        "driver": "13000",
    }


@pytest.mark.parametrize("shape", [(3, 5), (2, 3, 4), (0, 7)])
def test_arrays_go_to_the_gpu_and_back(stub, shape):
    cuda = Cuda(library=stub)
    stream = cuda.stream()
    there, back = (cuda.allocate_host(shape, np.dtype(np.float32)) for _ in range(2))
    there[...] = np.arange(there.size).reshape(shape)
    back[...] = -1
    address = cuda.allocate(there.nbytes)
    cuda.copy_in(address, there, stream)
    cuda.copy_out(back, address, stream)
    cuda.synchronize(stream)
    np.testing.assert_array_equal(back, there)
    cuda.free(address)
    for array in (there, back):
        cuda.free_host(array)
    cuda.free_stream(stream)


def test_a_recording_is_launched(stub):
    cuda = Cuda(library=stub)
    stream = cuda.stream()
    with pytest.raises(TensorrtError, match=r"cuStreamEndCapture failed: no description .* 901"):
        cuda.end_capture(stream)
    cuda.begin_capture(stream)
    graph = cuda.end_capture(stream)
    cuda.launch(graph, stream)
    cuda.free_graph(graph)
    cuda.free_stream(stream)


def test_errors_are_the_drivers_own_words(stub):
    cuda = Cuda(library=stub)
    with pytest.raises(TensorrtError, match=r"cuMemAlloc_v2 failed: out of memory \(CUresult 2\)"):
        cuda.allocate(1 << 41)
    with pytest.raises(TensorrtError, match=r"cuDeviceGet failed: no description \(CUresult 101"):
        Cuda(1, library=stub)


def test_a_driver_that_is_missing_or_too_old_is_an_error(tmp_path):
    with pytest.raises(TensorrtError, match=r"no CUDA driver: .*none.so"):
        Cuda(library=str(tmp_path / "none.so"))
    with pytest.raises(TensorrtError, match=r"no CUDA driver: .*undefined symbol: cuInit"):
        Cuda(library=ctypes.util.find_library("c"))
