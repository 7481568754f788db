"""Profiles through the engine: applied once, answered, withdrawn, erased; nothing ever raises."""

from __future__ import annotations

import pytest
from test_engine import NOW, click, make_engine, record
from text_release import ENCODER, TEXT, TEXT_DIM, release

import schemas
from agents.engine import Engine
from agents.records import Record, Work
from schemas import DeadLetter, ErasureReceipt, ErasureRequest, Profile, Recommendation
from stream_app.recommender import Recommender
from stream_app.users.codec import decode_state
from stream_app.users.profile import profile_of
from stream_app.users.state import UserState

PLACE = "profiles/2"


@pytest.fixture
def engine() -> Engine:
    return make_engine(Recommender(release(), clock=lambda: NOW, text_encoder=ENCODER))


def say(user: str, offset: int, text: str | None = TEXT, **attributes: object) -> Record:
    said = Profile(user_id=user, text=text, attributes=attributes)
    return record(schemas.encode(said), user.encode(), offset, "profiles")


def withdraw(user: str, offset: int) -> Record:
    return record(None, user.encode(), offset, "profiles")


def erase(user: str, offset: int, at_ms: int = NOW) -> Record:
    request = schemas.encode(ErasureRequest(user_id=user, request_id="case"))
    return Record("erasures", 2, offset, at_ms, user.encode(), request)


def row(work: Work, user: str) -> UserState:
    (written,) = [one.value for one in work.rows if one.key == user.encode()]
    assert written is not None
    return decode_state(written)


def rows(work: Work) -> dict[bytes, bytes | None]:
    return {one.key or b"": one.value for one in work.rows}


def lists(work: Work) -> list[Recommendation]:
    return [schemas.decode_output(Recommendation, one.value) for one in work.lists]


def test_a_profile_makes_a_row_and_a_list_of_its_user(engine: Engine) -> None:
    work = engine.work([say("ann", 3, member=True)], {b"ann": None})
    held = profile_of(row(work, "ann"))
    assert (held.text, held.attributes) == (TEXT, {"member": True})
    assert len(held.vector) == 2 * TEXT_DIM
    assert row(work, "ann").offsets == {PLACE: 3}
    (made,) = lists(work)
    assert made.trigger is not None
    assert (made.trigger.topic, made.trigger.offset, made.trigger.timestamp_ms) == (
        "profiles", 3, NOW,
    )  # fmt: skip
    assert made.applied == {PLACE: 3}
    assert len(made.items) == 10
    assert work.outcomes == {("profiles", "applied"): 1}
    assert work.unanswered == 0


def test_one_list_covers_what_a_user_said_and_did_in_one_batch(engine: Engine) -> None:
    work = engine.work(
        [click("ann", 1, 5), say("ann", 3), say("bob", 4)], {b"ann": None, b"bob": None}
    )
    made = {one.user_id: one for one in lists(work)}
    assert made["ann"].applied == {"clicks/2": 5, PLACE: 3}
    assert made["bob"].applied == {PLACE: 4}
    assert len(work.lists) == 2


def test_read_again_it_changes_nothing_and_is_answered_again(engine: Engine) -> None:
    first = engine.work([say("ann", 3)], {b"ann": None})
    again = engine.work([say("ann", 3)], rows(first))
    assert rows(again) == rows(first)
    assert [one.rec_id for one in lists(again)] == [one.rec_id for one in lists(first)]
    assert again.outcomes == {("profiles", "replayed"): 1}


def test_withdrawn_it_is_gone_and_withdrawn_twice_nothing_happens(engine: Engine) -> None:
    first = engine.work([say("ann", 3)], {b"ann": None})
    second = engine.work([withdraw("ann", 4)], rows(first))
    assert not row(second, "ann").profile
    assert len(second.lists) == 1
    third = engine.work([withdraw("ann", 5)], rows(second))
    assert (third.rows, third.lists, third.unanswered) == ([], [], 1)
    nobody = engine.work([withdraw("eve", 6)], {b"eve": None})
    assert (nobody.rows, nobody.lists) == ([], [])
    assert nobody.outcomes == {("profiles", "unchanged"): 1}


