"""What the topics hold of users of whom something was found: the broker is gone after a run."""

from __future__ import annotations

from collections.abc import Collection

from schemas import Recommendation, decode_output
from stream_app.streaming.rows import stamp_of, unseal
from stream_app.users.codec import decode_state
from tests.faults.cluster import Cluster


def histories(cluster: Cluster, users: Collection[int]) -> list[str]:
    """All records of the users, topic by topic, one a line."""
    keys = {b"u%d" % user for user in users}
    prefix = cluster.settings.topic_prefix
    lines = []
    for topic, tell in (
        (prefix + "clicks", _event),
        (prefix + "purchases", _event),
        (cluster.changelog, _row),
        (prefix + "recommendations", _list),
    ):
        lines += [
            f"{record.key().decode()} {topic}/{record.partition()}@{record.offset()} "
            f"t={record.timestamp()[1]} {tell(record.value())}"
            for record in cluster.read(topic)
            if record.key() in keys
        ]
    return sorted(lines)


def _event(value: bytes | None) -> str:
    return repr(value)[:200]


def _row(value: bytes | None) -> str:
    if value is None:
        return "tombstone"
    try:
        stamp, state = stamp_of(value), decode_state(unseal(value))
    except ValueError as error:
        return str(error)
    return (
        f"epoch {stamp.epoch}, written {stamp.written_ms}, {state.events} events, "
        f"{state.duplicates} duplicates, offsets {state.offsets}"
    )


def _list(value: bytes | None) -> str:
    made = decode_output(Recommendation, value)
    return f"made {made.generated_at_ms}, covers {made.applied}"
