"""Everything about the GPU backends that a machine without a GPU cannot show, in a few minutes.

Run: `python -m benchmarks.gpu_check BUNDLE [--backends tensorrt,tensorrt_rtx] [--seconds 2]`, with
torch and one of the packages of TensorRT. Builds engines from the bundle's graph in fp32 and fp16,
compares each with ONNX Runtime, refits one with other weights, loads a kept plan, and prints as
Markdown p50 and p99 by size of batch beside torch eager and torch with a CUDA graph. Plans are kept
in a directory of their own that is removed. Ends with 1 if a check fails.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
import time
import traceback
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import numpy as np
import onnx

from stream_app.bundle import load_bundle
from stream_app.bundle.manifest import read_verified
from stream_app.encoders import EncoderSpec
from stream_app.encoders.graph import GraphEncoder
from stream_app.encoders.measure import Speed, measure
from stream_app.encoders.onnx import open_onnx
from stream_app.encoders.precision import to_precision
from stream_app.encoders.probe import ON_GPU, cuda_driver, why_not
from stream_app.encoders.trial import TOLERANCES, difference, random_histories, random_step

BATCHES = (1, 8, 32, 256, 1024)
NOISE = 0.01  # of the weights that stand for those of the next release

failures: list[str] = []


def check(what: str, work: Callable[[], str]) -> None:
    """Do one part; what it says, or its error, becomes a line."""
    began = time.perf_counter()
    try:
        said = work()
        print(f"- {what}: {said} ({time.perf_counter() - began:.2f} s)", flush=True)
    except Exception as error:
        failures.append(what)
        print(f"- **{what}: FAILED**: {type(error).__name__}: {error}", flush=True)
        traceback.print_exc(file=sys.stderr)


def other_weights(graph: bytes) -> bytes:
    """The graph with slightly other weights, as a release after it has."""
    model, rng = onnx.load_from_string(graph), np.random.default_rng(1)
    for tensor in model.graph.initializer:
        array = onnx.numpy_helper.to_array(tensor)
        if array.ndim == 2:
            noisy = array + NOISE * rng.standard_normal(array.shape).astype(array.dtype)
            tensor.CopyFrom(onnx.numpy_helper.from_array(noisy.astype(array.dtype), tensor.name))
    raw: bytes = model.SerializeToString()
    return raw


class OnGpu:
    """One library of TensorRT over one graph, with a cache of its own."""

    def __init__(self, name: str, spec: EncoderSpec, precision: str) -> None:
        from stream_app.encoders.tensorrt.cache import PlanCache, default_directory
        from stream_app.encoders.tensorrt.cuda import Cuda
        from stream_app.encoders.tensorrt.library import open_library

        self.library, self.cuda = open_library(name), Cuda()
        self.cache = PlanCache(default_directory())
        self.spec, self.precision = spec, precision

    def load(self, graph: bytes) -> GraphEncoder:
        """An encoder by the way that a worker takes, with what was logged on the way."""
        from stream_app.encoders.tensorrt.load import Loader

        reference = open_onnx(self.spec, "graph", graph=graph)
        loader = Loader(self.library, self.cuda, self.cache, reference, TOLERANCES[self.precision])
        engine = loader.load(self.spec, graph)
        return GraphEncoder(engine.run, self.spec, self.library.name)

    def without_refit(self, graph: bytes) -> GraphEncoder:
        """An engine that cannot take weights, to see what that ability costs."""
        from stream_app.encoders.tensorrt.build import Recipe, build_plan
        from stream_app.encoders.tensorrt.engine import Engine

        recipe = Recipe(window=self.spec.window)
        plan = build_plan(self.library, graph, recipe).plan
        engine = Engine(self.library, self.cuda, plan, recipe)
        engine.warm_up()
        return GraphEncoder(engine.run, self.spec, f"{self.library.name}, no refit")

    def checks(self, graph: bytes) -> Iterator[GraphEncoder]:
        """Build, take from the cache, refit; yields what can be measured."""
        made: list[GraphEncoder] = []
        label = f"{self.library.name} {self.precision}"
        check(f"{label}: build", lambda: self._compared(graph, made))
        check(f"{label}: kept plan", lambda: self._compared(graph, []))
        check(f"{label}: refit", lambda: self._compared(other_weights(graph), []))
        check(f"{label}: the first engine after the refit", lambda: self._same(made[0], graph))
        check(f"{label}: build without refit", lambda: self._plain(graph, made))
        yield from made

    def _compared(self, graph: bytes, made: list[GraphEncoder]) -> str:
        encoder = self.load(graph)
        made.append(encoder)
        return self._same(encoder, graph)

    def _plain(self, graph: bytes, made: list[GraphEncoder]) -> str:
        encoder = self.without_refit(graph)
        made.append(encoder)
        return self._same(encoder, graph)

    def _same(self, encoder: GraphEncoder, graph: bytes) -> str:
        reference = open_onnx(self.spec, "graph", graph=graph)
        apart = max(difference(encoder, reference, self.spec, batch) for batch in (1, 5, 33, 1500))
        if not apart <= TOLERANCES[self.precision]:
            raise ValueError(f"differs from ONNX Runtime by {apart:.2g}")
        return f"differs from ONNX Runtime by {apart:.1e} at most"


def torch_encoders(spec: EncoderSpec, graph: bytes, batch: int) -> Iterator[GraphEncoder]:
    """Torch eager, and torch with a CUDA graph, both with the copies in and out."""
    import torch

    from stream_app.encoders.torch_backend import TorchGraph

    eager = TorchGraph(graph, "cuda")
    yield GraphEncoder(eager.run, spec, "torch eager")
    fixed = torch_inputs(spec, batch)
    inputs = [torch.from_numpy(fixed[name]).cuda() for name in eager.inputs]
    stream = torch.cuda.Stream()
    with torch.cuda.stream(stream):
        for _ in range(3):
            eager(*inputs)
    torch.cuda.synchronize()
    recorded = torch.cuda.CUDAGraph()
    with torch.cuda.graph(recorded, stream=stream):
        outputs = eager(*inputs)

    def run(given: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        for tensor, name in zip(inputs, eager.inputs, strict=True):
            tensor.copy_(torch.from_numpy(given[name]))
        recorded.replay()
        results = [output.cpu().numpy() for output in outputs]
        return dict(zip(eager.outputs, results, strict=True))

    yield GraphEncoder(run, spec, "torch CUDA graph")


def torch_inputs(spec: EncoderSpec, batch: int) -> dict[str, np.ndarray]:
    """Inputs of the shapes that `measure` uses for this batch."""
    if not spec.window:
        return dict(zip(("state", "item", "features"), random_step(spec, batch), strict=True))
    taken: dict[str, np.ndarray] = {}

    def take(inputs: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        taken.update(inputs)
        return {"user": np.zeros((len(inputs["item"]), spec.dim), np.float32)}

    GraphEncoder(take, spec, "none").encode(random_histories(spec, batch))
    return taken


def row(speed: Speed, base: float) -> None:
    """One line of the table; `base` is the median of torch eager in fp32."""
    print(
        f"| {speed.backend} | {speed.precision} | {speed.batch} | {speed.p50_ms:.3f} "
        f"| {speed.p99_ms:.3f} | {base / speed.p50_ms:.1f} |",
        flush=True,
    )


def main() -> None:
    """Check and measure; the exit code is 1 if anything failed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("bundle", type=Path)
    parser.add_argument("--backends", default=",".join(ON_GPU))
    parser.add_argument("--seconds", type=float, default=1.0, help="time for each row")
    arguments = parser.parse_args()
    driver = cuda_driver()
    if isinstance(driver, str):
        sys.exit(f"nothing to check here: {driver}")
    bundle = load_bundle(arguments.bundle, backend="onnxruntime", index="exact")
    spec = bundle.manifest.encoder
    whole = read_verified(arguments.bundle, bundle.manifest)[spec.graph_file]
    graphs = {"fp32": whole, "fp16": to_precision(whole, "fp16")}
    with tempfile.TemporaryDirectory() as scratch:
        os.environ["XDG_CACHE_HOME"] = scratch
        report(arguments.backends.split(","), spec, graphs, arguments.seconds)
    if failures:
        sys.exit(f"{len(failures)} checks failed: {', '.join(failures)}")


