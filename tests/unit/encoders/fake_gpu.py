"""A GPU that is not there: TensorRT's calls over ONNX Runtime, and CUDA's over plain memory.

It shows the order of calls and what follows from each failure. It does not show that TensorRT or
CUDA behave like this: for that, `benchmarks/gpu_check.py` on a real one.
"""

from __future__ import annotations

import ctypes
from types import SimpleNamespace

import numpy as np
import onnxruntime

from stream_app.encoders.tensorrt.library import TensorrtError, wrap


class FakeCuda:
    """The calls of `stream_app.encoders.tensorrt.cuda.Cuda`, done at once or recorded."""

    def __init__(self):
        self.calls, self.buffers, self.capturing = [], {}, None
        self.broken = None

    def _called(self, name):
        self.calls.append(name)
        if name == self.broken:
            raise TensorrtError(f"CUDA: {name} failed: an illegal memory access")

    def describe(self):
        return {"gpu": "Fake", "capability": "9.0", "driver": "13000"}

    def activate(self):
        self._called("activate")

    def allocate(self, size):
        self._called("allocate")
        buffer = ctypes.create_string_buffer(size)
        self.buffers[ctypes.addressof(buffer)] = buffer
        return ctypes.addressof(buffer)

    def free(self, address):
        self._called("free")
        del self.buffers[address]

    def allocate_host(self, shape, dtype):
        self._called("allocate_host")
        return np.full(shape, 77, dtype)

    def free_host(self, array):
        self._called("free_host")

    def stream(self):
        self._called("stream")
        return 7

    def free_stream(self, stream):
        self._called("free_stream")

    def synchronize(self, stream):
        self._called("synchronize")

    def copy_in(self, address, array, stream):
        self._called("copy_in")
        self._do(lambda: ctypes.memmove(address, array.ctypes.data, array.nbytes))

    def copy_out(self, array, address, stream):
        self._called("copy_out")
        self._do(lambda: ctypes.memmove(array.ctypes.data, address, array.nbytes))

    def begin_capture(self, stream):
        self._called("begin_capture")
        self.capturing = []

    def end_capture(self, stream):
        self._called("end_capture")
        graph, self.capturing = self.capturing, None
        return graph

    def launch(self, graph, stream):
        self._called("launch")
        for work in graph:
            work()

    def free_graph(self, graph):
        self._called("free_graph")

    def _do(self, work):
        work() if self.capturing is None else self.capturing.append(work)


class FakeTensorrt:
    """The module `tensorrt`, as far as it is used; a plan is the graph with a mark before it."""

    __version__ = "11.4.0.0"
    MARK = b"plan:"
    float32, int64 = np.dtype(np.float32), np.dtype(np.int64)

    def __init__(self, cuda):
        self.cuda, self.calls = cuda, []
        self.fails = set()  # names of calls that fail
        self.drops_bias = False  # as engines that take weights did in 11.3
        severity = SimpleNamespace(INTERNAL_ERROR=0, ERROR=1, WARNING=2, INFO=3, VERBOSE=4)
        self.ILogger = type("ILogger", (), {"Severity": severity, "__init__": lambda self: None})
        self.BuilderFlag = SimpleNamespace(TF32="TF32", REFIT="REFIT")
        self.TensorIOMode = SimpleNamespace(INPUT="input", OUTPUT="output")
        for name in ("Builder", "OnnxParser", "Runtime", "Refitter", "OnnxParserRefitter"):
            setattr(self, name, self._maker(name))

    def nptype(self, dtype):
        return dtype

    def _maker(self, name):
        made = globals()[f"_{name}"]
        return lambda *arguments: made(self, *arguments)

    def did(self, name):
        """Note a call; whether it works."""
        self.calls.append(name)
        return name not in self.fails


class _Builder:
    def __init__(self, trt, logger):
        self.trt, self.logger = trt, logger

    def create_network(self, flags):
        return SimpleNamespace(graph=None, num_inputs=0)

    def create_builder_config(self):
        return _Config(self.trt)

    def create_optimization_profile(self):
        return _Profile()

    def build_serialized_network(self, network, config):
        flags = "REFIT" if "REFIT" in config.flags else "plain"
        if not self.trt.did(f"build {flags}"):
            self.logger.log(1, "Error Code 10: no implementation")
            return None
        assert "TF32" not in config.flags
        assert config.profiles
        mark = b"biasless:" if flags == "REFIT" and self.trt.drops_bias else b""
        return self.trt.MARK + mark + network.graph


class _Config:
    def __init__(self, trt):
        self.trt, self.flags, self.profiles, self.timings = trt, {"TF32"}, [], None

    def clear_flag(self, flag):
        self.flags.discard(flag)

    def set_flag(self, flag):
        self.flags.add(flag)

    def create_timing_cache(self, raw):
        self.trt.did("old timings" if raw else "no timings")
        return SimpleNamespace(serialize=lambda: b"timings")

    def set_timing_cache(self, cache, ignore_mismatch):
        self.timings = cache

    def get_timing_cache(self):
        return self.timings

    def add_optimization_profile(self, profile):
        self.profiles.append(profile.shapes)


