"""Pipelines by plan and length, made when they are first needed."""

from __future__ import annotations

from collections import OrderedDict

from stream_app.bundle import Bundle
from stream_app.plan import Plan
from stream_app.ranking.grid import Grid
from stream_app.ranking.lists import ListBuilder
from stream_app.ranking.pipeline import Pipeline
from stream_app.ranking.wiring import LiveStores, build_lists, build_pipeline
from stream_app.retrieval import Within

MOST_KEPT = 64
"""A pipeline is a few hundred bytes; what is large, they share."""

Ready = tuple[Pipeline, ListBuilder]


class Pipelines:
    """Of one release and its live counts; use from one thread at a time."""

    def __init__(self, bundle: Bundle, live: LiveStores) -> None:
        self._bundle = bundle
        self._live = live
        self._grid = Grid()
        self._within = Within(bundle.catalog)
        self._ready: OrderedDict[tuple[Plan, int], Ready] = OrderedDict()

    @property
    def draw(self) -> bool:
        """Whether anything may be left to chance at present: there are new arrivals."""
        return len(self._live.arrivals) > 0

    def get(self, plan: Plan, k: int) -> Ready:
        """What ranks and builds lists of `k` items; raises UserError as `build_pipeline` does."""
        ready = self._ready.get((plan, k))
        if ready is None:
            pipeline = build_pipeline(
                self._bundle, self._live, k=k, plan=plan, grid=self._grid, within=self._within
            )
            ready = pipeline, build_lists(self._bundle, self._live, pipeline)
            self._ready[plan, k] = ready
            if len(self._ready) > MOST_KEPT:
                self._ready.popitem(last=False)
        self._ready.move_to_end((plan, k))
        return ready
