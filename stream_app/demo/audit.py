"""After the stream: what the topics themselves say about every event that was sent."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from schemas import DEAD_LETTERS, Click, Purchase, topic_name
from stream_app.settings import Settings
from stream_app.streaming.clients import follower
from stream_app.streaming.rows import unseal
from stream_app.streaming.topics import changelog_topic
from stream_app.users.codec import decode_state


@dataclass(frozen=True, slots=True)
class Audit:
    """Events by what became of them, counted from the state topic and the dead letters."""

    applied: int
    dead_letters: int
    lost: int
    """Sent, but neither in the state of its user nor a dead letter."""
    duplicated: int
    """In the state of its user more often than sent."""


async def audit(settings: Settings, sent: Sequence[Click | Purchase]) -> Audit:
    """Compare what was sent with the last row of every user and with the dead letters.

    Counts are compared per user, as a row keeps counts and not the events themselves: an event lost
    and another of the same user applied twice would cancel each other out.
    """
    expected = Counter(event.user_id for event in sent)
    applied: dict[str, int] = {}
    changelog = changelog_topic(settings.app_id)
    dead = topic_name(settings.topic_prefix, DEAD_LETTERS)
    rejected: Counter[str] = Counter()
    async with follower(settings, [changelog, dead], from_start=True) as records:
        async for record in records.to_end():
            user_id = (record.key or b"").decode(errors="replace")
            if record.topic == dead:
                rejected[user_id] += 1
            elif record.value is not None:
                state = decode_state(unseal(record.value))
                applied[user_id] = max(state.events, applied.get(user_id, 0))
    users = expected.keys() | applied.keys()
    surplus = {u: applied.get(u, 0) + rejected[u] - expected[u] for u in users}
    return Audit(
        applied=sum(applied.values()),
        dead_letters=rejected.total(),
        lost=-sum(count for count in surplus.values() if count < 0),
        duplicated=sum(count for count in surplus.values() if count > 0),
    )
