"""What was read of one partition number, for the judge."""

from __future__ import annotations

from dataclasses import dataclass, field

from stream_app.verify.erasures import ErasureLog
from stream_app.verify.events import EventLog
from stream_app.verify.letters import Letters
from stream_app.verify.lists import ListLog
from stream_app.verify.report import Finding
from stream_app.verify.rows import Record, Rows

NEVER_MS = 1 << 62


@dataclass(slots=True)
class Source:
    """The part of one source topic that is checked."""

    topic: str
    partition: int
    commit: int | None
    start: int = 0
    end: int = 0
    limit: int = 0
    """Below this offset everything must be done."""
    begin_ms: int = NEVER_MS
    """Append time of the first event that was read."""
    dated: bool = True
    """Records carry the time at which they were appended, not one that producers chose."""
    ended: bool = False
    """By the settings workers do not read it any more: what is behind the commit stays there."""

    profiles: bool = False
    """It holds what users say of themselves, and is compacted."""

    @property
    def name(self) -> str:
        """`topic/partition`."""
        return f"{self.topic}/{self.partition}"

    def see(self, record: Record) -> None:
        """Records come, of which this is the first."""
        self.dated = self.dated and record.timestamp_type == 1
        if self.begin_ms == NEVER_MS and self.dated:
            self.begin_ms = record.timestamp


@dataclass(slots=True)
class Gathered:
    """What was read of one partition number."""

    number: int
    sources: list[Source]
    changelog: str
    recommendations: str
    dead_letters: str
    rows: Rows
    lists: ListLog
    letters: Letters
    events: EventLog
    lists_hidden_ms: int = -1
    """Lists of events that were appended at this time or before may have been deleted."""
    letters_hidden_ms: int = -1
    """The same for dead letters."""
    erasures: ErasureLog = field(default_factory=ErasureLog)
    impressions: Source | None = None
    """Where workers read impressions."""
    impression_findings: list[Finding] = field(default_factory=list)
    users: dict[bytes, int] = field(default_factory=dict)
    """Index by user, in `lists` and `events`."""

    @property
    def whole(self) -> bool:
        """Whether no source event is hidden by retention or by the range."""
        return all(source.start == 0 for source in self.sources)

    def lists_hidden(self, source: Source, appended_ms: int) -> bool:
        """Whether the list of an event may have been deleted by retention."""
        hidden_ms = self.lists_hidden_ms
        return hidden_ms >= 0 and (appended_ms <= hidden_ms or not source.dated)

    def letters_hidden(self, source: Source, appended_ms: int) -> bool:
        """Whether the dead letter of an event may have been deleted by retention."""
        hidden_ms = self.letters_hidden_ms
        return hidden_ms >= 0 and (appended_ms <= hidden_ms or not source.dated)

    def index(self, user: bytes) -> int:
        """The index of a user, given out at its first mention."""
        return self.users.setdefault(user, len(self.users))
