"""An encoder on TensorRT: by a kept plan, a refitted one or a new one, each tried out."""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import partial

from stream_app.encoders.base import SequenceEncoder
from stream_app.encoders.graph import GraphEncoder
from stream_app.encoders.spec import EncoderSpec
from stream_app.encoders.tensorrt.build import Recipe, build_plan
from stream_app.encoders.tensorrt.cache import PlanCache, default_directory, plan_fields
from stream_app.encoders.tensorrt.cuda import Cuda
from stream_app.encoders.tensorrt.engine import Engine
from stream_app.encoders.tensorrt.library import Library, TensorrtError, open_library
from stream_app.encoders.tensorrt.refit import refit, structure_of
from stream_app.encoders.trial import TOLERANCES, difference

log = logging.getLogger(__name__)

# One user, a padded batch, and one of the second regime.
TRIED_BATCHES = (1, 3, 33)
TIMINGS = Recipe()  # timings are of kernels: shared by all plans of a library on a GPU

# Makes an engine and says how to keep its plan; None where there is nothing to make it from.
Way = Callable[[], "tuple[Engine, Callable[[], None]] | None"]


def load_tensorrt(
    spec: EncoderSpec, graph: bytes, name: str, reference: SequenceEncoder, precision: str
) -> GraphEncoder:
    """The encoder of `graph`, of this precision, on `tensorrt` or `tensorrt_rtx`.

    It is ready for every size of batch. `reference` runs the same graph on the CPU: an engine that
    does not give the same is not used. Only where `stream_app.encoders.probe.why_not` has nothing
    against it. Raises `TensorrtError`.
    """
    library, cuda = open_library(name), Cuda()
    cache: PlanCache | None = None
    try:
        cache = PlanCache(default_directory())
    except TensorrtError as error:
        log.warning("%s; plans are not kept", error)
    try:
        engine = Loader(library, cuda, cache, reference, TOLERANCES[precision]).load(spec, graph)
    finally:
        if cache:
            cache.close()
    return GraphEncoder(engine.run, spec, f"{name}-{library.version}")


@dataclass(frozen=True)
class Loader:
    """What engines are made with."""

    library: Library
    cuda: Cuda
    cache: PlanCache | None
    reference: SequenceEncoder
    tolerance: float

    def load(self, spec: EncoderSpec, graph: bytes) -> Engine:
        """The first engine that computes what the CPU does; raises `TensorrtError` if none does.

        Engines are always new ones, so that none that serves is touched by a refit.
        """
        problems = []
        for way, make in self._ways(spec, graph):
            try:
                made = make()
                if made is None:
                    continue
                engine, keep = made
                self._try_out(spec, engine)
            except TensorrtError as error:
                problems.append(f"{way}: {error}")
                log.warning("%s: %s", self.library.name, problems[-1])
                continue
            log.info("%s: the encoder runs on %s", self.library.name, way)
            keep()
            return engine
        raise TensorrtError("; ".join(problems))

    def _ways(self, spec: EncoderSpec, graph: bytes) -> Iterator[tuple[str, Way]]:
        """Ways to an engine, the cheapest first."""
        fixed = Recipe(window=spec.window)
        flexible = replace(fixed, refit=True)
        sha256, structure = hashlib.sha256(graph).hexdigest(), structure_of(graph)
        for recipe in (flexible, fixed):
            yield "a kept plan", partial(self._kept, recipe, sha256)
        if structure:
            yield (
                "a kept plan with new weights",
                partial(self._refitted, flexible, structure, graph),
            )
            # REFIT once made TensorRT drop a bias (11.3): if this plan fails, the next is without.
            yield "a new plan that takes weights", partial(self._built, flexible, graph)
        yield "a new plan", partial(self._built, fixed, graph)

    def _kept(self, recipe: Recipe, sha256: str) -> tuple[Engine, Callable[[], None]] | None:
        plan = self._find(recipe, graph=sha256)
        return None if plan is None else (self._engine(plan, recipe), _nothing)

    def _refitted(
        self, recipe: Recipe, structure: str, graph: bytes
    ) -> tuple[Engine, Callable[[], None]] | None:
        plan = self._find(recipe, structure=structure)
        if plan is None:
            return None
        engine = self._engine(plan, recipe)
        refit(self.library, engine, graph)
        return engine, _nothing

    def _built(self, recipe: Recipe, graph: bytes) -> tuple[Engine, Callable[[], None]]:
        built = build_plan(
            self.library, graph, recipe, timings=self._find(TIMINGS, content="timings")
        )

        def keep() -> None:
            self._keep(built.plan, recipe, graph=hashlib.sha256(graph).hexdigest())
            if recipe.refit and (structure := structure_of(graph)):
                self._keep(built.plan, recipe, structure=structure)
            if built.timings:
                self._keep(built.timings, TIMINGS, content="timings")

        return self._engine(built.plan, recipe), keep

    def _engine(self, plan: bytes, recipe: Recipe) -> Engine:
        return Engine(self.library, self.cuda, plan, recipe)

    def _try_out(self, spec: EncoderSpec, engine: Engine) -> None:
        """Compare with the CPU, and prepare all sizes of batch; the engine is closed on failure."""
        encoder = GraphEncoder(engine.run, spec, self.library.name)
        try:
            for batch in TRIED_BATCHES:
                apart = difference(encoder, self.reference, spec, batch)
                if not apart <= self.tolerance:  # so that NaN is a mismatch
                    raise TensorrtError(
                        f"differs from {self.reference.backend} by {apart:.2g} on {batch} users "
                        f"(tolerance {self.tolerance})"
                    )
            engine.warm_up()
        except TensorrtError:
            engine.close()
            raise

    def _fields(self, recipe: Recipe, content: dict[str, str]) -> dict[str, str]:
        library = self.library
        return plan_fields(self.cuda.describe(), library.name, library.version, recipe, content)

    def _find(self, recipe: Recipe, **content: str) -> bytes | None:
        return self.cache.get(self._fields(recipe, content)) if self.cache else None

    def _keep(self, plan: bytes, recipe: Recipe, **content: str) -> None:
        if self.cache:
            self.cache.put(self._fields(recipe, content), plan)


def _nothing() -> None:
    """A plan from the cache is kept already."""
