"""Sources of other distributions, found by their entry points in the group `stream_app.sources`.

An entry point names a factory: it gets a `SourceContext` and returns a source. Whatever a source
of somebody else does, lists go on: what it proposes is checked, and while it fails it proposes
nothing.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass
from importlib.metadata import EntryPoint, entry_points
from typing import TYPE_CHECKING

import numpy as np

from stream_app.catalog import Catalog, ItemTable
from stream_app.degradations import Degradation, degraded
from stream_app.errors import UserError
from stream_app.ranking.batch import NONE, Indices, UserBatch
from stream_app.ranking.candidates import Proposal
from stream_app.ranking.live.transitions import without_repeats
from stream_app.ranking.stages import Source
from stream_app.retrieval import ItemIndex

if TYPE_CHECKING:
    from stream_app.ranking.wiring import LiveStores

log = logging.getLogger(__name__)

GROUP = "stream_app.sources"
SAY_AGAIN = 1_000
"""A source that fails in every batch is named in the log once in so many."""


@dataclass(frozen=True, slots=True)
class SourceContext:
    """What a factory of a source gets. Arrays are by catalogue position, which never changes."""

    catalog: Catalog
    """Items: `index_of` gives the position of an id, `vectors_of` the vectors of positions."""
    index: ItemIndex
    """Nearest items of vectors."""
    live: LiveStores
    """What the stream teaches: transitions and trends."""
    items: ItemTable
    """What producers say of items."""
    most: int
    """The most items that it is to propose to a user, as the plan says."""


Factory = Callable[[SourceContext], Source]


class Plugins:
    """Sources by name and limit, each made once; use from one thread at a time."""

    def __init__(self) -> None:
        self._made: dict[tuple[str, int], Source] = {}

    def get(self, name: str, context: SourceContext) -> Source | None:
        """The source that an entry point names; None when there is none.

        Raises UserError when two distributions have it, or it cannot be loaded or made.
        """
        key = name, context.most
        if key not in self._made:
            factory = _factory(name)
            if factory is None:
                return None
            try:
                self._made[key] = Checked(name, factory(context), context.catalog)
            except Exception as error:
                raise UserError(f"source {name!r} cannot be made: {error!r}") from error
        return self._made[key]


class Checked:
    """A source of somebody else, whose mistakes cost no list."""

    def __init__(self, name: str, source: Source, catalog: Catalog) -> None:
        """Raises TypeError for what is no source."""
        if not callable(getattr(source, "propose", None)):
            raise TypeError(f"{source!r} has no method propose(users)")
        self.name = name
        self._source = source
        self._catalog = catalog
        self._failed = 0

    def propose(self, users: UserBatch) -> list[Proposal]:
        """What the source proposes, without items that do not exist and repetitions."""
        try:
            return [
                Proposal(self._checked(one.items, len(users)))
                for one in self._source.propose(users)
            ]
        except Exception:
            if self._failed % SAY_AGAIN == 0:
                log.exception("source %r failed and proposes nothing (time %d)",
                              self.name, self._failed + 1)  # fmt: skip
            self._failed += 1
            degraded(Degradation.SOURCE_FAILED)
            return []

    def _checked(self, items: Indices, rows: int) -> Indices:
        found = np.asarray(items)
        if found.ndim != 2 or found.shape[0] not in (1, rows) or found.dtype.kind != "i":
            raise ValueError(
                f"it proposed {found.dtype} {list(found.shape)}; positions must be int32 "
                f"[{rows}, m], or [1, m] for the same items to all"
            )
        exists = (found >= 0) & (found < len(self._catalog))
        return without_repeats(np.where(exists, found, NONE).astype(np.int32))


def names() -> list[str]:
    """The sources that other distributions bring."""
    return sorted({one.name for one in entry_points(group=GROUP)})


def _factory(name: str) -> Factory | None:
    found: dict[str, EntryPoint] = {one.value: one for one in entry_points(group=GROUP, name=name)}
    if len(found) > 1:
        raise UserError(
            f"source {name!r} is in two distributions, as {' and as '.join(sorted(found))}; "
            "uninstall one of them"
        )
    for one in found.values():
        try:
            factory: Factory = one.load()
        except Exception as error:
            raise UserError(f"source {name!r}, {one.value}, cannot be loaded: {error!r}") from error
        return factory
    return None