def report(names: list[str], spec: EncoderSpec, graphs: dict[str, bytes], seconds: float) -> None:
    """Checks first, then the table."""
    import torch

    print(f"GPU: {torch.cuda.get_device_name()}, driver for CUDA {cuda_driver()}\n")
    measured: list[tuple[str, GraphEncoder]] = []
    for name in names:
        if why := why_not(name):
            print(f"- {name}: skipped: {why}")
            continue
        for precision, graph in graphs.items():
            made = OnGpu(name, spec, precision).checks(graph)
            measured.extend((precision, encoder) for encoder in made)
    print("\n| backend | precision | batch | p50 ms | p99 ms | times torch eager fp32 |")
    print("|---|---|---|---|---|---|")
    for batch in BATCHES:
        base = 0.0
        for precision, graph in graphs.items():
            for encoder in torch_encoders(spec, graph, batch):
                speed = measure(encoder, spec, batch, precision=precision, seconds=seconds)
                base = base or speed.p50_ms
                row(speed, base)
        on_cpu = open_onnx(spec, "graph", graph=graphs["fp32"])
        row(measure(on_cpu, spec, batch, precision="fp32", seconds=seconds), base)
        for precision, encoder in measured:
            row(measure(encoder, spec, batch, precision=precision, seconds=seconds), base)


if __name__ == "__main__":
    main()
