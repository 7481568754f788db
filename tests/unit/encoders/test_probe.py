"""Probing finds out what there is without loading what may crash, and a choice says its reasons."""

from __future__ import annotations

import ctypes
import logging
import subprocess
import sys
from importlib.util import find_spec
from types import SimpleNamespace

import pytest
from onnx_step import StepModel

from stream_app.encoders import EncoderError, EncoderSpec, load, load_encoder, probe
from stream_app.encoders.fallback import FallbackEncoder
from stream_app.encoders.onnx import OnnxEncoder

SPEC = EncoderSpec(kind="recurrent", dim=8, state_size=12, features=5)
GRAPH = StepModel().onnx_bytes()


def driver(*, init=0, devices=1, version=13_000, count_status=0, version_status=0):
    """The C library of a driver that answers so."""

    def store(value, status):
        def call(reference):
            reference._obj.value = value
            return status

        return call

    return SimpleNamespace(
        cuInit=lambda flags: init,
        cuDeviceGetCount=store(devices, count_status),
        cuDriverGetVersion=store(version, version_status),
    )


@pytest.mark.parametrize(
    ("answers", "why"),
    [
        ({"init": 100}, "does not start (CUresult 100)"),
        ({"devices": 0}, "finds no GPU"),
        ({"count_status": 999}, "finds no GPU"),
        ({"version_status": 1}, "does not say its version"),
        ({"version": 12_080}, "supports CUDA 12.8, 13.0 is needed; update it to r580"),
    ],
)
def test_a_driver_that_cannot_be_used_says_why(monkeypatch, answers, why):
    monkeypatch.setattr(ctypes, "CDLL", lambda name: driver(**answers))
    assert why in probe.cuda_driver()
    assert why in probe.why_not("tensorrt")


def test_a_driver_that_works_leaves_the_question_of_the_package(monkeypatch):
    monkeypatch.setattr(ctypes, "CDLL", lambda name: driver())
    assert probe.cuda_driver() == (13_000, 1)
    monkeypatch.setattr(probe, "find_spec", lambda name: None)
    assert "package tensorrt is not installed; docs/backends.md" in probe.why_not("tensorrt")
    assert "pip install 'stream-app[tensorrt-rtx]'" in probe.why_not("tensorrt_rtx")
    monkeypatch.setattr(probe, "find_spec", lambda name: object())
    assert probe.why_not("tensorrt") is None
    assert probe.why_not("onnxruntime") is None


