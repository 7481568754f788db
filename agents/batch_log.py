"""The line that a worker logs of each batch at level debug: where it was read, what it gave."""

from __future__ import annotations

import logging
from collections.abc import Sequence

from agents.records import Record, Work
from stream_app.observability.logging import fields, user_ids_shown

log = logging.getLogger(__name__)

LIMIT = 32
"""Lists, and partitions, that one line names."""


def say(records: Sequence[Record], work: Work, trace_id: str | None) -> None:
    """Log a handled batch, if debug is on."""
    if not log.isEnabledFor(logging.DEBUG):
        return
    offsets: dict[str, tuple[int, int]] = {}
    for record in records:
        place = f"{record.topic}/{record.partition}"
        first, last = offsets.get(place, (record.offset, record.offset))
        offsets[place] = min(first, record.offset), max(last, record.offset)
    shown = dict(list(offsets.items())[:LIMIT])
    names = ("rec_id", "user_id", "topic", "partition", "offset")
    lists = [dict(zip(names, one, strict=True)) for one in work.made[:LIMIT]]
    if not user_ids_shown():
        for one in lists:
            del one["user_id"]
    more = {} if trace_id is None else {"trace_id": trace_id}
    log.debug(
        "records: %d (%s); lists: %d (%s); dead letters: %d",
        len(records),
        ", ".join(f"{place} {first}-{last}" for place, (first, last) in shown.items()),
        len(work.made),
        ", ".join(
            f"{one['rec_id']} of {one['topic']}/{one['partition']}@{one['offset']}"
            + (f" for {one['user_id']}" if "user_id" in one else "")
            for one in lists
        ),
        len(work.dead),
        extra=fields(offsets=shown, lists=lists, lists_made=len(work.made), **more),
    )
