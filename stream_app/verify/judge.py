"""Judges one partition number after it was read. Pure: everything is in memory by now."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from aiokafka.partitioner import DefaultPartitioner

from schemas.codec import MAX_CLOCK_SKEW_MS
from stream_app.streaming.rows import unseal
from stream_app.users.codec import decode_state
from stream_app.users.state import UserState
from stream_app.verify.case import Case, place_of
from stream_app.verify.compare import compare, compare_after_removal
from stream_app.verify.events import DEAD, OPEN, Event
from stream_app.verify.gathered import Gathered
from stream_app.verify.impressions import without_impressions
from stream_app.verify.lists import NOTHING, Coverage
from stream_app.verify.profiles import events_only, said_findings, without_profiles
from stream_app.verify.report import Finding, Kind, Report
from stream_app.verify.rows import Valid

_partitioner = DefaultPartitioner()


class Judge:
    """Adds what is wrong with one partition number to a report."""

    def __init__(self, found: Gathered, partitions: int, report: Report, *, strict: bool) -> None:
        self._found = found
        self._all = list(range(partitions))
        self._report = report
        self._strict = strict
        self._index = {source.name: at for at, source in enumerate(found.sources)}
        self._coverage: Mapping[int, Coverage] = {}

    def judge(self) -> None:
        """Add the findings, counts and notes of everything that was read."""
        found, report = self._found, self._report
        self._coverage = found.lists.coverage()
        report.checked.update(
            events=len(found.events), rows=found.rows.records, lists=len(found.lists),
            dead_letters=found.letters.records,
        )  # fmt: skip
        shown = found.impression_findings
        for finding in (*self._commits(), *self._changelog(), *self._claims(), *shown):
            report.add(finding)
        users = {index: user for user, index in found.users.items()}
        left = dict(found.rows.by_user)
        checked = 0
        for index, events in found.events.by_user():
            user = users[index]
            for finding in self._user(user, index, events, left.pop(user, None)):
                report.add(finding)
            checked += 1
        for user, valid in left.items():
            for finding in self._row_without_events(user, valid):
                report.add(finding)
        report.checked["users"] += checked + len(left)
        report.notes.update(
            repeated_lists=found.lists.repeated, late_lists=found.lists.late,
            repeated_dead_letters=found.letters.repeated, late_rows=found.rows.late,
            damaged_rows=found.rows.damaged, tombstones=found.rows.tombstones,
        )  # fmt: skip

    def _commits(self) -> Iterator[Finding]:
        requests = self._found.erasures
        if self._report.settled and (requests.commit or 0) < requests.end:
            detail = f"committed {requests.commit}, the log ends at {requests.end}"
            count = requests.end - (requests.commit or 0)
            yield Finding(Kind.UNCOMMITTED, detail, place=requests.source, count=count)
        shown = self._found.impressions
        for source in (*self._found.sources, *([shown] if shown else [])):
            commit, end = source.commit, source.end
            if commit is not None and commit > end:
                detail = f"committed {commit}, the log ends at {end}"
                yield Finding(Kind.BEYOND, detail, place=source.name)
            elif source.ended or not self._report.settled or commit == end:
                pass
            elif commit is not None or end > 0:
                detail = f"committed {commit}, the log ends at {end}"
                count = end - (commit if commit is not None else source.start)
                if count > 0:
                    yield Finding(Kind.UNCOMMITTED, detail, place=source.name, count=count)
            if commit is not None and commit < source.start and self._found.whole is False:
                self._report.notes["partitions_read_from_after_their_commit"] += 1

    def _changelog(self) -> Iterator[Finding]:
        rows, topic = self._found.rows, f"{self._found.changelog}/{self._found.number}"
        if rows.keyless:
            detail = "records without a key"
            yield Finding(Kind.DAMAGED, detail, place=topic, count=rows.keyless)
        for user, valid in rows.damaged_last():
            place = f"{topic}@{valid.offset}"
            detail = "the last row of its user is damaged; this is the last that is valid"
            if valid.epoch < 0:
                detail = "the row is damaged"
            yield Finding(Kind.DAMAGED, detail, user, place)
        late = rows.late_last()
        self._report.notes["stale_last"] += len(late)
        if self._strict:
            for user, valid in late:
                detail = f"a late row is the last; epoch {valid.epoch} is valid"
                yield Finding(Kind.STALE_LAST, detail, user, f"{topic}@{valid.offset}")

    def _claims(self) -> Iterator[Finding]:
        """Lists may not cover what their source topic does not hold, nor stand elsewhere."""
        users = {index: user for user, index in self._found.users.items()}
        place = f"{self._found.recommendations}/{self._found.number}"
        for index, coverage in self._coverage.items():
            user = users[index]
            for source, best in zip(self._found.sources, coverage.best, strict=True):
                if best >= source.end:
                    detail = f"a list covers {source.name}@{best}, the log ends at {source.end}"
                    yield Finding(Kind.BEYOND, detail, user, place)
            if self._home(user) != self._found.number and user not in self._found.rows.by_user:
                detail = f"the key belongs to partition {self._home(user)}"
                yield Finding(Kind.WRONG_PARTITION, detail, user, f"{place}@{coverage.last_at}")

    def _home(self, user: bytes) -> int:
        return int(_partitioner(user, self._all, self._all))

    def _user(
        self, user: bytes, index: int, events: Sequence[Event], valid: Valid | None
    ) -> Iterator[Finding]:
        if self._home(user) != self._found.number:
            detail = f"the key belongs to partition {self._home(user)}"
            place = place_of(events[0])
            yield Finding(Kind.WRONG_PARTITION, detail, user, place, len(events))
        if self._found.erasures.pending(user):
            self._report.unchecked["users_being_erased"] += 1
            return
        if valid is None:
            yield from self._not_passed(user, events, {}, "its user has no row")
            return
        if valid.row is None:
            yield from self._removed(user, events, valid)
            return
        row, problem = self._decoded(user, valid)
        if row is None:
            yield from problem
            self._report.unchecked["events_of_damaged_rows"] += len(events)
            return
        if left := self._not_erased(user, row, valid):
            yield from left
            return
        row = self._of_events(row)
        passed = [
            event
            for event in events
            if not event.flags & DEAD
            and event.offset <= row.offsets.get(event.applied.source, NOTHING)
        ]
        expected = events
        if valid.removed_ms is not None:  # a source without an offset may be one of before
            expected = [
                event
                for event in events
                if event.applied.source in row.offsets or self._is_newer(event, valid.removed_ms)
            ]
        yield from self._not_passed(user, expected, row.offsets, "the row has not passed it")
        yield from self._row_claims(user, row, valid)
        yield from said_findings(user, row, passed)
        yield from self._compared(user, row, valid, passed, events)
        yield from self._covered(user, passed, self._coverage.get(index))

    def _of_events(self, row: UserState) -> UserState:
        """The row as its events alone make it."""
        row = self._found.erasures.without_mark(row)
        shown = self._found.impressions
        return row if shown is None else without_impressions(row, shown.name)

    def _not_erased(self, user: bytes, row: UserState, valid: Valid) -> list[Finding]:
        place = f"{self._found.changelog}/{self._found.number}@{valid.offset}"
        return list(self._found.erasures.findings(user, row, place))

    def _not_passed(
        self, user: bytes, events: Sequence[Event], offsets: Mapping[str, int], why: str
    ) -> Iterator[Finding]:
        for event in events:
            source = self._found.sources[event.source]
            if (
                event.offset < source.limit
                and event.offset > offsets.get(source.name, NOTHING)
                and not event.flags & (DEAD | OPEN)
            ):
                yield Finding(Kind.LOST, why, user, place_of(event))

    def _removed(self, user: bytes, events: Sequence[Event], valid: Valid) -> Iterator[Finding]:
        """After a tombstone, what is surely newer than it must have made a new row."""
        self._report.notes["removed_users"] += 1
        newer = [event for event in events if self._is_newer(event, valid.written_ms)]
        self._report.unchecked["events_of_removed_users"] += len(events) - len(newer)
        yield from self._not_passed(user, newer, {}, "its user's row was removed before it")

    def _is_newer(self, event: Event, removed_ms: int) -> bool:
        """Whether an event was surely appended after its user was removed."""
        dated = self._found.sources[event.source].dated
        return dated and event.appended_ms > removed_ms + MAX_CLOCK_SKEW_MS

    def _decoded(self, user: bytes, valid: Valid) -> tuple[UserState | None, list[Finding]]:
        try:
            return decode_state(unseal(valid.row or b"")), []
        except ValueError as error:
            if valid.last_is_damaged:
                return None, []  # told with the changelog's health
            place = f"{self._found.changelog}/{self._found.number}@{valid.offset}"
            return None, [Finding(Kind.DAMAGED, str(error), user, place)]

    def _row_claims(self, user: bytes, row: UserState, valid: Valid) -> Iterator[Finding]:
        place = f"{self._found.changelog}/{self._found.number}@{valid.offset}"
        topics = {source.topic for source in self._found.sources}
        for name, offset in row.offsets.items():
            at = self._index.get(name)
            if at is None:
                if name.rpartition("/")[0] in topics:
                    detail = f"the row has applied events of {name}"
                    yield Finding(Kind.WRONG_PARTITION, detail, user, place)
            elif offset >= self._found.sources[at].end:
                end = self._found.sources[at].end
                detail = f"the row has applied {name}@{offset}, the log ends at {end}"
                yield Finding(Kind.BEYOND, detail, user, place)

    def _compared(
        self,
        user: bytes,
        row: UserState,
        valid: Valid,
        passed: Sequence[Event],
        events: Sequence[Event],
    ) -> list[Finding]:
        row, passed = without_profiles(row, self._found), events_only(passed)
        sources = self._found.sources
        # As many events as the row has counted: none of this user is hidden.
        whole = self._found.whole or row.events + row.duplicates == len(passed)
        begin_ms = (
            max(source.begin_ms for source in sources if source.start > 0) if not whole else 0
        )
        dead = [event for event in events_only(events) if event.flags & DEAD]
        case = Case(user, row, passed, dead, whole, begin_ms)
        if not whole:
            self._report.unchecked["users_with_hidden_events"] += 1
        return compare_after_removal(case) if valid.removed_ms is not None else compare(case)

    def _covered(
        self, user: bytes, passed: Sequence[Event], coverage: Coverage | None
    ) -> Iterator[Finding]:
        nothing = (NOTHING,) * len(self._found.sources)
        best = coverage.best if coverage else nothing
        last = coverage.last if coverage else nothing
        behind: dict[int, Event] = {}
        for event in passed:
            source = self._found.sources[event.source]
            if event.offset >= source.limit:
                continue
            if self._found.lists_hidden(source, event.appended_ms):
                if event.offset > best[event.source]:
                    self._report.unchecked["events_whose_list_may_be_deleted"] += 1
                continue
            if event.offset > best[event.source]:
                yield Finding(Kind.UNCOVERED, "no list covers it", user, place_of(event))
            if event.offset > last[event.source]:
                behind[event.source] = event
        if behind and coverage:
            newest = next(iter(behind.values()))
            place = f"{self._found.recommendations}/{self._found.number}@{coverage.last_at}"
            known = newest.offset <= best[newest.source]
            detail = f"the last list does not cover {place_of(newest)}" + (
                ", an earlier one does" if known else ""
            )
            yield Finding(Kind.STALE, detail, user, place)

    def _row_without_events(self, user: bytes, valid: Valid) -> Iterator[Finding]:
        if valid.row is None:
            self._report.notes["removed_users"] += 1
            return
        if self._found.erasures.pending(user):
            self._report.unchecked["users_being_erased"] += 1
            return
        place = f"{self._found.changelog}/{self._found.number}@{valid.offset}"
        if self._home(user) != self._found.number:
            detail = f"the key belongs to partition {self._home(user)}"
            yield Finding(Kind.WRONG_PARTITION, detail, user, place)
            return
        row, problem = self._decoded(user, valid)
        yield from problem
        if row is None:
            return
        if left := self._not_erased(user, row, valid):
            yield from left
            return
        row = self._of_events(row)
        yield from self._row_claims(user, row, valid)
        if self._found.whole and valid.removed_ms is None:
            yield from compare(Case(user, without_profiles(row, self._found), ()))
        else:
            self._report.unchecked["users_without_visible_events"] += 1