def test_without_a_driver_nothing_crashes(tmp_path):
    """In a process of its own, since what is to be shown is that it survives."""
    (tmp_path / "step.onnx").write_bytes(GRAPH)
    code = """
import ctypes, sys
real = ctypes.CDLL
def none(name, *rest, **more):
    if str(name).startswith("libcuda.so"):
        raise OSError("libcuda.so.1: cannot open shared object file")
    return real(name, *rest, **more)
ctypes.CDLL = none
from stream_app.encoders import EncoderError, EncoderSpec, load_encoder
spec = EncoderSpec(kind="recurrent", dim=8, state_size=12, features=5)
for name in ("tensorrt", "tensorrt_rtx"):
    try:
        load_encoder(spec, sys.argv[1], name)
    except EncoderError as error:
        print(error)
print(load_encoder(spec, sys.argv[1], "auto").backend)
print([name for name in ("tensorrt", "tensorrt_rtx", "torch") if name in sys.modules])
"""
    done = subprocess.run(
        [sys.executable, "-c", code, tmp_path], capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines() == [
        "encoder backend 'tensorrt' cannot be used: no CUDA driver: libcuda.so.1: cannot open "
        "shared object file",
        "encoder backend 'tensorrt_rtx' cannot be used: no CUDA driver: libcuda.so.1: cannot open "
        "shared object file",
        "onnxruntime-cpu",
        "[]",
    ]


@pytest.mark.skipif(find_spec("tensorrt_rtx") is None, reason="tensorrt_rtx is not installed")
@pytest.mark.skipif(not isinstance(probe.cuda_driver(), str), reason="needs a machine without GPU")
def test_a_runtime_of_tensorrt_rtx_without_a_driver_gives_an_error():
    """What the probe keeps us from; it must not end the process either."""
    code = """
from stream_app.encoders.tensorrt.engine import Engine
from stream_app.encoders.tensorrt.build import Recipe
from stream_app.encoders.tensorrt.library import TensorrtError, open_library
class Cuda:
    def activate(self): pass
try:
    Engine(open_library("tensorrt_rtx"), Cuda(), b"no plan" * 100, Recipe())
except TensorrtError as error:
    print(error)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    assert "the plan cannot be loaded: " in done.stdout
    assert "Error Code" in done.stdout


class Broken(OnnxEncoder):
    """A GPU that gives up after some steps."""

    backend = "tensorrt-11"

    def __init__(self, steps=0):
        super().__init__("x", graph=GRAPH)
        self.steps = steps

    def step(self, states, item_vectors, features):
        self.steps -= 1
        if self.steps < 0:
            raise RuntimeError("an illegal memory access was encountered")
        return super().step(states, item_vectors, features)


@pytest.fixture
def gpu(monkeypatch):
    """Make `tensorrt` usable, and what it loads to be given; an exception is raised."""

    def give(result):
        def load_tensorrt(*arguments):
            if isinstance(result, Exception):
                raise result
            return result

        monkeypatch.setattr(load, "why_not", lambda name: None if name == "tensorrt" else "absent")
        monkeypatch.setattr(
            load, "import_module", lambda name: SimpleNamespace(load_tensorrt=load_tensorrt)
        )

    return give


def test_auto_says_why_each_backend_is_not_taken(monkeypatch, caplog):
    monkeypatch.setattr(load, "why_not", lambda name: f"{name} is absent")
    with caplog.at_level(logging.DEBUG):
        assert load_encoder(SPEC, "x", graph=GRAPH).backend == "onnxruntime-cpu"
    assert [record.getMessage() for record in caplog.records] == [
        "encoder backend 'tensorrt' cannot be used: tensorrt is absent; not taken",
        "encoder backend 'tensorrt_rtx' cannot be used: tensorrt_rtx is absent; not taken",
    ]
    with pytest.raises(EncoderError, match="'torch' cannot be used: torch is absent"):
        load_encoder(SPEC, "x", "torch", graph=GRAPH)
    with pytest.raises(EncoderError, match=r"'cuda' is unknown; use one of .'auto', 'onnxruntime'"):
        load_encoder(SPEC, "x", "cuda", graph=GRAPH)


@pytest.mark.parametrize(
    ("error", "message"),
    [
        (EncoderError("no memory"), "'tensorrt' failed: no memory"),
        (TypeError("factory function returned nullptr"), "failed: TypeError: factory function"),
    ],
)
def test_a_broken_backend_is_passed_over_unless_it_is_named(gpu, caplog, error, message):
    gpu(error)
    assert load_encoder(SPEC, "x", graph=GRAPH).backend == "onnxruntime-cpu"
    assert message in caplog.text
    with pytest.raises(EncoderError, match=message):
        load_encoder(SPEC, "x", "tensorrt", graph=GRAPH)


def test_a_backend_that_computes_something_else_is_passed_over(gpu, caplog, degraded_by):
    gpu(Broken(steps=9))

    def accept(encoder):
        if encoder.backend == "tensorrt-11":
            raise ValueError("user vectors differ")

    chosen = load_encoder(SPEC, "x", graph=GRAPH, accept=accept)
    assert chosen.backend == "onnxruntime-cpu"
    assert "user vectors differ; not taken" in caplog.text
    assert degraded_by() == {"backend_refused": 1}, "what is absent is not refused"
    with pytest.raises(ValueError, match="user vectors differ"):
        load_encoder(SPEC, "x", "tensorrt", graph=GRAPH, accept=accept)


def test_an_int8_graph_is_for_onnx_runtime(gpu):
    gpu(Broken(steps=9))
    chosen = load_encoder(SPEC, "x", graph=GRAPH, precision="int8")
    assert chosen.backend == "onnxruntime-cpu"
    with pytest.raises(EncoderError, match="an int8 graph runs on onnxruntime only"):
        load_encoder(SPEC, "x", "tensorrt", graph=GRAPH, precision="int8")


def test_a_backend_that_breaks_while_it_serves_is_replaced(gpu, caplog, degraded_by):
    gpu(Broken(steps=1))
    encoder = load_encoder(SPEC, "x", graph=GRAPH)
    assert isinstance(encoder, FallbackEncoder)
    histories = StepModel().histories([3, 1])
    expected = OnnxEncoder("x", graph=GRAPH).encode(histories)
    assert encoder.backend == "tensorrt-11"
    for found, wanted in zip(encoder.encode(histories), expected, strict=True):
        assert (found == wanted).all()
    assert encoder.backend == "onnxruntime-cpu"
    assert "the encoder on tensorrt-11 failed; it runs on onnxruntime-cpu until" in caplog.text
    assert degraded_by() == {"encoder_fallback": 1}


def test_an_error_of_the_last_backend_is_not_hidden():
    encoder = FallbackEncoder(Broken(), Broken())
    with pytest.raises(RuntimeError, match="illegal memory access"):
        encoder.encode(StepModel().histories([2]))
    with pytest.raises(RuntimeError, match="illegal memory access"):
        encoder.encode(StepModel().histories([2]))