@pytest.mark.parametrize(
    ("value", "key", "reason"),
    [
        (b"{", b"ann", "decode_error"),
        (b'{"user_id": "ann", "text": 5}', b"ann", "validation_error"),
        (b'{"user_id": "ann", "text": "' + b"x" * 2001 + b'"}', b"ann", "validation_error"),
        (b'{"user_id": "ann", "attributes": {"a": [1]}}', b"ann", "validation_error"),
        (b'{"user_id": "ann", "user_id": "bob"}', b"bob", "validation_error"),
        (b'{"user_id": "ann"}', b"bob", "validation_error"),
        (b'{"user_id": "ann"}', None, "validation_error"),
        (None, b"\xff", "decode_error"),
        (None, None, "validation_error"),
    ],
)
def test_what_is_no_profile_is_a_dead_letter_and_stops_nobody(
    engine: Engine, value: bytes | None, key: bytes | None, reason: str
) -> None:
    bad = record(value, key, 3, "profiles")
    work = engine.work([bad, say("bob", 4)], {b"ann": None, b"bob": None})
    (letter,) = [schemas.decode_output(DeadLetter, one.value) for one in work.dead]
    assert (letter.reason, letter.topic, letter.offset) == (reason, "profiles", 3)
    assert [made.user_id for made in lists(work)] == ["bob"]


def test_what_pushes_compaction_says_nothing(engine: Engine) -> None:
    work = engine.work([record(None, b"", 9, "profiles")], {})
    assert work.records() == []
    assert work.outcomes == {("profiles", "push"): 1}


def test_a_profile_in_a_foreign_partition_is_turned_away(engine: Engine) -> None:
    strict = make_engine(Recommender(release()), partition_of=lambda _: 1)
    work = strict.work([say("ann", 3)], {b"ann": None})
    assert len(work.dead) == 1
    assert not work.rows


def test_an_erasure_takes_what_was_said_and_leaves_a_tombstone_in_its_place(
    engine: Engine,
) -> None:
    held = rows(engine.work([say("ann", 3)], {b"ann": None}))
    late = say("ann", 4)  # appended before the request, read with it
    work = engine.work([erase("ann", 7), late], held)
    assert [(one.topic, one.partition, one.key, one.value) for one in work.forgotten] == [
        ("profiles", 2, b"ann", None)
    ]
    assert rows(work) == {b"ann": None}
    assert work.lists == []
    (receipt,) = [schemas.decode_output(ErasureReceipt, one.value) for one in work.receipts]
    assert (receipt.outcome, receipt.dropped) == ("erased", 1)
    assert receipt.applied == {PLACE: 3}
    assert set(work.forgotten) <= set(work.records())


def test_the_tombstone_of_an_erasure_begins_no_new_row(engine: Engine) -> None:
    held = rows(engine.work([say("ann", 3)], {b"ann": None}))
    erased = engine.work([erase("ann", 7)], held)
    _, user, erasure = erased.erasures[0]
    own = withdraw("ann", 4)._replace(timestamp_ms=NOW + 1)
    work = engine.work([own], {b"ann": None}, {user: erasure})
    assert (work.rows, work.lists, work.dead) == ([], [], [])


def test_said_again_after_an_erasure_it_is_that_of_a_new_user(engine: Engine) -> None:
    held = rows(engine.work([say("ann", 3)], {b"ann": None}))
    erased = engine.work([erase("ann", 7)], held)
    _, user, erasure = erased.erasures[0]
    anew = say("ann", 5, "other")._replace(timestamp_ms=NOW + 1)
    work = engine.work([anew], {b"ann": None}, {user: erasure})
    assert profile_of(row(work, "ann")).text == "other"
    assert row(work, "ann").offsets == {"erasures/2": 7, PLACE: 5}
