"""Order of calls and handling of errors around an engine, on a GPU that is not there."""

from __future__ import annotations

import gc

import numpy as np
import pytest
from fake_gpu import FakeCuda, fake_library
from graphs import graph_of
from onnx_step import StepModel

from stream_app.encoders import EncoderSpec
from stream_app.encoders.onnx import open_onnx
from stream_app.encoders.tensorrt import engine as engine_module
from stream_app.encoders.tensorrt import load as load_module
from stream_app.encoders.tensorrt.build import Recipe
from stream_app.encoders.tensorrt.cache import PlanCache
from stream_app.encoders.tensorrt.engine import Engine, sizes, up
from stream_app.encoders.tensorrt.library import TensorrtError
from stream_app.encoders.tensorrt.load import Loader, load_tensorrt
from stream_app.encoders.tensorrt.refit import structure_of
from stream_app.encoders.trial import difference, random_step

SPEC = EncoderSpec(kind="recurrent", dim=8, state_size=12, features=5)
GRAPH = StepModel().onnx_bytes()
OTHER = StepModel(seed=1).onnx_bytes()  # the same structure with other weights


class Bench:
    """A fake GPU, its library, a cache, and loaders over them."""

    def __init__(self, path):
        self.cuda = FakeCuda()
        self.library = fake_library(self.cuda)
        self.trt = self.library.trt
        self.cache = PlanCache(path / "engines")

    def load(self, graph=GRAPH, spec=SPEC, cache=True):
        """An engine, and which of the calls that matter were made for it."""
        self.trt.calls.clear()
        reference = open_onnx(spec, "x", graph=graph)
        loader = Loader(self.library, self.cuda, self.cache if cache else None, reference, 2e-3)
        try:
            engine = loader.load(spec, graph)
        except TensorrtError as error:
            return error, self.steps()
        apart = difference(load_module.GraphEncoder(engine.run, spec, "x"), reference, spec, 5)
        assert apart < 1e-6
        return engine, self.steps()

    def steps(self):
        return [
            call
            for call in self.trt.calls
            if call in ("build REFIT", "build plain", "deserialize", "refit", "old timings")
        ]


@pytest.fixture
def bench(tmp_path, monkeypatch):
    monkeypatch.setattr(engine_module, "LARGEST_BATCH", 64)
    made = Bench(tmp_path)
    yield made
    made.cache.close()


def plan(graph=GRAPH):
    return b"plan:" + graph


def test_a_slot_is_bound_run_once_and_then_recorded(bench):
    engine = Engine(bench.library, bench.cuda, plan(), Recipe())
    bench.cuda.calls.clear()
    bench.trt.calls.clear()
    engine.slot(4, 0)
    assert bench.trt.calls == [
        "context", "profile 0", "shape", "shape", "shape", "infer",
        "address", "address", "address", "address", "address", "execute", "execute",
    ]  # fmt: skip
    after = bench.cuda.calls[bench.cuda.calls.index("copy_in") :]
    once = ["copy_in", "copy_in", "copy_in", "copy_out", "copy_out"]
    assert after == [*once, "synchronize", "begin_capture", *once, "end_capture"]


