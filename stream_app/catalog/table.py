"""What producers say of items, beside their positions in the catalogue.

Numbers are columns, so that whole batches can be asked at once; the rest of an item stays packed.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from schemas import Item
from stream_app.catalog.catalog import Catalog
from stream_app.catalog.categories import Categories
from stream_app.catalog.related import RelatedItems

EVER = np.iinfo(np.int64)
NOTHING_SAID, LISTED, DELISTED = 0, 1, 2


class _Titled(msgspec.Struct, gc=False):
    title: str | None = None


_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(Item).decode
_decode_title = msgspec.msgpack.Decoder(_Titled).decode


class ItemTable:
    """Follows a catalogue as it grows. Use from one thread at a time."""

    def __init__(self, catalog: Catalog) -> None:
        self._catalog = catalog
        self._columns: dict[str, NDArray[Any]] = {}
        self._packed: list[bytes] = []
        self._categories = Categories()
        self.related = RelatedItems(catalog)
        self.touched: set[int] | None = None
        """Positions of which something else is said than when they were last taken from here; None
        while nobody asks for them."""
        self._due_ms = EVER.min, EVER.min  # the mask holds for times from the first to the second
        self._fit()

    @property
    def state(self) -> NDArray[np.uint8]:
        """`NOTHING_SAID`, `LISTED` or `DELISTED` by position `[N]`."""
        return self._column("state")

    @property
    def from_ms(self) -> NDArray[np.int64]:
        """Available from then on (Unix ms) `[N]`."""
        return self._column("from_ms")

    @property
    def until_ms(self) -> NDArray[np.int64]:
        """Not available from then on (Unix ms) `[N]`."""
        return self._column("until_ms")

    @property
    def price(self) -> NDArray[np.float32]:
        """Price `[N]` in the currency of the item; NaN where there is none."""
        return self._column("price")

    def say(self, index: int, item: Item) -> None:
        """Keep what is said of the item at a position: it is listed."""
        self._fit()
        begin, end = item.available_from_ms, item.available_until_ms
        self.state[index] = LISTED
        self.from_ms[index] = EVER.min if begin is None else begin
        self.until_ms[index] = EVER.max if end is None else end
        self.price[index] = np.nan if item.price is None else item.price
        popularity = np.nan if item.popularity is None else item.popularity
        if not _same(self._catalog.popularity[index], popularity):
            self._catalog.set_popularity(index, popularity)
        self._categories.set(index, item.categories, self._categories_of(index))
        self.related.say(index, item.related)
        # Only the text encoder needs the description, and the vectors are numbers by then.
        kept = msgspec.structs.replace(item, description=None, vectors={})
        self._packed[index] = _encode(kept)
        if self.touched is not None:
            self.touched.add(index)
        self._due_ms = EVER.min, EVER.min

    def delist(self, index: int) -> None:
        """Take the item at a position out of every list."""
        self._fit()
        self.state[index] = DELISTED
        self._categories.set(index, (), self._categories_of(index))
        self.related.say(index, ())
        self._packed[index] = b""
        if self.touched is not None:
            self.touched.add(index)
        self._due_ms = EVER.min, EVER.min

    def item(self, index: int) -> Item | None:
        """What is said of the item at a position, without description and vectors; None: nothing.

        Raises `IndexError` for a position that the catalogue does not have.
        """
        self._fit()
        packed = self._packed[index]
        return _decode(packed) if packed else None

    def title(self, index: int) -> str | None:
        """What the item at a position is called, at a third of the cost of `item`; None: nothing.

        Raises `IndexError` as `item` does.
        """
        self._fit()
        packed = self._packed[index]
        return _decode_title(packed).title if packed else None

    def in_categories(self, names: Sequence[str]) -> NDArray[np.bool_]:
        """Items of any of the categories, by position `[N + 1]`, False at the end.

        The same array for the same names until something changes; do not write into it.
        """
        return self._categories.mask(names, len(self._catalog))

    def _categories_of(self, index: int) -> tuple[str, ...]:
        said = self.item(index)
        return said.categories if said else ()

    def at(self, now_ms: int) -> None:
        """Make the catalogue's mask that of a time (Unix ms); costs nothing while it holds."""
        begin, end = self._due_ms
        if begin <= now_ms < end:
            return
        self._fit()
        opens, closes = self.from_ms, self.until_ms
        open_now = (self.state != DELISTED) & (opens <= now_ms) & (now_ms < closes)
        self._catalog.set_available(open_now)
        edges = np.concatenate([opens, closes])
        self._due_ms = (
            int(edges[edges <= now_ms].max(initial=EVER.min)),
            int(edges[edges > now_ms].min(initial=EVER.max)),
        )

    def _column(self, name: str) -> NDArray[Any]:
        self._fit()
        return self._columns[name][: len(self._packed)]

    def _fit(self) -> None:
        """Make room for the items that joined the catalogue; some of them are withdrawn."""
        known, size = len(self._packed), len(self._catalog)
        if known == size:
            return
        self._packed += [b""] * (size - known)
        for name, (dtype, default) in _COLUMNS.items():
            column = self._columns.get(name, np.empty(0, dtype))
            if len(column) < size:
                larger = np.full(max(size, 1024, 2 * len(column)), default, dtype)
                larger[:known] = column[:known]
                self._columns[name] = larger
        available = self._catalog.available
        if available is not None:
            self.state[known:][~available[known:size]] = DELISTED


_COLUMNS: dict[str, tuple[type[np.generic], Any]] = {
    "state": (np.uint8, NOTHING_SAID),
    "from_ms": (np.int64, EVER.min),
    "until_ms": (np.int64, EVER.max),
    "price": (np.float32, np.nan),
}


def _same(one: float, other: float) -> bool:
    return one == other or (np.isnan(one) and np.isnan(other))