class _Profile:
    def __init__(self):
        self.shapes = {}

    def set_shape(self, name, low, typical, high):
        self.shapes[name] = (low, typical, high)


class _OnnxParser:
    def __init__(self, trt, network, logger):
        self.network, self.num_errors = network, 0

    def parse(self, graph):
        session = onnxruntime.InferenceSession(graph, providers=["CPUExecutionProvider"])
        ends = [SimpleNamespace(name=end.name, shape=_dims(end)) for end in session.get_inputs()]
        self.network.graph, self.network.num_inputs = graph, len(ends)
        self.network.get_input = ends.__getitem__
        return True


class _Runtime:
    def __init__(self, trt, logger):
        self.trt, self.logger = trt, logger

    def deserialize_cuda_engine(self, plan):
        if not self.trt.did("deserialize") or not plan.startswith(self.trt.MARK):
            self.logger.log(1, "Error Code 1: header.magicTag")
            return None
        return _Engine(self.trt, plan.removeprefix(self.trt.MARK))


class _Engine:
    def __init__(self, trt, graph):
        self.trt, self.logs = trt, []
        self.biasless = graph.startswith(b"biasless:")
        self.load(graph.removeprefix(b"biasless:"))

    def load(self, graph):
        self.session = onnxruntime.InferenceSession(graph, providers=["CPUExecutionProvider"])
        self.inputs = {end.name: end for end in self.session.get_inputs()}
        self.outputs = {end.name: end for end in self.session.get_outputs()}
        self.names = [*self.inputs, *self.outputs]
        self.num_io_tensors = len(self.names)

    def get_tensor_name(self, number):
        return self.names[number]

    def get_tensor_mode(self, name):
        return "input" if name in self.inputs else "output"

    def get_tensor_shape(self, name):
        return _dims({**self.inputs, **self.outputs}[name])

    def get_tensor_dtype(self, name):
        end = {**self.inputs, **self.outputs}[name]
        return np.dtype(np.int64 if "int64" in end.type else np.float32)

    def create_execution_context(self):
        return _Context(self) if self.trt.did("context") else None


class _Context:
    def __init__(self, engine):
        self.engine, self.trt = engine, engine.trt
        self.shapes, self.addresses = {}, {}

    def set_optimization_profile_async(self, profile, stream):
        return self.trt.did(f"profile {profile}")

    def set_input_shape(self, name, shape):
        self.shapes[name] = shape
        return self.trt.did("shape")

    def infer_shapes(self):
        return [] if self.trt.did("infer") else ["item"]

    def get_tensor_shape(self, name):
        if name in self.shapes:
            return self.shapes[name]
        batch = self.shapes["item"][0]
        return (batch, *self.engine.get_tensor_shape(name)[1:])

    def set_tensor_address(self, name, address):
        self.addresses[name] = address
        return self.trt.did("address")

    def execute_async_v3(self, stream):
        if not self.trt.did("execute"):
            return False
        self.trt.cuda._do(self._execute)
        return True

    def _execute(self):
        inputs = {name: self._array(name) for name in self.engine.inputs}
        if "lengths" in inputs:
            assert inputs["lengths"].min() >= 1
        results = self.engine.session.run(list(self.engine.outputs), inputs)
        for name, result in zip(self.engine.outputs, results, strict=True):
            self._array(name)[...] = result + self.engine.biasless

    def _array(self, name):
        shape, dtype = self.get_tensor_shape(name), self.engine.get_tensor_dtype(name)
        size = int(np.prod(shape)) * dtype.itemsize
        buffer = (ctypes.c_char * size).from_address(self.addresses[name])
        return np.ndarray(shape, dtype, buffer)


class _Refitter:
    def __init__(self, trt, engine, logger):
        self.trt, self.engine, self.logger, self.graph = trt, engine, logger, None

    def get_missing_weights(self):
        return [] if self.trt.did("missing") else ["W"]

    def refit_cuda_engine(self):
        if not self.trt.did("refit"):
            return False
        self.engine.load(self.graph)
        return True


class _OnnxParserRefitter:
    def __init__(self, trt, refitter, logger):
        self.trt, self.refitter = trt, refitter

    def refit_from_bytes(self, graph):
        self.refitter.graph = graph
        return self.trt.did("refit parse")


def _dims(end):
    """Free sizes are names in ONNX Runtime and -1 in TensorRT."""
    return tuple(size if isinstance(size, int) else -1 for size in end.shape)


def fake_library(cuda, name="tensorrt"):
    """The fake module as the code takes it."""
    return wrap(name, FakeTensorrt(cuda))
