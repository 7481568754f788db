"""The parts of the checker: rows by epoch, lists by coverage, events by user, scope and report."""

from __future__ import annotations

from dataclasses import dataclass
from io import StringIO
from random import Random

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas import Click, Purchase
from stream_app.streaming.rows import Stamp, seal
from stream_app.verify.events import DEAD, EventLog
from stream_app.verify.lists import ListLog, decode_head
from stream_app.verify.progress import Meter
from stream_app.verify.report import Finding, Kind, Report
from stream_app.verify.rows import Rows
from stream_app.verify.scope import Scope, ScopeError, parse_partitions, parse_since
from stream_app.verify.table import as_text

NAMES = ("clicks/0", "purchases/0")
NOW = 1_700_000_000_000


@dataclass
class Record:
    """As a consumer gives it."""

    offset: int
    key: bytes | None
    value: bytes | None
    headers: tuple[tuple[str, bytes | None], ...] = ()
    timestamp: int = NOW
    timestamp_type: int = 1


def row(offset: int, epoch: int, key: bytes = b"ann") -> Record:
    return Record(offset, key, seal(b"%d" % offset, Stamp(epoch, NOW)))


def tombstone(offset: int, epoch: int | None, key: bytes = b"ann") -> Record:
    headers = () if epoch is None else (("epoch", b"%d" % epoch),)
    return Record(offset, key, None, headers)


def folded(*records: Record) -> Rows:
    rows = Rows()
    rows.add(records)
    return rows


@given(st.lists(st.integers(0, 4), min_size=1, max_size=12))
def test_the_valid_row_has_the_highest_epoch_and_is_the_last_of_it(epochs: list[int]) -> None:
    rows = folded(*[row(offset, epoch) for offset, epoch in enumerate(epochs)])
    valid = rows.by_user[b"ann"]
    assert (valid.epoch, valid.offset) == max((e, offset) for offset, e in enumerate(epochs))
    assert valid.last_is_late == (epochs[-1] < max(epochs))
    assert rows.late == sum(e < max(epochs[: at + 1]) for at, e in enumerate(epochs))


def test_a_tombstone_is_one_of_its_epoch() -> None:
    assert folded(row(0, 3), tombstone(1, 3)).by_user[b"ann"].row is None
    assert folded(row(0, 3), tombstone(1, 2)).by_user[b"ann"].row is not None
    assert folded(row(0, 3), tombstone(1, None)).by_user[b"ann"].row is not None
    came_back = folded(row(0, 3), tombstone(1, 3), row(2, 4), row(3, 4)).by_user[b"ann"]
    assert (came_back.offset, came_back.removed_ms) == (3, NOW)


def test_a_damaged_row_never_replaces_a_valid_one() -> None:
    rows = folded(row(0, 3), Record(1, b"ann", b"?"), Record(2, None, b"?"))
    assert (rows.by_user[b"ann"].offset, rows.damaged, rows.keyless) == (0, 1, 1)
    assert [user for user, _ in rows.damaged_last()] == [b"ann"]
    assert not folded(Record(0, b"ann", b"?"), row(1, 0)).damaged_last()


@given(st.integers(0, 1 << 32))
def test_coverage_is_that_of_a_plain_loop(seed: int) -> None:
    dice = Random(seed)
    made = [
        (dice.randrange(3), f"{dice.randrange(6)}", (dice.randint(-1, 9), dice.randint(-1, 9)))
        for _ in range(dice.randrange(1, 40))
    ]
    log = ListLog(2)
    for offset, (user, rec_id, applied) in enumerate(made):
        log.add(user, rec_id, offset, NOW + offset, applied)
    found = log.coverage()
    seen: set[tuple[int, str]] = set()
    best: dict[int, tuple[int, ...]] = {}
    last: dict[int, tuple[int, tuple[int, ...]]] = {}
    repeated = late = 0
    for offset, (user, rec_id, applied) in enumerate(made):
        before = best.get(user, (-1, -1))
        best[user] = tuple(map(max, before, applied))
        if (user, rec_id) in seen:
            repeated += 1
            continue
        seen.add((user, rec_id))
        late += any(new < old for new, old in zip(applied, before, strict=True))
        last[user] = (offset, applied)
    assert (log.repeated, log.late) == (repeated, late)
    assert {user: c.best for user, c in found.items()} == best
    assert {user: (c.last_at, c.last) for user, c in found.items()} == last
    assert log.retained_since_ms(len(made) - 1) == NOW + len(made) - 1
    assert log.retained_since_ms(len(made)) is None