@pytest.mark.parametrize("batch", [1, 3, 64, 65, 200])
def test_batches_are_padded_cut_and_launched_as_graphs(bench, batch):
    engine = Engine(bench.library, bench.cuda, plan(), Recipe())
    encoder = load_module.GraphEncoder(engine.run, SPEC, "x")
    encoder.step(*random_step(SPEC, batch, seed=1))
    executed = bench.trt.calls.count("execute")
    bench.cuda.calls.clear()
    inputs = random_step(SPEC, batch, seed=2)
    states, users = encoder.step(*inputs)
    expected = open_onnx(SPEC, "x", graph=GRAPH).step(*inputs)
    np.testing.assert_allclose(states, expected[0], atol=1e-5)
    np.testing.assert_allclose(users, expected[1], atol=1e-5)
    assert bench.trt.calls.count("execute") == executed  # all by graph
    assert bench.cuda.calls.count("launch") == -(-batch // 64)
    assert set(bench.cuda.calls) == {"activate", "launch", "synchronize"}


def test_whole_histories_do_not_see_the_last_batch(bench):
    spec, graph = graph_of("transformer")
    engine = Engine(bench.library, bench.cuda, plan(graph), Recipe(window=spec.window))
    encoder = load_module.GraphEncoder(engine.run, spec, "x")
    reference = open_onnx(spec, "x", graph=graph)
    for batch in (4, 3, 1):
        assert difference(encoder, reference, spec, batch) < 1e-5
    assert set(engine._slots) == {(4, 12), (1, 12)}


@pytest.mark.parametrize(
    ("size", "smallest", "largest", "slot"),
    [(1, 1, 64, 1), (2, 1, 64, 2), (3, 1, 64, 4), (64, 1, 64, 64), (3, 8, 50, 8), (33, 8, 50, 50)],
)
def test_sizes_of_slots(size, smallest, largest, slot):
    assert up(size, smallest, largest) == slot


def test_histories_have_a_slot_by_length():
    inputs = {"item": np.zeros((3, 9, 2)), "lengths": np.ones(3)}
    assert sizes(inputs, 50) == (4, 16)
    assert sizes({"item": np.zeros((3, 9))}, 0) == (4, 0)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        ("deserialize", "the plan cannot be loaded: Error Code 1: header.magicTag"),
        ("context", "no execution context can be made"),
        ("profile 0", "no optimisation profile takes a batch of 1"),
        ("shape", r"input 'state' cannot have the shape \(1, 12\)"),
        ("infer", "shapes are not known of item"),
        ("address", "'state' cannot have the address 0x"),
        ("execute", "the engine does not run"),
    ],
)
def test_every_refusal_is_an_error_and_gives_all_memory_back(bench, call, message):
    bench.trt.fails.add(call)
    with pytest.raises(TensorrtError, match=message):
        Engine(bench.library, bench.cuda, plan(), Recipe()).slot(1, 0)
    given, taken = bench.cuda.calls.count("free"), bench.cuda.calls.count("allocate")
    assert given == taken
    assert not bench.cuda.buffers


def test_a_recording_that_fails_is_ended(bench):
    engine = Engine(bench.library, bench.cuda, plan(), Recipe())
    executed = bench.trt.did

    def second_fails(name):
        return executed(name) and not (name == "execute" and bench.cuda.capturing is not None)

    bench.trt.did = second_fails
    with pytest.raises(TensorrtError, match="the engine does not run"):
        engine.slot(1, 0)
    assert bench.cuda.calls.count("end_capture") == 1
    assert not bench.cuda.buffers


def test_an_engine_that_is_dropped_gives_its_memory_back(bench):
    engine = Engine(bench.library, bench.cuda, plan(), Recipe())
    engine.warm_up()
    assert bench.cuda.buffers
    del engine
    gc.collect()
    assert not bench.cuda.buffers
    released = bench.cuda.calls.index("free_graph")
    assert bench.cuda.calls[released - 1] == "activate"  # first, as any thread may do this


def test_the_library_that_records_by_itself_is_left_to_it(bench):
    class Config:
        cuda_graph_strategy = None

    made = []

    def create(self, config=None):
        made.append(config.cuda_graph_strategy)
        context = type(self).plain(self)
        context.is_stream_capturable = lambda stream: False
        return context

    engine = Engine(bench.library, bench.cuda, plan(), Recipe())
    fake = type(engine.engine)
    rtx = type("Rtx", (fake,), {
        "plain": fake.create_execution_context,
        "create_execution_context": create,
        "create_runtime_config": lambda self: Config(),
    })  # fmt: skip
    engine.engine.__class__ = rtx
    bench.trt.CudaGraphStrategy = type("S", (), {"WHOLE_GRAPH_CAPTURE": "whole"})
    inputs = random_step(SPEC, 3)
    users = load_module.GraphEncoder(engine.run, SPEC, "x").step(*inputs)[1]
    np.testing.assert_allclose(users, open_onnx(SPEC, "x", graph=GRAPH).step(*inputs)[1], atol=1e-5)
    assert made == ["whole"]
    assert "begin_capture" not in bench.cuda.calls


