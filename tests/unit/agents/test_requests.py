"""Requests at the bytes edge: answered from the rows as the batch leaves them."""

from __future__ import annotations

from typing import Any

import pytest
from test_engine import NOW, click, load, make_engine, no_rows, rows_of

import schemas
from agents.engine import Engine, Record, Work
from schemas import DeadLetter, Recommendation, RecommendationRequest
from stream_app.users.codec import decode_state

TOPIC = "recommendation-requests"


@pytest.fixture
def engine() -> Engine:
    return make_engine(load())


def request(user: str, offset: int, key: bytes | None = None, **fields: Any) -> Record:
    message = RecommendationRequest(user_id=user, request_id=f"r{offset}", **fields)
    value = schemas.encode(message)
    return Record(TOPIC, 2, offset, NOW - 7, user.encode() if key is None else key, value)


def answers_of(work: Work) -> list[Recommendation]:
    return [schemas.decode_output(Recommendation, made.value) for made in work.answers]


def test_a_request_is_answered_after_the_events_of_its_batch(engine: Engine) -> None:
    records = [request("ann", 5, k=3), click("ann", 318, 0), click("ann", 296, 1)]
    work = engine.work(records, no_rows(records))
    (made,) = answers_of(work)
    assert (made.request_id, made.user_id, len(made.items)) == ("r5", "ann", 3)
    assert made.applied == {"clicks/2": 1}
    assert made.items[0].item_id not in {"318", "296"}
    assert work.outcomes[TOPIC, "answered"] == 1
    assert (work.asked_ms, work.unanswered) == ([NOW - 7], 0)
    assert [(one.topic, one.partition, one.key) for one in work.answers] == [
        ("recommendations", 2, b"ann")
    ]
    assert set(work.records()) >= set(work.answers)
    assert set(decode_state(rows_of(work)[b"ann"]).offsets) == {"clicks/2"}


def test_a_request_alone_writes_no_row(engine: Engine) -> None:
    first = engine.work([click("ann", 318, 0)], {b"ann": None})
    work = engine.work([request("ann", 5)], rows_of(first))
    assert not work.rows
    assert not work.lists
    assert answers_of(work)[0].applied == {"clicks/2": 0}


def test_the_same_request_gives_the_same_list_again(engine: Engine) -> None:
    records = [request("ann", 5, seed_items=("318",))]
    one, other = (engine.work(records, {b"ann": None}).answers for _ in range(2))
    assert one == other


def test_a_request_past_its_deadline_is_counted_and_not_answered(
    engine: Engine, degraded_by
) -> None:
    records = [request("ann", 5, deadline_ms=NOW - 1), request("bob", 6, deadline_ms=NOW)]
    work = engine.work(records, no_rows(records))
    assert [made.user_id for made in answers_of(work)] == ["bob"]
    assert work.outcomes == {(TOPIC, "expired"): 1, (TOPIC, "answered"): 1}
    assert (work.unanswered, len(work.asked_ms)) == (1, 1)
    assert degraded_by() == {"request_expired": 1}


@pytest.mark.parametrize(
    ("record", "reason", "detail"),
    [
        (request("ann", 5, key=b"bob"), "validation_error", "is not the user_id 'ann'"),
        (request("ann", 5, k=500), "validation_error", "Expected `int` <= 200 - at `$.k`"),
        (request("ann", 5, exclude=("x",) * 1001), "validation_error", "length <= 1000"),
        (request("ann", 5, exclude=("é" * 200,)), "validation_error", "`$.exclude[0]` has 400 byt"),
        (request("ann", 5, seed_items=("",)), "validation_error", "`$.seed_items[0]`"),
        (Record(TOPIC, 2, 5, NOW, b"ann", None), "decode_error", "the value is null"),
        (Record(TOPIC, 2, 5, NOW, b"ann", b"\xff"), "decode_error", "neither a MessagePack map"),
    ],
)
def test_a_request_that_cannot_be_understood_becomes_a_dead_letter(
    engine: Engine, record: Record, reason: str, detail: str
) -> None:
    work = engine.work([record, request("bob", 6)], {b"ann": None, b"bob": None})
    (letter,) = (schemas.decode_output(DeadLetter, one.value) for one in work.dead)
    assert (letter.reason, letter.topic, letter.offset) == (reason, TOPIC, 5)
    assert detail in letter.detail
    assert [made.user_id for made in answers_of(work)] == ["bob"]
    assert work.outcomes[TOPIC, "dead_letter"] == 1


def test_a_request_for_a_damaged_row_is_a_dead_letter(engine: Engine) -> None:
    work = engine.work([request("ann", 5)], {b"ann": b"damaged"})
    (letter,) = (schemas.decode_output(DeadLetter, one.value) for one in work.dead)
    assert letter.reason == "processing_error"
    assert "the row of user 'ann' cannot be read" in letter.detail


def test_a_stranger_in_a_foreign_partition_would_get_a_list_that_knows_nothing() -> None:
    engine = make_engine(load(), partition_of=lambda _: 1)
    work = engine.work([request("ann", 5)], {b"ann": None})
    (letter,) = (schemas.decode_output(DeadLetter, one.value) for one in work.dead)
    assert "the record is in partition 2, but its key belongs into 1" in letter.detail
