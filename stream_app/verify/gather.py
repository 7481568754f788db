"""Reads everything of one partition number: its rows, lists, dead letters and source events.

The order of reading lets a running installation be checked. Commits come first: whatever is below
them must be in what is read afterwards. Source events come last, so that no row and no list can
know an event that was not read.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import schemas
from schemas import (
    DEAD_LETTERS,
    ERASURE_RECEIPTS,
    ERASURES,
    IMPRESSIONS,
    RECOMMENDATIONS,
    Click,
    DeadLetter,
    Purchase,
    RejectedMessage,
    topic_name,
)
from schemas.codec import MAX_CLOCK_SKEW_MS
from stream_app.settings import Settings
from stream_app.streaming.reading import TopicReader
from stream_app.streaming.topics import (
    changelog_topic,
    impressions_topic,
    profiles_topic,
    source_topics,
)
from stream_app.verify.events import DEAD, OPEN, EventLog
from stream_app.verify.gathered import NEVER_MS, Gathered, Source
from stream_app.verify.impressions import Impressions
from stream_app.verify.letters import Letters
from stream_app.verify.lists import NOTHING, ListLog, decode_head
from stream_app.verify.profiles import add_profile, is_push
from stream_app.verify.report import Finding, Kind, Report
from stream_app.verify.rows import Record, Rows
from stream_app.verify.scope import Scope

ANY_TIME_MS = 1 << 62
"""A clock for which no event lies in the future: a dead letter that says so is believed. (By the
append time it could be worked out, but not for topics whose producers set the time.)"""
OUTPUT_MARGIN_MS = 60_000
"""Outputs are looked for from this long before `--since`: brokers' clocks differ."""
_PASSES = 3  # over the end of a changelog that grows while it is read


def topics_read(settings: Settings) -> tuple[str, ...]:
    """Names of the topics that a check reads."""
    return (
        *source_topics(settings),
        profiles_topic(settings),
        changelog_topic(settings.app_id),
        topic_name(settings.topic_prefix, RECOMMENDATIONS),
        topic_name(settings.topic_prefix, DEAD_LETTERS),
        topic_name(settings.topic_prefix, ERASURES),
        topic_name(settings.topic_prefix, ERASURE_RECEIPTS),
        topic_name(settings.topic_prefix, IMPRESSIONS),
    )