def test_a_list_is_read_in_both_encodings() -> None:
    made = {"rec_id": "r", "user_id": "ann", "items": [], "model": {}, "applied": {"clicks/0": 4}}
    for encode in (msgspec.json.encode, msgspec.msgpack.encode):
        assert decode_head(encode(made)).applied == {"clicks/0": 4}
    for bad in (None, b"", b"{}", b"\xff", b"{"):
        with pytest.raises(ValueError, match=r"."):
            decode_head(bad)


@given(st.integers(0, 1 << 32))
def test_events_come_back_by_user_and_in_the_order_of_their_topic(seed: int) -> None:
    dice = Random(seed)
    log, sent = EventLog(NAMES), []
    for source, kind in enumerate((Click, Purchase)):
        for offset in range(dice.randrange(30)):
            user = dice.randrange(4)
            event_id = f"é-{offset}" if dice.random() < 0.5 else None
            message = kind(user_id="-", item_id="1", timestamp_ms=offset, event_id=event_id)
            flags = DEAD if dice.random() < 0.2 else 0
            log.add(user, source, flags, offset, dice.randrange(100), message)
            sent.append((user, source, flags, offset, event_id))
    log.forget_before(1, 5)
    kept = [event for event in sent if event[1] == 0 or event[3] >= 5]
    found = [
        (user, event.source, event.flags, event.offset, event.applied.event_id)
        for user, events in log.by_user()
        for event in events
    ]
    assert sorted(found) == sorted(kept)
    assert [event[0] for event in found] == sorted(event[0] for event in kept)
    for user in range(4):
        for source in (0, 1):
            offsets = [event[3] for event in found if event[:2] == (user, source)]
            assert offsets == sorted(offsets)


def test_a_range_is_read_as_people_write_it() -> None:
    assert parse_since("90s", NOW) == NOW - 90_000
    assert parse_since("2h", NOW) == NOW - 7_200_000
    assert parse_since("1700000000123", NOW) == 1_700_000_000_123
    assert parse_since("2023-11-14T22:13:20", NOW) == NOW
    assert parse_since("2023-11-14T23:13:20+01:00", NOW) == NOW
    assert parse_partitions("3, 0,3") == (3, 0, 3)
    assert Scope(partitions=(3, 0, 3)).numbers(4) == (0, 3)
    assert Scope().numbers(2) == (0, 1)


@pytest.mark.parametrize(
    "wrong",
    [
        lambda: parse_since("yesterday", NOW),
        lambda: parse_since("5w", NOW),
        lambda: parse_partitions("a"),
        lambda: parse_partitions("-1"),
        lambda: Scope(partitions=(4,)).numbers(4),
        lambda: Scope(max_events=0),
    ],
)
def test_a_range_that_makes_no_sense_is_refused(wrong) -> None:  # type: ignore[no-untyped-def]
    with pytest.raises(ScopeError):
        wrong()


def test_a_report_counts_all_and_describes_some_without_naming_users() -> None:
    report = Report(most_examples=2)
    assert report.ok
    for offset in range(5):
        report.add(Finding(Kind.LOST, "gone", b"ann", f"clicks/0@{offset}", count=2))
    assert (report.ok, report.count(Kind.LOST)) == (False, 10)
    examples = report.as_dict()["lost"]["examples"]
    assert [example["place"] for example in examples] == ["clicks/0@0", "clicks/0@1"]
    text = as_text(report)
    assert "NOT consistent" in text
    assert "ann" not in text + repr(report.as_dict())
    shown = Report(show_users=True)
    shown.add(Finding(Kind.STALE, "old", b"ann"))
    assert "user ann" in as_text(shown)


def test_progress_is_told_at_most_once_a_second() -> None:
    stream = StringIO()
    with Meter(["clicks"], stream) as meter:
        for _ in range(1000):
            meter.count("clicks", 1)
            meter.count("other", 2)
    assert len(stream.getvalue().splitlines()) <= 1
