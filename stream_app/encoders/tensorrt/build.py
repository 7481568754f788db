"""From an ONNX graph to a TensorRT plan, for batches of any size in a few regimes.

Networks are strongly typed: the precision is that of the graph, so a float16 plan is built from a
float16 graph (`stream_app.encoders.precision`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from stream_app.encoders.tensorrt.library import Library, TensorrtError

LARGEST_BATCH = 1024
# Smallest, typical and largest batch: kernels are chosen for the typical one, and what is best for
# one user is slow for a backlog. A batch that fits both runs in the first.
REGIMES = ((1, 1, 16), (16, 256, LARGEST_BATCH))


@dataclass(frozen=True)
class Recipe:
    """What a plan is built for, besides its graph; a part of the key of the cache."""

    regimes: tuple[tuple[int, int, int], ...] = REGIMES
    """Smallest, typical and largest batch of each optimisation profile."""
    window: int = 0
    """The longest history, for graphs that take whole ones; 0 for a step."""
    refit: bool = False
    """Whether the weights may be replaced later; needs a GPU to build."""

    def shapes(self, dims: Sequence[int], batch: int, length: int) -> tuple[int, ...]:
        """`dims` of an input with its free sizes set: the first is the batch, the next the length.

        Raises `TensorrtError` for a graph with other free sizes.
        """
        free = [at for at, size in enumerate(dims) if size < 0]
        if free not in ([0], [0, 1]) or (len(free) == 2 and not self.window):
            raise TensorrtError(
                f"an input has the shape {list(dims)}, where -1 is free; expected a free batch "
                "first, then for whole histories a free length, and fixed sizes after them"
            )
        return (batch, length, *dims[2:]) if len(free) == 2 else (batch, *dims[1:])


@dataclass(frozen=True)
class Built:
    """A plan, and the timings of kernels that were tried for it."""

    plan: bytes
    timings: bytes | None


def build_plan(
    library: Library, graph: bytes, recipe: Recipe, *, timings: bytes | None = None
) -> Built:
    """Build the plan of an ONNX `graph` with one optimisation profile for each regime.

    `timings` are those of an earlier build of the same library on the same GPU: with them a build
    is quicker; only full TensorRT has any. Works without a GPU with `tensorrt_rtx`, unless
    `recipe.refit`. Raises `TensorrtError` with the library's messages.
    """
    trt = library.trt
    library.errors.clear()
    builder = trt.Builder(library.logger)
    network = builder.create_network(0)
    _parse(library, network, graph)
    config = builder.create_builder_config()
    # TF32 keeps 10 bits of float32's 23: a step would no longer equal the CPU's, nor itself in
    # another batch size. Who wants speed for precision takes float16.
    config.clear_flag(trt.BuilderFlag.TF32)
    if recipe.refit:
        config.set_flag(trt.BuilderFlag.REFIT)
    keeps_timings = library.name == "tensorrt"  # on RTX they need a GPU and do nothing
    if keeps_timings:
        config.set_timing_cache(config.create_timing_cache(timings or b""), False)
    for regime in recipe.regimes:
        config.add_optimization_profile(_profile(library, builder, network, recipe, regime))
    # No workspace limit: with one of 1 GiB the batch of 1,024 long histories cannot be built.
    plan = builder.build_serialized_network(network, config)
    if plan is None:
        raise library.error("the engine cannot be built")
    new = config.get_timing_cache() if keeps_timings else None
    return Built(bytes(plan), None if new is None else bytes(new.serialize()))


def _parse(library: Library, network: Any, graph: bytes) -> None:
    parser = library.trt.OnnxParser(network, library.logger)
    if not parser.parse(graph):
        # The parser's own errors name the node; the log repeats them without it.
        found = [parser.get_error(number) for number in range(parser.num_errors)]
        said = "; ".join(str(error).strip() for error in found[:2])
        library.errors.clear()
        raise TensorrtError(
            f"{library.name} {library.version}: the graph cannot be parsed: {said or 'no reason'}"
        )


def _profile(
    library: Library, builder: Any, network: Any, recipe: Recipe, regime: tuple[int, int, int]
) -> Any:
    profile = builder.create_optimization_profile()
    # The typical history is as long as the window: that is where the time goes.
    lengths = (1, recipe.window, recipe.window)
    for number in range(network.num_inputs):
        tensor = network.get_input(number)
        smallest, typical, largest = (
            recipe.shapes(tuple(tensor.shape), batch, length)
            for batch, length in zip(regime, lengths, strict=True)
        )
        profile.set_shape(tensor.name, smallest, typical, largest)
    return profile
