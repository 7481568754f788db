"""The few calls of the CUDA driver that an engine needs, without a package for them.

The driver's C interface is stable: a symbol keeps its meaning, a new meaning gets a new suffix, so
the names below are right for every driver from CUDA 12 on. `cuda-python` would be tens of MB for
these twenty calls, and torch does not serve.
"""

from __future__ import annotations

import ctypes
from ctypes import POINTER, byref, c_char_p, c_int, c_size_t, c_uint, c_ulonglong, c_void_p
from typing import Any

import numpy as np

from stream_app.encoders.probe import LIBCUDA
from stream_app.encoders.tensorrt.library import TensorrtError

NON_BLOCKING = 1  # CU_STREAM_NON_BLOCKING: does not wait for the default stream
THREAD_LOCAL = 1  # CU_STREAM_CAPTURE_MODE_THREAD_LOCAL: other threads may go on allocating
CAPABILITY_MAJOR, CAPABILITY_MINOR = 75, 76  # CUdevice_attribute
NAME_BYTES = 256

SIGNATURES: dict[str, tuple[Any, ...]] = {
    "cuInit": (c_uint,),
    "cuDriverGetVersion": (POINTER(c_int),),
    "cuDeviceGet": (POINTER(c_int), c_int),
    "cuDeviceGetName": (c_char_p, c_int, c_int),
    "cuDeviceGetAttribute": (POINTER(c_int), c_int, c_int),
    "cuDevicePrimaryCtxRetain": (POINTER(c_void_p), c_int),
    "cuCtxSetCurrent": (c_void_p,),
    "cuMemAlloc_v2": (POINTER(c_ulonglong), c_size_t),
    "cuMemFree_v2": (c_ulonglong,),
    "cuMemAllocHost_v2": (POINTER(c_void_p), c_size_t),
    "cuMemFreeHost": (c_void_p,),
    "cuMemcpyHtoDAsync_v2": (c_ulonglong, c_void_p, c_size_t, c_void_p),
    "cuMemcpyDtoHAsync_v2": (c_void_p, c_ulonglong, c_size_t, c_void_p),
    "cuStreamCreate": (POINTER(c_void_p), c_uint),
    "cuStreamDestroy_v2": (c_void_p,),
    "cuStreamSynchronize": (c_void_p,),
    "cuStreamBeginCapture_v2": (c_void_p, c_int),
    "cuStreamEndCapture": (c_void_p, POINTER(c_void_p)),
    "cuGraphInstantiateWithFlags": (POINTER(c_void_p), c_void_p, c_ulonglong),
    "cuGraphLaunch": (c_void_p, c_void_p),
    "cuGraphExecDestroy": (c_void_p,),
    "cuGraphDestroy": (c_void_p,),
    "cuGetErrorString": (c_int, POINTER(c_char_p)),
}


