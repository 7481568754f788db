"""The bytes edge of the recommender: source records and user rows in, records to publish out.

No Kafka client here: what is done with a batch can be tested, profiled and replayed without one.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from functools import partial

import schemas
from agents.erasing import DROPPED, Erased, Holdings, Request, erase
from agents.impressions import show
from agents.profiles import PUSH, is_push, profile_message
from agents.records import Listed, Outgoing, Record, Work, decode_rows
from schemas import Click, Impression, Purchase, Reason, RejectedMessage
from stream_app.answers import Asked
from stream_app.degradations import Degradation, degraded
from stream_app.recommender import NEW, ProfileMessage, Recommender, SourceMessage
from stream_app.releases import Releases
from stream_app.source_messages import ShownMessage
from stream_app.users.codec import encode_state
from stream_app.users.erasure import Erasure
from stream_app.users.state import Outcome, UserState

EventType = type[Click] | type[Purchase]
NOBODY: Mapping[bytes, Erasure] = {}

__all__ = ["Engine", "Outgoing", "Record", "Work"]


class Engine:
    """Decodes, recommends and encodes; called from one thread at a time."""

    def __init__(
        self,
        recommender: Recommender | Releases,
        *,
        sources: Mapping[str, EventType],
        impressions: str | None = None,
        changelog: str,
        recommendations: str,
        dead_letters: str,
        erasures: str,
        receipts: str,
        requests: str,
        decisions: str,
        profiles: str,
        holdings: Holdings = lambda _: (),
        encoding: schemas.Encoding = "msgpack",
        clock_ms: Callable[[], int] = lambda: time.time_ns() // 1_000_000,
        partition_of: Callable[[bytes], int] | None = None,
    ) -> None:
        """Names of topics in full; `holdings` is what a receipt says about what Kafka still has.

        `impressions` only where rows are to hold them: for the filter `shown`.

        `partition_of` tells where a user's records belong: new users elsewhere are turned away.
        """
        self._recommender = recommender
        self._decoders = {topic: _decoder(kind) for topic, kind in sources.items()}
        self._impressions = impressions
        self._changelog = changelog
        self._recommendations = recommendations
        self._dead_letters = dead_letters
        self._erasures = erasures
        self._receipts = receipts
        self._requests = requests
        self._decisions = decisions
        self._profiles = profiles
        self._holdings = holdings
        self._encoding = encoding
        self._clock_ms = clock_ms
        self._partition_of = partition_of

    def work(
        self,
        records: Sequence[Record],
        rows: Mapping[bytes, bytes | None],
        erased: Mapping[bytes, Erasure] = NOBODY,
    ) -> Work:
        """Apply a batch, in order; `rows` holds the encoded state of every key of the batch.

        `erased` are the erasures known of its keys. A record that cannot be applied becomes a dead
        letter and changes nothing else. Requests are answered from the rows as they are at the end.
        """
        work = Work()
        began = time.thread_time()
        requests = [record for record in records if record.topic == self._requests]
        if requests:
            records = [record for record in records if record.topic != self._requests]
        removed: Mapping[bytes, int] = {}
        if erased or any(record.topic == self._erasures for record in records):
            left = self._erase(work, records, rows, erased)
            records, rows, removed = left.events, left.rows, left.removed
        states, damaged = decode_rows(rows)
        messages: list[SourceMessage] = []
        shown: list[ShownMessage] = []
        said: list[ProfileMessage] = []
        appended_ms: list[int] = []
        partitions: dict[str, int] = {}
        now_ms = self._clock_ms()
        for record in records:
            if record.topic == self._profiles and is_push(record):
                work.count(record.topic, PUSH)
                work.unanswered += 1
                continue
            try:
                # By the broker's clock a record gets the same verdict whenever it is read.
                at_ms = record.timestamp_ms if record.log_append_time else now_ms
                message = self._decode(record, at_ms)
                self._check_row(record, message.user_id, damaged)
                if self._partition_of is not None and states.get(message.user_id) is None:
                    self._check_partition(record)
            except RejectedMessage as rejected:
                self._reject(work, record, rejected)
                continue
            partitions[message.user_id] = record.partition
            place = record.topic, record.partition, record.offset
            if isinstance(message, ProfileMessage):
                said.append(message)
                continue
            if isinstance(message, Impression):
                shown.append(ShownMessage(message, *place))
                continue
            messages.append(SourceMessage(message, *place))
            appended_ms.append(record.timestamp_ms)
        decoded = time.thread_time()
        work.stages["decode"] = decoded - began
        changed = show(work, shown, states) if shown else {}
        if messages or said:
            changed |= self._recommend(work, messages, said, appended_ms, states, partitions)
        self._write(work, changed, partitions)
        if removed:
            self._remove(work, removed)
        if requests:
            self._answer(work, requests, states, damaged)
        return work

    def _erase(
        self,
        work: Work,
        records: Sequence[Record],
        rows: Mapping[bytes, bytes | None],
        erased: Mapping[bytes, Erasure],
    ) -> Erased:
        """Take out of a batch what is erased; receipts go into `work`."""
        requests: list[Request] = []
        for record in records:
            if record.topic == self._erasures:
                try:
                    message = schemas.decode_erasure(record.value, key=record.key)
                except RejectedMessage as rejected:
                    self._reject(work, record, rejected)
                    continue
                requests.append(Request(record, message))
        events = [record for record in records if record.topic != self._erasures]
        now_ms = self._clock_ms()
        left = erase(events, requests, rows, erased, self._erasures, now_ms, self._holdings)
        for record in left.dropped:
            work.count(record.topic, DROPPED)
        for request, receipt in left.receipts:
            work.count(request.record.topic, receipt.outcome)
            key = receipt.request_id.encode() if receipt.request_id else None
            value = schemas.encode(receipt, self._encoding)
            work.receipts.append(Outgoing(self._receipts, receipt.partition, key, value))
        work.erasures = left.erasures
        work.unanswered += len(left.dropped) + len(requests)
        return left

    def _remove(self, work: Work, removed: Mapping[bytes, int]) -> None:
        """Tombstones; no row's for users who have a new one already, which replaces the old."""
        replaced = {row.key for row in work.rows}
        for user, partition in removed.items():
            if user not in replaced:
                work.rows.append(Outgoing(self._changelog, partition, user, None))
            work.forgotten.append(Outgoing(self._profiles, partition, user, None))

    def _decode(
        self, record: Record, now_ms: int
    ) -> Click | Purchase | Impression | ProfileMessage:
        if record.topic == self._profiles:
            return profile_message(record)
        if record.topic == self._impressions:
            return schemas.decode_impression(record.value, key=record.key, now_ms=now_ms)
        return self._decoders[record.topic](record.value, key=record.key, now_ms=now_ms)

    def _check_row(self, record: Record, user_id: str, damaged: Mapping[bytes, str]) -> None:
        if problem := damaged.get(record.key or b""):
            detail = f"the row of user {user_id!r} cannot be read: {problem}"
            raise RejectedMessage(Reason.PROCESSING_ERROR, detail)

    def _check_partition(self, record: Record) -> None:
        """A user with records in two partitions would have two rows, and lists that know half."""
        assert self._partition_of is not None
        belongs = self._partition_of(record.key or b"")
        if belongs != record.partition:
            detail = (
                f"the record is in partition {record.partition}, but its key belongs into "
                f"{belongs}: set the producer's partitioner to murmur2 (librdkafka: murmur2_random)"
            )
            raise RejectedMessage(Reason.VALIDATION_ERROR, detail)

    def _recommend(
        self,
        work: Work,
        messages: list[SourceMessage],
        said: list[ProfileMessage],
        appended_ms: list[int],
        states: dict[str, UserState | None],
        partitions: Mapping[str, int],
    ) -> dict[str, UserState]:
        """Make lists; returns the rows of their users."""
        processed = self._recommender.process(messages, states, said)
        states.update(processed.states)
        for stage, seconds in processed.stages.items():
            work.spend(stage, seconds)
        began = time.thread_time()
        for source, at_ms, outcome in zip(messages, appended_ms, processed.outcomes, strict=True):
            work.count(source.topic, outcome.value)
            if outcome in NEW:
                work.appended_ms.append(at_ms)
        for one, outcome in zip(said, processed.profile_outcomes, strict=True):
            work.count(one.topic, outcome.value)
            work.unanswered += outcome is Outcome.UNCHANGED
        for made in processed.recommendations:
            at = made.trigger
            assert at is not None
            work.made.append(Listed(made.rec_id, made.user_id, at.topic, at.partition, at.offset))
            work.lists.append(self._list(work, made, partitions[made.user_id]))
        for decision in processed.decisions:
            work.decisions.append(self._decision(decision, partitions[decision.user_id]))
        work.spend("encode_records", time.thread_time() - began)
        return processed.states

    def _write(
        self, work: Work, states: Mapping[str, UserState], partitions: Mapping[str, int]
    ) -> None:
        began = time.thread_time()
        for user_id, state in states.items():
            row = encode_state(state)
            work.rows.append(Outgoing(self._changelog, partitions[user_id], user_id.encode(), row))
        work.spend("encode_records", time.thread_time() - began)

    def _list(self, work: Work, made: schemas.Recommendation, partition: int) -> Outgoing:
        if made.experiment is not None:
            arm = (made.experiment.name, made.experiment.arm)
            work.arms[arm] = work.arms.get(arm, 0) + 1
        value = schemas.encode(made, self._encoding)
        return Outgoing(self._recommendations, partition, made.user_id.encode(), value)

    def _decision(self, decision: schemas.Decision, partition: int) -> Outgoing:
        value = schemas.encode(decision)
        return Outgoing(self._decisions, partition, decision.user_id.encode(), value)

    def _answer(
        self,
        work: Work,
        records: Sequence[Record],
        states: Mapping[str, UserState | None],
        damaged: Mapping[bytes, str],
    ) -> None:
        """Answer requests that can still be of use."""
        asked: list[Asked] = []
        now_ms = self._clock_ms()
        for record in records:
            try:
                request = schemas.decode_request(record.value, key=record.key)
                self._check_row(record, request.user_id, damaged)
                if self._partition_of is not None and states.get(request.user_id) is None:
                    self._check_partition(record)
            except RejectedMessage as rejected:
                self._reject(work, record, rejected)
                continue
            expired = request.deadline_ms is not None and request.deadline_ms < now_ms
            work.count(record.topic, "expired" if expired else "answered")
            if expired:
                degraded(Degradation.REQUEST_EXPIRED)
                work.unanswered += 1
            else:
                asked.append(Asked(request, record.topic, record.partition, record.offset))
                work.asked_ms.append(record.timestamp_ms)
        if asked:
            answers, decisions = self._recommender.answer_all(asked, states, work.stages)
            for one, made in zip(asked, answers, strict=True):
                work.made.append(Listed(made.rec_id, made.user_id, *one[1:]))
                work.answers.append(self._list(work, made, one.partition))
            partitions = {one.request.user_id: one.partition for one in asked}
            for decision in decisions:
                work.decisions.append(self._decision(decision, partitions[decision.user_id]))

    def _reject(self, work: Work, record: Record, rejected: RejectedMessage) -> None:
        fields = record._asdict()
        del fields["log_append_time"]
        letter = schemas.dead_letter(rejected, **fields)
        work.dead.append(
            Outgoing(
                self._dead_letters,
                record.partition,
                letter.key,
                schemas.encode(letter),
                schemas.dead_letter_headers(letter),
            )
        )
        work.reasons[letter.reason] = work.reasons.get(letter.reason, 0) + 1
        work.count(record.topic, "dead_letter")
        work.unanswered += 1


def _decoder(kind: EventType) -> Callable[..., Click | Purchase]:
    if issubclass(kind, Purchase):
        return partial(schemas.decode, Purchase)
    return partial(schemas.decode, Click)
