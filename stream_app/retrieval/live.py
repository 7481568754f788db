"""An index whose items change while it serves: an immutable snapshot and what is fresh beside it.

New and changed vectors are searched exactly in a small buffer; what changed or must not be
recommended is left out of the snapshot's answers. When the buffer has grown, or much of the
snapshot is left out, a snapshot of the present catalogue is built in another thread and swapped in
whole, between two batches.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from stream_app.catalog import Catalog
from stream_app.degradations import Degradation, degraded
from stream_app.retrieval.base import ItemIndex
from stream_app.retrieval.build import build_index
from stream_app.retrieval.exact import ExactIndex, pack, unpack
from stream_app.retrieval.probe import RecallProbe
from stream_app.retrieval.vectors import NOTHING

log = logging.getLogger(__name__)

Floats = NDArray[np.float32]
Indices = NDArray[np.int32]
Start = Callable[[Callable[[], None]], None]

# A buffer of 512 items costs a query 2 us. Of a million items 1 % is searched in the time that the
# graph needs for one tenth of a query.
SMALLEST_REBUILD = 512
REBUILD_SHARE = 0.01
# The snapshot is asked for more than is wanted, as some of it is left out; never more than double.
FEWEST_SPARE = 32
# Places of the snapshot's answers that are lost to items which must not be recommended.
LEFT_OUT_SHARE = 0.1


@dataclass(slots=True)
class _Rebuild:
    """A snapshot in the making."""

    held: NDArray[np.bool_]
    """What it holds `[N]`; a vector that changes meanwhile is taken out."""
    made: list[ItemIndex] = field(default_factory=list)
    failed: list[Exception] = field(default_factory=list)


def in_background(work: Callable[[], None]) -> None:
    """Run in a thread that does not keep the process from ending."""
    threading.Thread(target=work, name="index", daemon=True).start()


class LiveIndex:
    """`ItemIndex` over a catalogue that changes; use from one thread at a time."""

    def __init__(
        self, snapshot: ItemIndex, catalog: Catalog, *, start: Start = in_background
    ) -> None:
        """`snapshot` holds all vectors that the catalogue has now; `start` runs a rebuild."""
        self.kind = snapshot.kind
        self.rebuilds = 0
        """Snapshots that were swapped in so far."""
        self.probe = RecallProbe(exact=snapshot.kind == "exact")
        self._snapshot = snapshot
        self._catalog = catalog
        self._start = start
        self._held = catalog.has_vector.copy()
        self._rebuild: _Rebuild | None = None
        self._retry_above = 0
        self._seen = catalog.changes
        self._look()

    def __len__(self) -> int:
        """Items that can be found."""
        self._look_again()
        return int(np.count_nonzero(self._usable)) + len(self._fresh)

    @property
    def buffered(self) -> int:
        """Items in the buffer."""
        self._look_again()
        return len(self._fresh)

    def changed(self, indices: Indices) -> None:
        """The vectors of these items have been replaced."""
        self._fit()
        self._held[indices] = False
        if self._rebuild is not None:
            held = self._rebuild.held
            held[indices[indices < len(held)]] = False

    def refresh(self) -> None:
        """Swap a finished snapshot in, and begin to build one if it is due; between batches."""
        if self._rebuild is not None and (self._rebuild.made or self._rebuild.failed):
            self._finish(self._rebuild)
        self._look_again()
        if self._rebuild is None and self._due():
            self._begin()

    def search(self, vectors: Floats, k: int) -> tuple[Indices, Floats]:
        """The `k` nearest items `[B, k]` that may be recommended. See `ItemIndex.search`."""
        self._look_again()
        spare = min(self._left_out, max(k, FEWEST_SPARE))
        items, scores = self._snapshot.search(vectors, k + spare)
        if self._left_out or self._buffer is not None:
            items, scores = self._merged(vectors, items, scores, k)
        if self.probe.is_due(len(vectors)):
            self.probe.compare(self._catalog.vectors, self._findable(), vectors, items)
        return items, scores

    def _merged(
        self, vectors: Floats, items: Indices, scores: Floats, k: int
    ) -> tuple[Indices, Floats]:
        """The best `k` of the snapshot's answers that are still right, and of the buffer's."""
        keys = np.where(
            self._usable.take(items), pack(scores, items.astype(np.int64)), np.uint64(0)
        )
        if self._buffer is not None:
            fresh, nearness = self._buffer.search(vectors, min(k, len(self._fresh)))
            places = self._fresh.take(fresh).astype(np.int64)
            more = np.where(fresh == NOTHING, np.uint64(0), pack(nearness, places))
            keys = np.concatenate([keys, more], axis=1)
        keys.sort(axis=1)
        shape = len(vectors), k
        found, nearest = np.full(shape, NOTHING, np.int32), np.full(shape, -np.inf, np.float32)
        unpack(keys[:, ::-1][:, :k], self._identity, found, nearest)
        return found, nearest

    def _look_again(self) -> None:
        if self._seen != self._catalog.changes:
            self._look()

    def _look(self) -> None:
        """Take up what changed in the catalogue."""
        self._seen = self._catalog.changes
        self._fit()
        size = len(self._held)
        findable = self._findable()
        # One more at the end: position -1 reads it.
        self._usable = np.append(self._held & findable, np.False_)
        self._identity = np.arange(size, dtype=np.int32)
        self._fresh = np.flatnonzero(findable & ~self._held).astype(np.int32)
        self._left_out = len(self._snapshot) - int(np.count_nonzero(self._usable))
        self._buffer = ExactIndex(self._catalog.vectors[self._fresh]) if len(self._fresh) else None

    def _findable(self) -> NDArray[np.bool_]:
        """Items with a vector that may be recommended `[N]`."""
        findable = self._catalog.has_vector
        available = self._catalog.available
        return findable if available is None else findable & available[: len(findable)]

    def _fit(self) -> None:
        more = len(self._catalog) - len(self._held)
        if more > 0:
            self._held = np.append(self._held, np.zeros(more, np.bool_))

    def _due(self) -> bool:
        limit = max(SMALLEST_REBUILD, int(REBUILD_SHARE * len(self._snapshot)), self._retry_above)
        most_left_out = limit + LEFT_OUT_SHARE * len(self._snapshot)
        return len(self._fresh) > limit or self._left_out > most_left_out

    def _begin(self) -> None:
        held = self._findable().copy()
        # Copied here: in the other thread a vector could be read while it is being replaced.
        vectors = np.where(held[:, None], self._catalog.vectors, np.float32(0))
        rebuild = self._rebuild = _Rebuild(held)

        def build() -> None:
            try:
                rebuild.made.append(build_index(vectors, self.kind))
            except Exception as error:  # whatever it is, the old snapshot goes on serving
                rebuild.failed.append(error)

        self._start(build)

    def _finish(self, rebuild: _Rebuild) -> None:
        self._rebuild = None
        if rebuild.failed:
            self._retry_above = 2 * max(len(self._fresh), SMALLEST_REBUILD)
            degraded(Degradation.INDEX_REBUILD_FAILED)
            log.error("the index was not built anew: %r; going on with the old one",
                      rebuild.failed[0])  # fmt: skip
            return
        self._snapshot, self._retry_above = rebuild.made[0], 0
        self._held = rebuild.held
        self.rebuilds += 1
        self._look()