class Cuda:
    """The driver with the primary context of one GPU, which TensorRT uses as well."""

    def __init__(self, device: int = 0, library: str = LIBCUDA) -> None:
        """Start the driver. Raises `TensorrtError`."""
        try:
            self._driver = ctypes.CDLL(library)
            for name, arguments in SIGNATURES.items():
                function = getattr(self._driver, name)
                function.argtypes, function.restype = arguments, c_int
        except (OSError, AttributeError) as error:
            raise TensorrtError(f"no CUDA driver: {error}") from error
        self._call("cuInit", 0)
        self._device, context = c_int(), c_void_p()
        self._call("cuDeviceGet", byref(self._device), device)
        self._call("cuDevicePrimaryCtxRetain", byref(context), self._device)
        self._context = context
        self.activate()

    def activate(self) -> None:
        """Make the GPU current in the calling thread; needed once in each, and cheap."""
        self._call("cuCtxSetCurrent", self._context)

    def describe(self) -> dict[str, str]:
        """Name and compute capability of the GPU, and the CUDA version of the driver."""
        name, version = ctypes.create_string_buffer(NAME_BYTES), c_int()
        major, minor = c_int(), c_int()
        self._call("cuDeviceGetName", name, NAME_BYTES, self._device)
        self._call("cuDriverGetVersion", byref(version))
        self._call("cuDeviceGetAttribute", byref(major), CAPABILITY_MAJOR, self._device)
        self._call("cuDeviceGetAttribute", byref(minor), CAPABILITY_MINOR, self._device)
        return {
            "gpu": name.value.decode(errors="replace"),
            "capability": f"{major.value}.{minor.value}",
            "driver": str(version.value),
        }

    def allocate(self, size: int) -> int:
        """Memory of the GPU, `size` bytes."""
        address = c_ulonglong()
        self._call("cuMemAlloc_v2", byref(address), max(size, 1))
        return address.value

    def free(self, address: int) -> None:
        """Give back what `allocate` gave."""
        self._call("cuMemFree_v2", address)

    def allocate_host(self, shape: tuple[int, ...], dtype: np.dtype[Any]) -> np.ndarray:
        """An array in page-locked memory, from and to which the GPU copies by itself."""
        size = max(int(np.prod(shape)) * dtype.itemsize, 1)
        address = c_void_p()
        self._call("cuMemAllocHost_v2", byref(address), size)
        buffer = (ctypes.c_char * size).from_address(address.value or 0)
        return np.ndarray(shape, dtype, buffer)  # type: ignore[arg-type] # a buffer like any other

    def free_host(self, array: np.ndarray) -> None:
        """Give back what `allocate_host` gave; the array must not be used any more."""
        self._call("cuMemFreeHost", array.ctypes.data)

    def copy_in(self, address: int, array: np.ndarray, stream: int) -> None:
        """Queue a copy of a page-locked array to the GPU."""
        self._call("cuMemcpyHtoDAsync_v2", address, array.ctypes.data, array.nbytes, stream)

    def copy_out(self, array: np.ndarray, address: int, stream: int) -> None:
        """Queue a copy from the GPU to a page-locked array."""
        self._call("cuMemcpyDtoHAsync_v2", array.ctypes.data, address, array.nbytes, stream)

    def stream(self) -> int:
        """A queue of work of its own."""
        stream = c_void_p()
        self._call("cuStreamCreate", byref(stream), NON_BLOCKING)
        return stream.value or 0

    def free_stream(self, stream: int) -> None:
        """Give back what `stream` gave."""
        self._call("cuStreamDestroy_v2", stream)

    def synchronize(self, stream: int) -> None:
        """Wait until all work of the queue is done."""
        self._call("cuStreamSynchronize", stream)

    def begin_capture(self, stream: int) -> None:
        """Record what is queued from now on instead of doing it."""
        self._call("cuStreamBeginCapture_v2", stream, THREAD_LOCAL)

    def end_capture(self, stream: int) -> int:
        """End the recording; returns a graph that `launch` takes."""
        graph, runnable = c_void_p(), c_void_p()
        self._call("cuStreamEndCapture", stream, byref(graph))
        try:
            self._call("cuGraphInstantiateWithFlags", byref(runnable), graph, 0)
        finally:
            self._call("cuGraphDestroy", graph)
        return runnable.value or 0

    def launch(self, graph: int, stream: int) -> None:
        """Queue a recorded graph as one piece of work."""
        self._call("cuGraphLaunch", graph, stream)

    def free_graph(self, graph: int) -> None:
        """Give back what `end_capture` gave."""
        self._call("cuGraphExecDestroy", graph)

    def _call(self, name: str, *arguments: Any) -> None:
        if status := getattr(self._driver, name)(*arguments):
            text = c_char_p()
            self._driver.cuGetErrorString(status, byref(text))
            said = (text.value or b"no description").decode(errors="replace")
            raise TensorrtError(f"CUDA: {name} failed: {said} (CUresult {status})")
