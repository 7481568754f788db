"""Impressions at the bytes edge: a row, no list, and lists that know of it."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from test_engine import BUNDLE, NOW, click, no_rows, rows_of, unhurried

import schemas
from agents.engine import Engine, Record, Work
from schemas import Click, DeadLetter, ErasureRequest, Impression, Purchase, Recommendation
from stream_app.bundle import load_bundle
from stream_app.plan import Plan
from stream_app.recommender import Recommender
from stream_app.users.codec import decode_state
from stream_app.users.ids import item_hash

TOPIC = "impressions"
LOADED = load_bundle(BUNDLE)


def make_engine(*filters: str, impressions: str | None = TOPIC, **options: Any) -> Engine:
    return Engine(
        Recommender(LOADED, plan=Plan(filters=("bought", "clicked", *filters)), clock=lambda: NOW),
        sources={"clicks": Click, "purchases": Purchase},
        impressions=impressions,
        changelog="changelog",
        recommendations="recommendations",
        dead_letters="dead-letters",
        decisions="decisions",
        erasures="erasures",
        receipts="erasure-receipts",
        requests="recommendation-requests",
        profiles="profiles",
        clock_ms=lambda: NOW,
        **options,
    )


@pytest.fixture(scope="module")
def engine() -> Engine:
    return make_engine("shown:1h")


def shown(user: str, offset: int, *items: str, key: bytes | None = None, **fields: Any) -> Record:
    fields = {"timestamp_ms": NOW - 5_000, **fields}
    message = Impression(user_id=user, rec_id="r", item_ids=items or ("593",), **fields)
    value = schemas.encode(message)
    return Record(TOPIC, 2, offset, NOW - 7, user.encode() if key is None else key, value)


def listed(work: Work) -> dict[str, set[str]]:
    made = [schemas.decode_output(Recommendation, one.value) for one in work.lists]
    return {one.user_id: {item.item_id for item in one.items} for one in made}


def test_an_impression_writes_a_row_and_makes_no_list(engine: Engine) -> None:
    records = [shown("ann", 5, "318", "593"), shown("bob", 6)]
    work = engine.work(records, no_rows(records))
    assert {row.key: row.partition for row in work.rows} == {b"ann": 2, b"bob": 2}
    state = decode_state(rows_of(work)[b"ann"])
    assert (state.offsets, state.events, len(state.shown)) == ({"impressions/2": 5}, 0, 16)
    assert not work.lists
    assert not work.appended_ms
    assert work.outcomes == {(TOPIC, "applied"): 2}
    assert work.unanswered == 2


def test_a_list_of_the_same_batch_knows_what_was_shown_after_its_event(engine: Engine) -> None:
    first = [click("ann", 318, 0)]
    usual = listed(engine.work(first, no_rows(first)))["ann"]
    top = sorted(usual)[:3]
    records = [*first, shown("ann", 0, *top), shown("bob", 1)]
    work = engine.work(records, no_rows(records))
    assert listed(work).keys() == {"ann"}
    assert not listed(work)["ann"] & set(top)
    assert len(listed(work)["ann"]) == 10
    assert len(work.rows) == 2  # one of each user
    assert decode_state(rows_of(work)[b"ann"]).offsets == {"impressions/2": 0, "clicks/2": 0}
    assert work.unanswered == 2


@unhurried
@given(st.permutations(range(6)), st.lists(st.integers(0, 6), max_size=3))
def test_batches_and_the_order_between_topics_do_not_matter(
    order: list[int], cuts: list[int]
) -> None:
    """And what is read again is known."""
    engine = make_engine("shown")
    clicks = [click("ann", 318 + n, n) for n in range(3)]
    impressions = [shown("ann", n, str(n)) for n in range(3)]
    turns = [clicks if n < 3 else impressions for n in order]
    places = [turns[:at].count(turn) for at, turn in enumerate(turns)]
    records = [turn[place] for turn, place in zip(turns, places, strict=True)]
    rows: dict[bytes, bytes | None] = {b"ann": None}
    edges = [0, *sorted(cuts), 6]
    for start, end in pairwise(edges):
        for _ in range(2):
            rows |= rows_of(engine.work(records[start:end], rows))
    state = decode_state(rows[b"ann"] or b"")
    assert (state.events, len(state.shown)) == (3, 24)
    assert state.offsets == {"clicks/2": 2, "impressions/2": 2}


@pytest.mark.parametrize(
    ("record", "reason", "detail"),
    [
        (shown("ann", 5, key=b"bob"), "validation_error", "is not the user_id 'ann'"),
        (shown("ann", 5, "é" * 200), "validation_error", "`$.item_ids[0]` has 400 bytes"),
        (shown("ann", 5, timestamp_ms=NOW + 10**6), "timestamp_in_future", "1000 s ahead"),
        (Record(TOPIC, 2, 5, NOW, b"ann", b"\xff"), "decode_error", "neither a MessagePack map"),
        (Record(TOPIC, 2, 5, NOW, b"ann", None), "decode_error", "the value is null"),
        (shown("ann", 5)._replace(value=b"{}"), "validation_error", "user_id"),
    ],
)
def test_what_is_no_impression_becomes_a_dead_letter(
    engine: Engine, record: Record, reason: str, detail: str
) -> None:
    records = [record, shown("bob", 6)]
    work = engine.work(records, {b"ann": None, b"bob": None})
    (letter,) = (schemas.decode_output(DeadLetter, one.value) for one in work.dead)
    assert (letter.reason, letter.topic, letter.offset) == (reason, TOPIC, 5)
    assert detail in letter.detail
    assert [row.key for row in work.rows] == [b"bob"]
    assert work.outcomes[TOPIC, "dead_letter"] == 1


def test_an_impression_of_a_damaged_row_or_a_foreign_partition_is_a_dead_letter() -> None:
    engine = make_engine("shown", partition_of=lambda _: 1)
    records = [shown("ann", 5), shown("bob", 6)]
    work = engine.work(records, {b"ann": b"damaged", b"bob": None})
    letters = [schemas.decode_output(DeadLetter, one.value) for one in work.dead]
    assert [letter.reason for letter in letters] == ["processing_error", "validation_error"]
    assert "the record is in partition 2, but its key belongs into 1" in letters[1].detail
    assert not work.rows


def test_an_erasure_takes_impressions_with_it(engine: Engine) -> None:
    before = [shown("ann", 5), click("ann", 318, 0)]
    rows = rows_of(engine.work(before, no_rows(before)))
    value = schemas.encode(ErasureRequest(user_id="ann"))
    request = Record("erasures", 2, 0, NOW, b"ann", value)
    late = shown("ann", 6)  # appended before the request
    work = engine.work([request, late], rows)
    assert [(row.key, row.value) for row in work.rows] == [(b"ann", None)]
    assert work.outcomes[TOPIC, "erased"] == 1
    after = shown("ann", 7)._replace(timestamp_ms=NOW + 1)
    work = engine.work([request, after], rows)
    state = decode_state(rows_of(work)[b"ann"])
    assert (state.events, len(state.shown)) == (0, 8)
    assert state.offsets == {"erasures/2": 0, "impressions/2": 7}


def test_a_row_keeps_item_hashes_as_they_are_seen(engine: Engine) -> None:
    work = engine.work([shown("ann", 5, "318")], {b"ann": None})
    state = decode_state(rows_of(work)[b"ann"])
    assert state.shown[:4] == (item_hash("318") % 2**32).to_bytes(4, "little")
