"""The row of a decision, made again from the one before and the events since."""

from __future__ import annotations

from collections.abc import Sequence

from schemas import Decision
from stream_app.advance import Advancer
from stream_app.bundle import Bundle
from stream_app.source_messages import SourceMessage, source_event
from stream_app.users.codec import decode_state
from stream_app.users.state import UserState


def row_problem(
    decision: Decision,
    before: UserState | None,
    events: Sequence[SourceMessage],
    bundle: Bundle,
) -> str | None:
    """Why the row does not follow from the events; None when it does, to the bit.

    `before` is the user's row at an earlier decision, None for a user who had none; `events` are
    those since, in the order in which they were appended.
    """
    expected = decode_state(decision.row)
    if decision.request is not None and decision.request.seed_items:
        return "the row has the seed items of a request in it"
    # Events that the topics do not hold any more would be missing here.
    since = expected.events + expected.duplicates
    since -= 0 if before is None else before.events + before.duplicates
    if since != len(events):
        return f"{since} events came since the row before, and the topics hold {len(events)}"
    spec = bundle.manifest.encoder
    advancer = Advancer(bundle.encoder, bundle.catalog, bundle.release, window=spec.window)
    update = advancer.begin(before)
    for event in events:
        update.take(source_event(event))
    advancer.advance([update])
    made = update.state
    if made.history != expected.history:
        return "the events give another history: between two topics their order may have differed"
    if (made.hidden, made.vector) != (expected.hidden, expected.vector):
        unknown = sorted({one for one in _items(events) if bundle.catalog.index_of(one) < 0})
        if unknown:
            return f"the bundle does not have the vector of {unknown[0]!r}, which the user came to"
        return "the encoder gives another state from the same history"
    return None


def _items(events: Sequence[SourceMessage]) -> list[str]:
    return [event.message.item_id for event in events]
