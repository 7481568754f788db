"""Erasure within the engine: what is removed, what is dropped, what begins anew."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import schemas
from agents.engine import Engine, Record, Work
from schemas import (
    FIRST_APPENDED,
    Click,
    DeadLetter,
    ErasureReceipt,
    ErasureRequest,
    Purchase,
    Reason,
    Recommendation,
    Remaining,
)
from stream_app.recommender import Recommender
from stream_app.users.codec import decode_state, encode_state
from stream_app.users.erasure import Erasure
from stream_app.users.ids import item_hash
from stream_app.users.state import UserState, events_of
from tests.engine_topics import ENGINE_TOPICS

BUNDLE = Path(__file__).parents[3] / "examples" / "movielens" / "bundle"
NOW = 1_700_000_000_000
PARTITION = 2
MARK = f"erasures/{PARTITION}"

unhurried = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])


@pytest.fixture(scope="module")
def engine() -> Engine:
    return Engine(
        Recommender.load(BUNDLE, clock=lambda: NOW),
        sources={"clicks": Click, "purchases": Purchase},
        **ENGINE_TOPICS,
        holdings=lambda at_ms: (Remaining("clicks", at_ms + 1),),
        clock_ms=lambda: NOW,
    )


def click(
    user: str, item: int, offset: int, at_ms: int, headers: Sequence[tuple[str, bytes]] = ()
) -> Record:
    """An event of a user appended at a time (ms after NOW)."""
    message = Click(user_id=user, item_id=str(item), timestamp_ms=NOW + item)
    value = schemas.encode(message)
    return Record("clicks", PARTITION, offset, NOW + at_ms, user.encode(), value, headers)


def erasure(user: str, offset: int, at_ms: int, key: bytes | None = None) -> Record:
    value = schemas.encode(ErasureRequest(user_id=user, request_id=f"case-{offset}"))
    return Record(
        "erasures", PARTITION, offset, NOW + at_ms, user.encode() if key is None else key, value
    )


def rows_of(work: Work) -> dict[bytes, bytes | None]:
    assert len({row.key for row in work.rows}) == len(work.rows), "one change for a user"
    return {row.key: row.value for row in work.rows if row.key is not None}


def items_of(row: bytes | None) -> list[int]:
    assert row is not None
    return [int(item) for item in events_of(decode_state(row).history)["item"]]


def receipts_of(work: Work) -> list[ErasureReceipt]:
    return [schemas.decode_output(ErasureReceipt, made.value) for made in work.receipts]


def lists_of(work: Work) -> list[Recommendation]:
    return [schemas.decode_output(Recommendation, made.value) for made in work.lists]


def row_of(engine: Engine, *records: Record) -> bytes:
    """The row that some events give."""
    (row,) = engine.work(records, {record.key or b"": None for record in records}).rows
    assert row.value is not None
    return row.value


def known(work: Work) -> dict[bytes, Erasure]:
    """What a worker remembers after a batch."""
    return {user: found for _, user, found in work.erasures}


def test_the_row_is_removed_and_the_receipt_says_what_it_held(engine: Engine) -> None:
    row = row_of(engine, click("ann", 1, 5, 0), click("ann", 2, 6, 1))
    work = engine.work([erasure("ann", 7, 10)], {b"ann": row})
    assert rows_of(work) == {b"ann": None}
    assert [(made.topic, made.partition, made.key) for made in work.rows] == [
        ("changelog", PARTITION, b"ann")
    ]
    (sent,) = work.receipts
    assert (sent.topic, sent.partition, sent.key) == ("erasure-receipts", PARTITION, b"case-7")
    assert receipts_of(work) == [
        ErasureReceipt(
            topic="erasures",
            partition=PARTITION,
            offset=7,
            appended_ms=NOW + 10,
            erased_at_ms=NOW,
            outcome="erased",
            request_id="case-7",
            events=2,
            row_bytes=len(row),
            applied={"clicks/2": 6},
            remaining=(Remaining("clicks", NOW + 1),),
        )
    ]
    assert b"ann" not in (sent.value or b"")
    assert (work.lists, work.dead) == ([], [])
    assert work.erasures == [(PARTITION, b"ann", Erasure(NOW + 10, 7))]
    assert work.outcomes == {("erasures", "erased"): 1}
    assert work.unanswered == 1


def test_an_unknown_user_gets_a_receipt_that_says_so(engine: Engine) -> None:
    work = engine.work([erasure("nobody", 7, 10)], {b"nobody": None})
    (receipt,) = receipts_of(work)
    assert (receipt.outcome, receipt.events, receipt.row_bytes) == ("unknown", None, 0)
    assert not receipt.reread
    # A former owner of the partition may still write a row of this user.
    assert rows_of(work) == {b"nobody": None}


def test_what_was_pending_is_never_made(engine: Engine) -> None:
    """Events of the batch from before the request give no list, no row, and teach nothing."""
    records = [
        click("ann", 1, 5, 0), click("bob", 1, 6, 1), click("ann", 2, 7, 2), erasure("ann", 9, 2)
    ]  # fmt: skip
    work = engine.work(records, {b"ann": None, b"bob": None})
    assert [made.user_id for made in lists_of(work)] == ["bob"]
    assert set(rows_of(work)) == {b"bob", b"ann"}
    assert rows_of(work)[b"ann"] is None
    assert receipts_of(work)[0].dropped == 2
    assert work.outcomes == {
        ("clicks", "erased"): 2, ("clicks", "applied"): 1, ("erasures", "unknown"): 1
    }  # fmt: skip
    assert work.unanswered == 3
    assert len(work.appended_ms) == 1


def test_a_user_who_comes_back_in_the_same_batch_is_new(engine: Engine) -> None:
    row = row_of(engine, click("ann", 1, 5, 0))
    records = [click("ann", 2, 6, 3), erasure("ann", 4, 4), click("ann", 3, 7, 5)]
    work = engine.work(records, {b"ann": row})
    assert items_of(rows_of(work)[b"ann"]) == [item_hash("3")]
    state = decode_state(rows_of(work)[b"ann"] or b"")
    assert state.offsets == {MARK: 4, "clicks/2": 7}
    assert state.events == 1
    (made,) = lists_of(work)
    assert made.applied == {MARK: 4, "clicks/2": 7}
    assert receipts_of(work)[0].outcome == "erased"


def test_it_is_the_time_of_appending_that_counts_not_the_order_of_reading(engine: Engine) -> None:
    """Topics are read independently: a later event can come before the request."""
    row = row_of(engine, click("ann", 1, 5, 0))
    records = [click("ann", 3, 7, 5), erasure("ann", 4, 4), click("ann", 2, 6, 4)]
    work = engine.work(records, {b"ann": row})
    assert items_of(rows_of(work)[b"ann"]) == [item_hash("3")]
    assert work.outcomes[("clicks", "erased")] == 1, "the same millisecond is erased"


def test_a_lagging_topic_does_not_bring_the_user_back(engine: Engine) -> None:
    erased = {b"ann": Erasure(NOW + 10, 4)}
    work = engine.work([click("ann", 1, 5, 9)], {b"ann": None}, erased)
    assert (work.rows, work.lists, work.dead) == ([], [], [])
    assert work.outcomes == {("clicks", "erased"): 1}
    later = engine.work([click("ann", 2, 6, 11)], {b"ann": None}, erased)
    assert items_of(rows_of(later)[b"ann"]) == [item_hash("2")]


def test_bad_records_of_an_erased_user_leave_no_dead_letter(engine: Engine) -> None:
    bad = Record("clicks", PARTITION, 5, NOW, b"ann", b"\xff secrets of ann")
    work = engine.work([bad, erasure("ann", 4, 4)], {b"ann": None})
    assert work.dead == []
    assert work.outcomes == {("clicks", "erased"): 1, ("erasures", "unknown"): 1}


def test_a_damaged_row_is_removed_all_the_same(engine: Engine) -> None:
    records = [erasure("ann", 4, 4), click("ann", 3, 7, 5)]
    work = engine.work(records, {b"ann": b"no row at all"})
    assert items_of(rows_of(work)[b"ann"]) == [item_hash("3")]
    (receipt,) = receipts_of(work)
    assert (receipt.outcome, receipt.events, receipt.row_bytes) == ("erased", None, 13)


def test_a_request_that_is_read_again_does_not_remove_the_new_history(engine: Engine) -> None:
    row = row_of(engine, click("ann", 1, 5, 0))
    request, back = erasure("ann", 4, 4), click("ann", 3, 7, 5)
    first = engine.work([request], {b"ann": row})
    second = engine.work([back], {b"ann": None}, known(first))
    after = rows_of(second)
    again = engine.work([click("ann", 1, 5, 0), request, back], after, known(first))
    assert rows_of(again) == after
    (receipt,) = receipts_of(again)
    assert (receipt.outcome, receipt.reread, receipt.events) == ("handled_before", True, None)
    assert again.outcomes == {
        ("clicks", "erased"): 1, ("clicks", "replayed"): 1, ("erasures", "handled_before"): 1
    }  # fmt: skip


def test_a_request_whose_tombstone_was_written_but_not_its_receipt(engine: Engine) -> None:
    """Row and receipt are two records: after a crash between them the receipt cannot know."""
    request = erasure("ann", 4, 4)
    work = engine.work([request], {b"ann": None}, {b"ann": Erasure(NOW + 4, 4)})
    (receipt,) = receipts_of(work)
    assert (receipt.outcome, receipt.reread) == ("unknown", True)


def test_an_event_that_overtakes_a_request_known_from_the_topic_begins_anew(
    engine: Engine,
) -> None:
    """At the assignment a worker reads requests that it has still to handle."""
    row = row_of(engine, click("ann", 1, 5, 0))
    erased = {b"ann": Erasure(NOW + 4, 4)}
    first = engine.work([click("ann", 3, 7, 5)], {b"ann": row}, erased)
    assert items_of(rows_of(first)[b"ann"]) == [item_hash("3")]
    second = engine.work([erasure("ann", 4, 4)], rows_of(first), erased)
    assert second.rows == []
    assert receipts_of(second)[0].outcome == "handled_before"


def test_two_requests_in_one_batch(engine: Engine) -> None:
    row = row_of(engine, click("ann", 1, 5, 0))
    records = [
        erasure("ann", 4, 4), click("ann", 2, 6, 5), erasure("ann", 5, 6), click("ann", 3, 7, 7)
    ]  # fmt: skip
    work = engine.work(records, {b"ann": row})
    assert [receipt.outcome for receipt in receipts_of(work)] == ["erased", "unknown"]
    assert [receipt.dropped for receipt in receipts_of(work)] == [1, 0]
    state = decode_state(rows_of(work)[b"ann"] or b"")
    assert (state.events, state.offsets) == (1, {MARK: 5, "clicks/2": 7})


def test_a_second_request_removes_what_came_after_the_first(engine: Engine) -> None:
    erased = {b"ann": Erasure(NOW + 4, 4)}
    row = rows_of(engine.work([click("ann", 3, 7, 5)], {b"ann": None}, erased))[b"ann"]
    work = engine.work([erasure("ann", 9, 20)], {b"ann": row}, erased)
    assert rows_of(work) == {b"ann": None}
    (receipt,) = receipts_of(work)
    assert (receipt.outcome, receipt.reread, receipt.events) == ("erased", False, 1)
    assert receipt.applied == {MARK: 4, "clicks/2": 7}


@pytest.mark.parametrize(
    ("value", "key", "reason"),
    [
        (None, b"ann", Reason.DECODE_ERROR),
        (b"\xff", b"ann", Reason.DECODE_ERROR),
        (b"{}", b"ann", Reason.VALIDATION_ERROR),
        (b'{"user_id": "bob"}', b"ann", Reason.VALIDATION_ERROR),
        (b'{"user_id": "ann"}', None, Reason.VALIDATION_ERROR),
        (b'{"user_id": "ann", "user_id": "bob"}', b"bob", Reason.VALIDATION_ERROR),
        (b'{"user_id": "ann", "x": "' + b"y" * 300_000 + b'"}', b"ann", Reason.TOO_LARGE),
    ],
)
def test_a_bad_request_becomes_a_dead_letter_and_erases_nobody(
    engine: Engine, value: bytes | None, key: bytes | None, reason: Reason
) -> None:
    records = [click("ann", 1, 5, 0), Record("erasures", PARTITION, 4, NOW + 4, key, value)]
    work = engine.work(records, {b"ann": None})
    (letter,) = [schemas.decode_output(DeadLetter, made.value) for made in work.dead]
    assert (letter.reason, letter.topic, letter.offset) == (reason, "erasures", 4)
    assert items_of(rows_of(work)[b"ann"]) == [item_hash("1")]
    assert (work.receipts, work.erasures) == ([], [])
    assert work.outcomes[("erasures", "dead_letter")] == 1


def test_a_replayed_dead_letter_is_as_old_as_its_first_record(engine: Engine) -> None:
    erased = {b"ann": Erasure(NOW + 10, 4)}
    before = [(FIRST_APPENDED, b"%d" % (NOW + 9))]
    after = [(FIRST_APPENDED, b"%d" % (NOW + 11))]
    records = [click("ann", 1, 5, 50, before), click("ann", 2, 6, 50, after)]
    work = engine.work(records, {b"ann": None}, erased)
    assert items_of(rows_of(work)[b"ann"]) == [item_hash("2")]
    twice = engine.work([click("ann", 3, 7, 50, [*after, *before])], {b"ann": None}, erased)
    assert twice.rows == []


@pytest.mark.parametrize("value", [b"", b"-1", b"soon", b"9" * 30, None])
def test_a_time_in_a_header_that_is_none_is_ignored(engine: Engine, value: bytes | None) -> None:
    erased = {b"ann": Erasure(NOW + 10, 4)}
    record = click("ann", 1, 5, 50)._replace(headers=[(FIRST_APPENDED, value)])
    assert set(rows_of(engine.work([record], {b"ann": None}, erased))) == {b"ann"}


USERS = ("ann", "bob")
STEPS = st.lists(
    st.tuples(st.sampled_from(USERS), st.sampled_from(["click", "erase"])), min_size=1, max_size=14
)


def stream(steps: Sequence[tuple[str, str]]) -> list[Record]:
    """Records in the order of appending."""
    return [
        click(user, at + 1, at, at) if what == "click" else erasure(user, at, at)
        for at, (user, what) in enumerate(steps)
    ]


def run(
    engine: Engine,
    batches: Sequence[Sequence[Record]],
    rows: dict[bytes, bytes | None],
    erased: dict[bytes, Erasure],
) -> None:
    """What a worker does with batches, as far as rows and memory go."""
    for batch in batches:
        work = engine.work(batch, {user.encode(): rows[user.encode()] for user in USERS}, erased)
        rows.update(rows_of(work))
        for user, found in known(work).items():
            erased[user] = found.and_then(erased.get(user))


def cut(records: Sequence[Record], ends: Sequence[int]) -> list[Sequence[Record]]:
    edges = [0, *sorted({end % (len(records) + 1) for end in ends}), len(records)]
    return [records[a:b] for a, b in pairwise(edges) if a < b]


def histories(rows: Mapping[bytes, bytes | None]) -> dict[bytes, list[int]]:
    return {user: items_of(row) for user, row in rows.items() if row is not None}


@given(steps=STEPS, ends=st.lists(st.integers(0, 14), max_size=4), data=st.data())
@unhurried
def test_whatever_is_read_again_the_history_is_what_came_after_the_last_request(
    engine: Engine, steps: list[tuple[str, str]], ends: list[int], data: st.DataObject
) -> None:
    records = stream(steps)
    expected: dict[bytes, list[int]] = {}
    for record in records:
        if record.topic == "erasures":
            expected.pop(record.key or b"", None)
        else:
            item = item_hash(str(record.offset + 1))
            expected.setdefault(record.key or b"", []).append(item)
    rows: dict[bytes, bytes | None] = {user.encode(): None for user in USERS}
    erased: dict[bytes, Erasure] = {}
    run(engine, cut(records, ends), rows, erased)
    assert histories(rows) == expected
    # The worker ends anywhere, and the next one reads the requests, then goes on from a commit.
    again = records[data.draw(st.integers(0, len(records)), "commit") :]
    run(engine, cut(again, ends), rows, erased)
    assert histories(rows) == expected


def test_the_mark_survives_the_codec() -> None:
    state = UserState(offsets={MARK: 4})
    assert decode_state(encode_state(state)) == state
