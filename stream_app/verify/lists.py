"""The lists of one partition number in columns, and what they cover of each user."""

from __future__ import annotations

from dataclasses import dataclass
from hashlib import blake2b
from struct import Struct
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray

NOTHING = -1
"""Offset that stands for no event."""


class ListHead(msgspec.Struct, gc=False):
    """The fields of a `Recommendation` that say what it covers; the items are skipped."""

    rec_id: str
    user_id: str
    items: msgspec.Raw
    applied: dict[str, int] = {}
    request_id: str | None = None


_from_json = msgspec.json.Decoder(ListHead).decode
_from_msgpack = msgspec.msgpack.Decoder(ListHead).decode


def decode_head(value: bytes | None) -> ListHead:
    """The head of a list. Raises ValueError for bytes that are none."""
    if value is None:
        raise ValueError("the value is null")
    try:
        return _from_json(value) if value[:1] == b"{" else _from_msgpack(value)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise ValueError(str(error)) from None


@dataclass(frozen=True, slots=True)
class Coverage:
    """What the lists of one user cover, per source."""

    best: tuple[int, ...]
    """Highest offset that any list covers."""
    last: tuple[int, ...]
    """What the last list covers, repeats of an earlier one left out."""
    last_at: int
    """Offset of that list."""


class ListLog:
    """Append lists in topic order, then ask for the coverage of users."""

    def __init__(self, sources: int) -> None:
        """`sources` is the number of source topics."""
        self._sources = sources
        self._packed = Struct(f"<I8sqq{sources}q")
        self._dtype = np.dtype(
            [
                ("user", "<u4"), ("rec", "<u8"), ("offset", "<i8"), ("appended_ms", "<i8"),
                ("applied", "<i8", (sources,)),
            ]
        )  # fmt: skip
        self._rows = bytearray()
        self.repeated = 0
        """Lists that repeat the `rec_id` of an earlier one of their user: harmless."""
        self.late = 0
        """Lists that cover less than an earlier one, and repeat none."""

    def __len__(self) -> int:
        return len(self._rows) // self._packed.size

    def add(
        self, user: int, rec_id: str, offset: int, appended_ms: int, applied: tuple[int, ...]
    ) -> None:
        """Append one list; `applied` has an offset per source, `NOTHING` for none."""
        digest = blake2b(rec_id.encode(), digest_size=8).digest()
        self._rows += self._packed.pack(user, digest, offset, appended_ms, *applied)

    def retained_since_ms(self, begin: int) -> int | None:
        """Append time of the first list at offset `begin` or later; None where there is none."""
        rows = self._array()
        kept = rows[rows["offset"] >= begin]
        return int(kept["appended_ms"][0]) if len(kept) else None

    def coverage(self) -> dict[int, Coverage]:
        """Coverage by user index; also counts `repeated` and `late`."""
        rows = self._array()
        found: dict[int, Coverage] = {}
        if not len(rows):
            return found
        order = np.argsort(rows["user"], kind="stable")
        rows = rows[order]
        repeat = _repeats(rows)
        self.repeated = int(repeat.sum())
        starts = np.flatnonzero(np.diff(rows["user"], prepend=rows["user"][0] + 1))
        applied = np.ascontiguousarray(rows["applied"])
        best = np.maximum.reduceat(applied, starts)
        self.late = int((_behind(applied, starts) & ~repeat).sum())
        places = np.where(repeat, -1, np.arange(len(rows)))
        last = np.maximum.reduceat(places, starts)
        for user, top, at in zip(
            rows["user"][starts].tolist(), best.tolist(), last.tolist(), strict=True
        ):
            covers = tuple(applied[at].tolist())
            found[user] = Coverage(tuple(top), covers, int(rows["offset"][at]))
        return found

    def _array(self) -> NDArray[np.void]:
        return np.frombuffer(bytes(self._rows), self._dtype)


def _repeats(rows: NDArray[np.void]) -> NDArray[np.bool_]:
    """Which rows, sorted by user, repeat the `rec_id` of an earlier one of their user."""
    order = np.lexsort((rows["rec"], rows["user"]))
    sorted_rows: Any = rows[order]
    same = np.zeros(len(rows), np.bool_)
    same[1:] = (sorted_rows["user"][1:] == sorted_rows["user"][:-1]) & (
        sorted_rows["rec"][1:] == sorted_rows["rec"][:-1]
    )
    repeat = np.empty(len(rows), np.bool_)
    repeat[order] = same
    return repeat


def _behind(applied: NDArray[np.int64], starts: NDArray[np.intp]) -> NDArray[np.bool_]:
    """Which rows cover less than an earlier row of their user."""
    behind = np.zeros(len(applied), np.bool_)
    users = np.repeat(np.arange(len(starts)), np.diff(np.append(starts, len(applied))))
    span = int(applied.max()) + 2
    for column in applied.T:
        # A running maximum that starts anew at each user: later users stand a span higher.
        lifted = column + users * span
        behind |= np.maximum.accumulate(lifted) > lifted
    return behind
