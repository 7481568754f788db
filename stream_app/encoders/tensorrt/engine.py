"""Running of a plan: for each size of batch one context, its buffers and one CUDA graph.

A small network is bound by the launching of its kernels; a CUDA graph launches the copy in, all
kernels and the copy out at once. A graph fixes shapes and addresses, so batches are padded to the
next of a few sizes.
"""

from __future__ import annotations

import weakref
from collections.abc import Mapping, Sequence
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from typing import Any

import numpy as np

from stream_app.encoders.tensorrt.build import LARGEST_BATCH, Recipe
from stream_app.encoders.tensorrt.cuda import Cuda
from stream_app.encoders.tensorrt.library import Library, TensorrtError

Arrays = Mapping[str, np.ndarray]
SHORTEST = 8  # events: shorter histories are padded to as many, for fewer graphs


@dataclass(frozen=True)
class _End:
    """An input or an output of an engine; -1 in `dims` is a free size."""

    name: str
    is_input: bool
    dims: tuple[int, ...]
    dtype: np.dtype[Any]


class Engine:
    """A plan on the GPU; use from one thread at a time."""

    def __init__(self, library: Library, cuda: Cuda, plan: bytes, recipe: Recipe) -> None:
        """Load a plan, which is executable code: take it from `build` or from our own cache.

        Raises `TensorrtError` when the library does not take it: another GPU, another version.
        """
        trt = library.trt
        cuda.activate()
        library.errors.clear()
        self._library, self._cuda, self._recipe = library, cuda, recipe
        self._runtime = trt.Runtime(library.logger)
        self.engine = self._runtime.deserialize_cuda_engine(plan)
        if self.engine is None:
            raise library.error("the plan cannot be loaded")
        self.ends = [self._end(number) for number in range(self.engine.num_io_tensors)]
        self._slots: dict[tuple[int, int], _Slot] = {}

    def run(self, inputs: Arrays) -> dict[str, np.ndarray]:
        """Outputs `[B, ...]` for inputs `[B, ...]` of any batch; raises `TensorrtError`."""
        count = len(next(iter(inputs.values())))
        self._cuda.activate()
        parts = []
        for start in range(0, count, LARGEST_BATCH):
            part = {name: array[start : start + LARGEST_BATCH] for name, array in inputs.items()}
            batch, length = sizes(part, self._recipe.window)
            parts.append(self.slot(batch, length).run(part))
        if len(parts) == 1:
            return parts[0]
        return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}

    def warm_up(self) -> None:
        """Prepare every size now, so that no user waits for it later."""
        window = self._recipe.window
        lengths = sorted({up(size, SHORTEST, window) for size in range(1, window + 1)}) or [0]
        for batch in (1 << power for power in range(LARGEST_BATCH.bit_length())):
            for length in lengths:
                self.slot(batch, length)

    def slot(self, batch: int, length: int) -> _Slot:
        """What runs batches of just this size, made when first asked for."""
        slot = self._slots.get((batch, length))
        if slot is None:
            slot = self._slots[batch, length] = _Slot(
                self._library, self._cuda, self.engine, self.ends, self._recipe, batch, length
            )
        return slot

    def close(self) -> None:
        """Give the buffers back before the engine itself goes."""
        for slot in self._slots.values():
            slot.close()
        self._slots.clear()

    def _end(self, number: int) -> _End:
        trt, engine = self._library.trt, self.engine
        name = engine.get_tensor_name(number)
        return _End(
            name,
            engine.get_tensor_mode(name) == trt.TensorIOMode.INPUT,
            tuple(engine.get_tensor_shape(name)),
            np.dtype(trt.nptype(engine.get_tensor_dtype(name))),
        )