def test_an_engine_is_built_once_kept_and_taken_again(bench):
    first, steps = bench.load()
    assert steps == ["build REFIT", "deserialize"]
    second, steps = bench.load()
    assert steps == ["deserialize"]
    assert second is not first


def test_new_weights_are_put_into_another_engine_than_the_one_that_serves(bench):
    serving, _ = bench.load()
    inputs = dict(zip(("state", "item", "features"), random_step(SPEC, 2), strict=True))
    before = serving.run(inputs)["user"]
    updated, steps = bench.load(OTHER)
    assert steps == ["deserialize", "refit"]
    assert not np.allclose(updated.run(inputs)["user"], before)
    np.testing.assert_array_equal(serving.run(inputs)["user"], before)


@pytest.mark.parametrize("call", ["refit parse", "missing", "refit"])
def test_a_refit_that_fails_leads_to_a_build(bench, caplog, call):
    bench.load()
    bench.trt.fails.add(call)
    engine, steps = bench.load(OTHER)
    assert steps[-2:] == ["build REFIT", "deserialize"]
    assert isinstance(engine, Engine)
    assert "a kept plan with new weights: " in caplog.text


def test_an_engine_that_computes_something_else_is_built_without_refit(bench, caplog):
    bench.trt.drops_bias = True
    _, steps = bench.load()
    assert steps == ["build REFIT", "deserialize", "build plain", "deserialize"]
    assert "differs from onnxruntime-cpu by " in caplog.text
    _, steps = bench.load()
    assert steps == ["deserialize"]  # only the right one was kept


def test_timings_of_kernels_are_used_by_the_next_build(bench):
    bench.load()
    bench.trt.fails.add("refit")
    _, steps = bench.load(OTHER)
    assert "old timings" in steps


def test_a_plan_of_another_library_is_built_again(bench, caplog):
    bench.load()
    bench.trt.fails.add("deserialize")
    error, _ = bench.load()
    assert isinstance(error, TensorrtError)
    assert "a kept plan: tensorrt 11.4.0.0: the plan cannot be loaded" in str(error)
    assert "a new plan: tensorrt 11.4.0.0: the plan cannot be loaded" in str(error)


def test_all_ways_are_tried_and_told(bench):
    bench.trt.fails |= {"build REFIT", "build plain"}
    error, steps = bench.load()
    assert steps == ["build REFIT", "build plain"]
    assert "a new plan: tensorrt 11.4.0.0: the engine cannot be built: Error Code 10" in str(error)


def test_without_a_cache_an_engine_is_built(bench):
    assert bench.load(cache=False)[1] == ["build REFIT", "deserialize"]
    assert bench.load(cache=False)[1] == ["build REFIT", "deserialize"]


def test_a_cache_that_cannot_be_trusted_is_not_used(bench, monkeypatch, tmp_path, caplog):
    (tmp_path / "open").mkdir()
    (tmp_path / "open").chmod(0o777)
    monkeypatch.setattr(load_module, "default_directory", lambda: tmp_path / "open")
    monkeypatch.setattr(load_module, "open_library", lambda name: bench.library)
    monkeypatch.setattr(load_module, "Cuda", lambda: bench.cuda)
    reference = open_onnx(SPEC, "x", graph=GRAPH)
    encoder = load_tensorrt(SPEC, GRAPH, "tensorrt", reference, "fp32")
    assert encoder.backend == "tensorrt-11.4.0.0"
    assert "is open to other users" in caplog.text
    assert list((tmp_path / "open").iterdir()) == []


def test_a_structure_is_what_an_engine_is_built_for():
    assert structure_of(GRAPH) == structure_of(OTHER)
    assert structure_of(GRAPH) != structure_of(StepModel(dim=9).onnx_bytes())
    assert structure_of(GRAPH) != structure_of(StepModel().onnx_bytes(state_out=7))
