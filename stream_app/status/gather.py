"""Looks at the group, the offsets, the newest lists and the dead letters, once."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from schemas import (
    DEAD_LETTERS,
    RECOMMENDATIONS,
    DeadLetter,
    Recommendation,
    RejectedMessage,
    decode_output,
    topic_name,
)
from stream_app.settings import Settings
from stream_app.status.endpoints import ask_workers
from stream_app.status.judge import judge
from stream_app.status.report import Freshness, GroupStatus, MemberStatus, PartitionLag, Status
from stream_app.streaming import topics
from stream_app.streaming.groups import DEAD, Group, Partition, read_group
from stream_app.streaming.reading import TopicReader, committed_offsets, topic_reader
from stream_app.streaming.refusals import in_words

MINUTE_S = 60
HOUR_MS = 60 * 60 * 1000
NEWEST = 50
"""Lists of a partition that freshness is measured on."""
SOURCE_RECORDS = 2_000
"""Of a source partition, read at most to find when the events of those lists were appended."""
LETTERS = 1_000
"""Dead letters of a partition whose reasons are counted at most."""

Offsets = Mapping[Partition, int]


class Made(NamedTuple):
    """A list on the topic, and when the broker appended it (Unix ms)."""

    message: Recommendation
    appended_ms: int

    @property
    def release(self) -> str:
        """`name@version on backend`."""
        model = self.message.model
        return f"{model.name}@{model.version} on {model.backend}"


class _Names(NamedTuple):
    """Names of topics."""

    consumed: tuple[str, ...]
    sources: tuple[str, ...]
    """Of events."""
    lists: str
    letters: str


@dataclass(frozen=True, slots=True)
class _Found:
    """What was read."""

    partitions: list[PartitionLag]
    newest: dict[int, list[Made]]
    """The newest lists by partition number, in order."""
    appended: dict[tuple[str, int, int], int]
    """When events were appended (Unix ms), by topic, partition and offset."""
    letters: list[Any]
    """Dead letters of the last hour."""
    lists: int = 0
    events: int = 0
    """Of the last minute."""
    lists_lately: int = 0
    """Of the last minute."""
    letters_on_topic: int = 0


async def look(settings: Settings, metrics: Sequence[str] = (), late_s: float = 60) -> Status:
    """Look once; `metrics` are addresses `host:port` of workers to ask as well.

    Events that wait for longer than `late_s` are a problem. Raises `NoBrokerError`, `AccessError`,
    and `UserError` when something may not be seen.
    """
    # Commits come before the ends of topics: a lag may be a little too high, never negative.
    group = await read_group(settings, settings.app_id)
    commits = {} if group.state == DEAD else await committed_offsets(settings)
    names = _Names(
        topics.consumed_topics(settings),
        tuple(topics.source_topics(settings)),
        topic_name(settings.topic_prefix, RECOMMENDATIONS),
        topic_name(settings.topic_prefix, DEAD_LETTERS),
    )
    wanted = (*names.consumed, names.lists, names.letters)
    counts = await topics.partition_counts(settings, wanted)
    places = [(topic, number) for topic in wanted for number in range(counts.get(topic, 0))]
    now_ms = time.time_ns() // 1_000_000
    found = _Found([], {}, {}, [])
    if places:
        async with topic_reader(settings, places) as reader, in_words(settings):
            found = await _read(reader, places, names, commits, now_ms)
    status = Status(
        at_ms=now_ms,
        bootstrap_servers=settings.bootstrap_servers,
        group=_group(settings.app_id, group, _of(places, *names.consumed), found.newest),
        lag=sum(one.lag for one in found.partitions),
        partitions=found.partitions,
        lists=found.lists,
        freshness=_freshness(found, now_ms),
        events_per_s=found.events / MINUTE_S,
        lists_per_s=found.lists_lately / MINUTE_S,
        dead_letters=_reasons(found.letters),
        dead_letters_on_topic=found.letters_on_topic,
        workers=await asyncio.to_thread(ask_workers, metrics),
        missing_topics=sorted(set(wanted) - counts.keys()),
    )
    judge(status, late_s)
    return status


async def _read(
    reader: TopicReader,
    places: Sequence[Partition],
    names: _Names,
    commits: Mapping[str, int],
    now_ms: int,
) -> _Found:
    """All that is read, in few requests: it must not take long on a cluster that is busy."""
    begins, ends = await reader.begins(places), await reader.ends(places)
    minute = _of(places, *names.sources, names.lists)
    since = await reader.at_times(
        dict.fromkeys(minute, now_ms - 1000 * MINUTE_S)
        | dict.fromkeys(_of(places, names.letters), now_ms - HOUR_MS)
    )
    lags = [_lag(one, commits, begins, ends) for one in sorted(_of(places, *names.consumed))]
    lists = _of(places, names.lists)
    waiting = {(one.topic, one.partition): one.end - one.lag for one in lags if one.lag}
    records = await reader.read_all(
        {place: (start, start + 1) for place, start in waiting.items()}
        | {place: (max(begins[place], ends[place] - NEWEST), ends[place]) for place in lists}
        | {
            place: (max(since[place], ends[place] - LETTERS), ends[place])
            for place in _of(places, names.letters)
        }
    )
    for one in lags:
        if first := records.get((one.topic, one.partition)):
            one.waiting_s = max(0, now_ms - first[0].timestamp) / 1000
    newest = {number: _lists(records[topic, number]) for topic, number in lists}
    events = await reader.read_all(_answered(newest, begins, ends))
    return _Found(
        lags,
        newest,
        {(*place, one.offset): one.timestamp for place, some in events.items() for one in some},
        [one for place in _of(places, names.letters) for one in records[place]],
        lists=sum(ends[one] - begins[one] for one in lists),
        events=sum(max(0, ends[one] - since[one]) for one in _of(places, *names.sources)),
        lists_lately=sum(max(0, ends[one] - since[one]) for one in lists),
        letters_on_topic=sum(ends[one] - begins[one] for one in _of(places, names.letters)),
    )


def _of(places: Sequence[Partition], *names: str) -> list[Partition]:
    return [place for place in places if place[0] in names]


def _lag(
    place: Partition, commits: Mapping[str, int], begins: Offsets, ends: Offsets
) -> PartitionLag:
    begin, end = begins[place], ends[place]
    committed = commits.get(f"{place[0]}/{place[1]}")
    lag = max(0, end - max(begin, committed or 0))
    lost = 0 if committed is None else max(0, begin - committed)
    return PartitionLag(*place, committed, begin, end, lag, lost=lost)


def _lists(records: Sequence[Any]) -> list[Made]:
    found = []
    for record in records:
        try:
            found.append(Made(decode_output(Recommendation, record.value), record.timestamp))
        except RejectedMessage:
            continue  # something else writes to this topic; it is not ours to judge here
    return found


def _answered(
    newest: Mapping[int, Sequence[Made]], begins: Offsets, ends: Offsets
) -> dict[Partition, tuple[int, int]]:
    """Where the events are that lists answer: a list knows when its event happened, not when the
    broker appended it."""
    offsets: dict[Partition, list[int]] = {}
    for number, lists in newest.items():
        for made in lists:
            if (trigger := made.message.trigger) and (trigger.topic, number) in ends:
                offsets.setdefault((trigger.topic, number), []).append(trigger.offset)
    ranges = {}
    for place, some in offsets.items():
        end = min(max(some) + 1, ends[place])
        ranges[place] = (max(min(some), end - SOURCE_RECORDS, begins[place]), end)
    return ranges


def _freshness(found: _Found, now_ms: int) -> Freshness | None:
    """Of those of the lists whose events Kafka still has."""
    took = []
    for number, lists in found.newest.items():
        for made in lists:
            if trigger := made.message.trigger:
                at_ms = found.appended.get((trigger.topic, number, trigger.offset))
                took += [] if at_ms is None else [made.appended_ms - at_ms]
    if not took:
        return None
    last_ms = max(one.appended_ms for some in found.newest.values() for one in some)
    p50, p99 = np.percentile(took, [50, 99])
    age_s = max(0, now_ms - last_ms) / 1000
    return Freshness(len(took), age_s, float(p50), float(p99), float(max(took)))


def _reasons(records: Sequence[Any]) -> dict[str, int]:
    """How many dead letters have each reason."""
    counted: Counter[str] = Counter()
    for record in records:
        try:
            counted[decode_output(DeadLetter, record.value).reason] += 1
        except RejectedMessage:
            counted["unreadable"] += 1
    return dict(counted.most_common())


def _group(
    name: str, group: Group, consumed: Collection[Partition], newest: Mapping[int, Sequence[Made]]
) -> GroupStatus:
    """The group, and of each member the release of the newest list in its partitions.

    A list stands in the partition of the event that it answers, so that the owner of that partition
    made it, or the owner before, if nothing has happened there since.
    """
    members = []
    for member in sorted(group.members, key=lambda one: (one.host, one.member_id)):
        numbers = {number for _, number in member.partitions}
        made = [newest[number][-1] for number in numbers if newest.get(number)]
        last = max(made, key=lambda one: one.appended_ms, default=None)
        members.append(
            MemberStatus(
                member.member_id,
                member.client_id,
                member.host,
                _named(member.partitions),
                last and last.release,
            )
        )
    return GroupStatus(name, group.state, members, _named(set(consumed) - group.owned))


def _named(partitions: Collection[Partition]) -> list[str]:
    return [f"{topic}/{number}" for topic, number in sorted(partitions)]