class _Slot:
    """One context with its buffers and, where it can be recorded, its CUDA graph."""

    def __init__(
        self,
        library: Library,
        cuda: Cuda,
        engine: Any,
        ends: Sequence[_End],
        recipe: Recipe,
        batch: int,
        length: int,
    ) -> None:
        self._library, self._cuda = library, cuda
        self._graph: int | None = None
        self._host: dict[str, np.ndarray] = {}
        self._device: dict[str, int] = {}
        self._inputs = [end.name for end in ends if end.is_input]
        self._outputs = [end.name for end in ends if not end.is_input]
        self._resources = ExitStack()
        self._finalizer = weakref.finalize(self, _release, self._resources)
        try:
            self._stream = cuda.stream()
            self._resources.callback(cuda.free_stream, self._stream)
            self._context = _new_context(library, engine)
            self._choose_profile(recipe, batch)
            self._bind(ends, recipe, batch, length)
            self._record()
            # Last in, first out: whoever drops a slot may do so in another thread.
            self._resources.callback(cuda.activate)
        except BaseException:
            self.close()
            raise

    def run(self, inputs: Arrays) -> dict[str, np.ndarray]:
        """Outputs for at most as many rows, and as long ones, as this slot has places."""
        count = len(next(iter(inputs.values())))
        for name in self._inputs:
            buffer, given = self._host[name], inputs[name]
            if given.ndim == 3:
                buffer[:count, : given.shape[1]] = given
                buffer[:count, given.shape[1] :] = 0  # not what the last batch left there
            else:
                buffer[:count] = given
        if self._graph is None:
            self._queue()
        else:
            self._cuda.launch(self._graph, self._stream)
        self._cuda.synchronize(self._stream)
        return {name: self._host[name][:count].copy() for name in self._outputs}

    def close(self) -> None:
        """Give everything back; errors are not of interest any more."""
        self._finalizer()

    def _choose_profile(self, recipe: Recipe, batch: int) -> None:
        fitting = [at for at, (low, _, high) in enumerate(recipe.regimes) if low <= batch <= high]
        if not fitting or not self._context.set_optimization_profile_async(
            fitting[0], self._stream
        ):
            raise self._library.error(f"no optimisation profile takes a batch of {batch}")
        self._cuda.synchronize(self._stream)

    def _bind(self, ends: Sequence[_End], recipe: Recipe, batch: int, length: int) -> None:
        """Set shapes, and give every input and output its memory on both sides."""
        context, cuda = self._context, self._cuda
        for end in ends:
            shape = recipe.shapes(end.dims, batch, length) if end.is_input else ()
            if end.is_input and not context.set_input_shape(end.name, shape):
                raise self._library.error(f"input {end.name!r} cannot have the shape {shape}")
        if missing := context.infer_shapes():
            raise self._library.error(f"shapes are not known of {', '.join(missing)}")
        for end in ends:
            array = cuda.allocate_host(tuple(context.get_tensor_shape(end.name)), end.dtype)
            self._resources.callback(cuda.free_host, array)
            # Rows that only fill a batch up are computed as well: of length 1, never 0.
            array[...] = 1 if end.dtype.kind == "i" else 0
            address = cuda.allocate(array.nbytes)
            self._resources.callback(cuda.free, address)
            self._host[end.name], self._device[end.name] = array, address
            if not context.set_tensor_address(end.name, address):
                raise self._library.error(f"{end.name!r} cannot have the address {address:#x}")

    def _record(self) -> None:
        """Run once, as a new shape must before it can be recorded; then record."""
        self._queue()
        self._cuda.synchronize(self._stream)
        if hasattr(self._context, "is_stream_capturable"):  # RTX records by itself: `_new_context`
            return
        self._cuda.begin_capture(self._stream)
        try:
            self._queue()
        except BaseException:
            with suppress(TensorrtError):  # a stream left recording could not be freed
                self._cuda.free_graph(self._cuda.end_capture(self._stream))
            raise
        self._graph = self._cuda.end_capture(self._stream)
        self._resources.callback(self._cuda.free_graph, self._graph)

    def _queue(self) -> None:
        """Queue the copy in, the network and the copy out."""
        for name in self._inputs:
            self._cuda.copy_in(self._device[name], self._host[name], self._stream)
        if not self._context.execute_async_v3(self._stream):
            raise self._library.error("the engine does not run")
        for name in self._outputs:
            self._cuda.copy_out(self._host[name], self._device[name], self._stream)


def sizes(inputs: Arrays, window: int) -> tuple[int, int]:
    """The size of slot for these inputs: batch and, for whole histories, length."""
    batch = up(len(next(iter(inputs.values()))), 1, LARGEST_BATCH)
    longest = max((array.shape[1] for array in inputs.values() if array.ndim == 3), default=0)
    return batch, up(longest, SHORTEST, window) if window else 0


def up(size: int, smallest: int, largest: int) -> int:
    """The next power of two from `smallest` on, or `largest` where that is nearer."""
    return int(min(max(1 << (size - 1).bit_length(), smallest), largest))


def _new_context(library: Library, engine: Any) -> Any:
    config = engine.create_runtime_config() if hasattr(engine, "create_runtime_config") else None
    if config is not None and hasattr(config, "cuda_graph_strategy"):
        # RTX compiles kernels as it meets shapes, which cannot be recorded from outside.
        config.cuda_graph_strategy = library.trt.CudaGraphStrategy.WHOLE_GRAPH_CAPTURE
        context = engine.create_execution_context(config)
    else:
        context = engine.create_execution_context()
    if context is None:
        raise library.error("no execution context can be made; is the GPU's memory full?")
    return context


def _release(resources: ExitStack) -> None:
    # After an error of the GPU every call fails, and what is not given back is lost already.
    with suppress(TensorrtError):
        resources.close()
