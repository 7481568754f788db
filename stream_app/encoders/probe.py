"""What could run an encoder on this machine, found out without loading anything that may crash.

A TensorRT runtime made without a driver can end the process instead of raising an error, so the
driver is asked first, through its C library, and a module is only looked up, not imported.
"""

from __future__ import annotations

import ctypes
from importlib.util import find_spec
from typing import NamedTuple

# CUDA 13, for which the packages of TensorRT 11 and TensorRT-RTX 1.7 are built; driver r580.
NEEDED_CUDA = 13_000
LIBCUDA = "libcuda.so.1"

# Where a backend lives, and how to get it.
MODULES = {
    "tensorrt": ("tensorrt", "docs/backends.md says how to install TensorRT"),
    "tensorrt_rtx": ("tensorrt_rtx", "pip install 'stream-app[tensorrt-rtx]'"),
    "torch": ("torch", "pip install 'stream-app[train]'"),
}
ON_GPU = ("tensorrt", "tensorrt_rtx")


class Driver(NamedTuple):
    """A CUDA driver that works."""

    version: int
    """The newest CUDA that it supports, as 1000 * major + 10 * minor."""
    devices: int


def why_not(backend: str) -> str | None:
    """Why `backend` cannot run here; None if it may be tried. Imports nothing."""
    if backend in ON_GPU and isinstance(driver := cuda_driver(), str):
        return driver
    if backend in MODULES:
        module, cure = MODULES[backend]
        if find_spec(module) is None:
            return f"the package {module} is not installed; {cure}"
    return None


def cuda_driver() -> Driver | str:
    """The CUDA driver of this machine, or why there is none that can be used."""
    try:
        library = ctypes.CDLL(LIBCUDA)
    except OSError as error:
        return f"no CUDA driver: {error}"
    if status := library.cuInit(0):
        return f"the CUDA driver does not start (CUresult {status})"
    count, version = ctypes.c_int(), ctypes.c_int()
    if library.cuDeviceGetCount(ctypes.byref(count)) or not count.value:
        return "the CUDA driver finds no GPU"
    if status := library.cuDriverGetVersion(ctypes.byref(version)):
        return f"the CUDA driver does not say its version (CUresult {status})"
    if version.value < NEEDED_CUDA:
        return (
            f"the CUDA driver supports CUDA {_dotted(version.value)}, "
            f"{_dotted(NEEDED_CUDA)} is needed; update it to r580 or later"
        )
    return Driver(version.value, count.value)


def _dotted(version: int) -> str:
    return f"{version // 1000}.{version % 1000 // 10}"