class Gatherer:
    """Reads partition numbers into memory, one at a time."""

    def __init__(
        self,
        settings: Settings,
        scope: Scope,
        reader: TopicReader,
        report: Report,
        progress: Callable[[str, int], None],
    ) -> None:
        """`progress` is called with a topic's name and the number of records that came."""
        self._settings = settings
        self._kinds = source_topics(settings)
        self._scope = scope
        self._reader = reader
        self._report = report
        self._progress = progress

    async def gather(self, number: int, commits: Mapping[str, int], newest: int | None) -> Gathered:
        """Read one partition number; `newest` bounds the events of each source topic."""
        found = self._empty(number, commits)
        await self._read_rows(found)
        await self._read_lists(found)
        await self._read_letters(found)
        await self._read_erasures(found, commits)
        for index, source in enumerate(found.sources):
            await self._read_source(found, index, source, newest)
        if found.impressions is not None:
            await self._read_impressions(found, found.impressions, newest)
        return found

    def _empty(self, number: int, commits: Mapping[str, int]) -> Gathered:
        settings = self._settings
        said = profiles_topic(settings)
        sources = [
            Source(topic, number, commits.get(f"{topic}/{number}"), profiles=topic == said)
            for topic in (*self._kinds, said)
        ]
        names = tuple(source.name for source in sources)
        topic = topic_name(settings.topic_prefix, IMPRESSIONS)
        commit, impressions = commits.get(f"{topic}/{number}"), None
        ended = impressions_topic(settings) is None
        if commit is not None or not ended:
            impressions = Source(topic, number, commit, ended=ended)
        return Gathered(
            number,
            sources,
            changelog_topic(settings.app_id),
            topic_name(settings.topic_prefix, RECOMMENDATIONS),
            topic_name(settings.topic_prefix, DEAD_LETTERS),
            Rows(),
            ListLog(len(names)),
            Letters((*names, f"{topic}/{number}")),
            EventLog(names),
            impressions=impressions,
        )

    async def _read_rows(self, found: Gathered) -> None:
        """To the end as it is when it is reached.

        Compaction may delete a row before we come to it, if a newer one stands after the end that
        was asked for first.
        """
        topic, number = found.changelog, found.number
        start = position = await self._reader.begin(topic, number)
        for _ in range(_PASSES):
            end = await self._reader.end(topic, number)
            async for records in self._reader.read(topic, number, position, end):
                found.rows.add(records)
                self._progress(topic, len(records))
            if end == position:
                break
            position = end
        self._report.range[f"{topic}/{number}"] = [start, position]

    async def _read_lists(self, found: Gathered) -> None:
        topic, number = found.recommendations, found.number
        begin, start, end = await self._output_range(topic, number)
        sources = [source.name for source in found.sources]
        async for records in self._reader.read(topic, number, start, end):
            for record in records:
                self._add_list(found, record, sources)
            self._progress(topic, len(records))
        begin = max(begin, await self._reader.begin(topic, number))
        if begin > 0:
            kept_since = found.lists.retained_since_ms(begin)
            found.lists_hidden_ms = NEVER_MS if kept_since is None else kept_since

    def _add_list(self, found: Gathered, record: Record, sources: list[str]) -> None:
        place = f"{found.recommendations}/{found.number}@{record.offset}"
        try:
            head = decode_head(record.value)
        except ValueError as error:
            self._report.add(Finding(Kind.DAMAGED, f"no list: {error}", record.key, place))
            return
        user = head.user_id.encode()
        if user != record.key:
            detail = "the key of a list is not its user_id"
            self._report.add(Finding(Kind.DAMAGED, detail, user, place))
            return
        applied = tuple([head.applied.get(name, NOTHING) for name in sources])
        # Whoever asks for a list needs no event.
        if max(applied) == NOTHING and head.request_id is None:
            detail = f"a list that covers {', '.join(sorted(head.applied)) or 'nothing'}"
            self._report.add(Finding(Kind.WRONG_PARTITION, detail, user, place))
        at_ms = record.timestamp if record.timestamp_type == 1 else NEVER_MS
        found.lists.add(found.index(user), head.rec_id, record.offset, at_ms, applied)

    async def _read_letters(self, found: Gathered) -> None:
        topic, number = found.dead_letters, found.number
        begin, start, end = await self._output_range(topic, number)
        first_ms = NEVER_MS
        async for records in self._reader.read(topic, number, start, end):
            if first_ms == NEVER_MS and records[0].timestamp_type == 1:
                first_ms = records[0].timestamp
            for record in records:
                self._add_letter(found, record)
            self._progress(topic, len(records))
        if begin > 0:
            found.letters_hidden_ms = first_ms

    def _add_letter(self, found: Gathered, record: Record) -> None:
        place = f"{found.dead_letters}/{found.number}@{record.offset}"
        try:
            letter = schemas.decode_output(DeadLetter, record.value)
        except RejectedMessage as error:
            detail = f"no dead letter: {error.detail}"
            self._report.add(Finding(Kind.DAMAGED, detail, record.key, place))
            return
        topics = {source.topic for source in found.sources}
        if not found.letters.add(letter) and letter.topic in topics:
            detail = f"the dead letter of {letter.topic}/{letter.partition}@{letter.offset}"
            self._report.add(Finding(Kind.WRONG_PARTITION, detail, record.key, place))

    async def _read_erasures(self, found: Gathered, commits: Mapping[str, int]) -> None:
        """All that there are: an old one may still explain why an event is nowhere."""
        log, number = found.erasures, found.number
        for name, add in ((ERASURES, log.add_request), (ERASURE_RECEIPTS, log.add_receipt)):
            topic = topic_name(self._settings.topic_prefix, name)
            start = await self._reader.begin(topic, number)
            end = await self._reader.end(topic, number)
            async for records in self._reader.read(topic, number, start, end):
                for record in records:
                    add(record)
                self._progress(topic, len(records))
            self._report.range[f"{topic}/{number}"] = [start, end]
            if name is ERASURES:
                log.source, log.end = f"{topic}/{number}", end
                log.commit = commits.get(log.source)

    async def _output_range(self, topic: str, number: int) -> tuple[int, int, int]:
        """First offset that is there, first to read, end."""
        begin = start = await self._reader.begin(topic, number)
        if self._scope.since_ms is not None:
            since_ms = max(0, self._scope.since_ms - OUTPUT_MARGIN_MS)
            start = await self._reader.at_time(topic, number, since_ms)
        end = await self._reader.end(topic, number)
        self._report.range[f"{topic}/{number}"] = [start, end]
        return begin, start, end

    async def _read_source(
        self, found: Gathered, index: int, source: Source, newest: int | None
    ) -> None:
        topic, number = source.topic, source.partition
        await self._set_range(source, newest)
        async for records in self._reader.read(topic, number, source.start, source.end):
            source.see(records[0])
            self._add_events(found, index, source, records)
            self._progress(topic, len(records))
        begin = await self._reader.begin(topic, number)
        if begin > source.start:  # retention went on while we read
            found.events.forget_before(index, begin)
            source.start = begin
        self._report.range[source.name] = [source.start, source.end]

    async def _read_impressions(self, found: Gathered, source: Source, newest: int | None) -> None:
        await self._set_range(source, newest)
        seen = Impressions(found, source, self._report)
        async for records in self._reader.read(
            source.topic, source.partition, source.start, source.end
        ):
            source.see(records[0])
            for record in records:
                seen.add(record)
            self._progress(source.topic, len(records))
        self._report.range[source.name] = [source.start, source.end]
        found.impression_findings.extend(seen.findings())

    async def _set_range(self, source: Source, newest: int | None) -> None:
        """What is to be read of a source, and below which offset everything must be done."""
        topic, number = source.topic, source.partition
        source.start = await self._reader.begin(topic, number)
        source.end = await self._reader.end(topic, number)
        if self._scope.since_ms is not None:
            since = await self._reader.at_time(topic, number, self._scope.since_ms)
            source.start = max(source.start, since)
        if newest is not None:
            source.start = max(source.start, source.end - newest)
        settled = self._scope.settled and not source.ended
        source.limit = source.end if settled else source.commit or 0

    def _add_events(
        self, found: Gathered, index: int, source: Source, records: Sequence[Record]
    ) -> None:
        dead = found.letters.of(source.name)
        for record in records:
            offset, appended_ms = record.offset, record.timestamp
            if found.erasures.covers(record):
                self._report.notes["erased_events"] += 1
                continue
            if source.profiles and is_push(record):
                continue
            try:
                if source.profiles:
                    add_profile(found, index, source, record)
                    continue
                message = _decode(self._kinds[source.topic], record)
            except RejectedMessage as rejected:
                self._reject(found, source, record, rejected)
                continue
            flags = 0
            if offset in dead:
                flags = DEAD
            elif (offset >= source.limit or found.letters_hidden(source, appended_ms)) and (
                message.timestamp_ms > appended_ms + MAX_CLOCK_SKEW_MS or not source.dated
            ):
                flags = OPEN  # a worker may have found its time to lie in the future
            elif found.erasures.may_have_removed(record.key, source.name, offset):
                flags = OPEN
            user = found.index(record.key or b"")
            found.events.add(user, index, flags, offset, appended_ms, message)

    def _reject(
        self, found: Gathered, source: Source, record: Record, rejected: RejectedMessage
    ) -> None:
        self._report.checked["events_rejected"] += 1
        if record.offset in found.letters.of(source.name) or record.offset >= source.limit:
            return
        if found.letters_hidden(source, record.timestamp):
            self._report.unchecked["events_whose_dead_letter_may_be_deleted"] += 1
            return
        detail = f"rejected ({rejected.reason.value}), and not in the dead letters"
        place = f"{source.name}@{record.offset}"
        self._report.add(Finding(Kind.LOST, detail, record.key, place))


def _decode(kind: type[Click] | type[Purchase], record: Record) -> Click | Purchase:
    if issubclass(kind, Purchase):
        return schemas.decode(Purchase, record.value, key=record.key, now_ms=ANY_TIME_MS)
    return schemas.decode(Click, record.value, key=record.key, now_ms=ANY_TIME_MS)
