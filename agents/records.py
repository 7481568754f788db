"""Records at the bytes edge of the recommender: what comes in, what goes out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from stream_app.users.codec import decode_state
from stream_app.users.erasure import Erasure
from stream_app.users.state import UserState

Headers = Sequence[tuple[str, bytes | None]]


class Record(NamedTuple):
    """One record of a source topic, undecoded."""

    topic: str
    partition: int
    offset: int
    timestamp_ms: int
    """Kafka's timestamp of the record: when it was appended."""
    key: bytes | None
    value: bytes | None
    headers: Headers = ()
    log_append_time: bool = False
    """Whether the timestamp is the broker's; otherwise its producer has set it."""


class Outgoing(NamedTuple):
    """One record to publish."""

    topic: str
    partition: int
    key: bytes | None
    value: bytes | None
    """None removes a row."""
    headers: Headers = ()


class Listed(NamedTuple):
    """A list, and the record that led to it."""

    rec_id: str
    user_id: str
    topic: str
    partition: int
    offset: int


@dataclass(slots=True)
class Work:
    """What follows from a batch of records."""

    rows: list[Outgoing] = field(default_factory=list)
    lists: list[Outgoing] = field(default_factory=list)
    answers: list[Outgoing] = field(default_factory=list)
    """Lists for requests."""
    made: list[Listed] = field(default_factory=list)
    """What led to each of the lists, and after them to each of the answers."""
    decisions: list[Outgoing] = field(default_factory=list)
    """What lists were made from."""
    dead: list[Outgoing] = field(default_factory=list)
    receipts: list[Outgoing] = field(default_factory=list)
    """What became of requests for erasure."""
    forgotten: list[Outgoing] = field(default_factory=list)
    """Tombstones for what erased users said of themselves."""
    erasures: list[tuple[int, bytes, Erasure]] = field(default_factory=list)
    """Partition, user and request: to be remembered once everything is published."""
    outcomes: dict[tuple[str, str], int] = field(default_factory=dict)
    """Number of events by topic and outcome."""
    reasons: dict[str, int] = field(default_factory=dict)
    """Number of dead letters by reason."""
    unanswered: int = 0
    """Records that no list answers: impressions, what is rejected, erased or expired, and requests
    for erasure."""
    appended_ms: list[int] = field(default_factory=list)
    """When the events that were new were appended, Unix ms: what a latency is counted from."""
    asked_ms: list[int] = field(default_factory=list)
    """The same of the requests that have an answer."""
    arms: dict[tuple[str, str], int] = field(default_factory=dict)
    """Number of lists and answers by experiment and arm."""
    stages: dict[str, float] = field(default_factory=dict)
    """Processor seconds of the engine's thread by stage; for `publish`, seconds of waiting."""

    def records(self) -> list[Outgoing]:
        """Everything to publish."""
        made = self.rows + self.lists + self.answers + self.decisions
        return made + self.dead + self.receipts + self.forgotten

    def count(self, topic: str, outcome: str) -> None:
        """One more event of a topic with this outcome."""
        key = (topic, outcome)
        self.outcomes[key] = self.outcomes.get(key, 0) + 1

    def spend(self, stage: str, seconds: float) -> None:
        """Add to the time of a stage."""
        self.stages[stage] = self.stages.get(stage, 0.0) + seconds


def decode_rows(
    rows: Mapping[bytes, bytes | None],
) -> tuple[dict[str, UserState | None], dict[bytes, str]]:
    """States by user id, and for rows that cannot be read the reason."""
    states: dict[str, UserState | None] = {}
    damaged: dict[bytes, str] = {}
    for key, row in rows.items():
        try:
            states[key.decode()] = decode_state(row) if row else None
        except UnicodeDecodeError:
            continue  # no valid message has such a key
        except ValueError as error:
            damaged[key] = str(error)
    return states, damaged
