"""The engine between Kafka and the recommender: bytes in, records out, and nothing ever raises."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import schemas
from agents.engine import Engine, Record, Work
from schemas import Click, DeadLetter, Purchase, Reason, Recommendation, Remaining
from stream_app.recommender import Recommender
from stream_app.users.codec import decode_state, encode_state
from stream_app.users.ids import item_hash
from stream_app.users.state import UserState, events_of
from tests.engine_topics import ENGINE_TOPICS

BUNDLE = Path(__file__).parents[3] / "examples" / "movielens" / "bundle"
NOW = 1_700_000_000_000

unhurried = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])


def make_engine(
    recommender: Recommender,
    encoding: schemas.Encoding = "msgpack",
    partition_of: Callable[[bytes], int] | None = None,
) -> Engine:
    return Engine(
        recommender,
        sources={"clicks": Click, "purchases": Purchase},
        **ENGINE_TOPICS,
        holdings=lambda at_ms: (Remaining("clicks", at_ms + 1),),
        encoding=encoding,
        clock_ms=lambda: NOW,
        partition_of=partition_of,
    )


def load() -> Recommender:
    """A recommender that has seen nothing; its lists carry a fixed time."""
    return Recommender.load(BUNDLE, clock=lambda: NOW)


@pytest.fixture(scope="module")
def engine() -> Engine:
    """For tests that do not depend on what other tests taught its recommender."""
    return make_engine(load())


def record(
    value: bytes | None,
    key: bytes | None,
    offset: int,
    topic: str = "clicks",
    partition: int = 2,
    headers: Sequence[tuple[str, bytes | None]] = (),
) -> Record:
    return Record(topic, partition, offset, NOW, key, value, headers)


def event(
    kind: type[Click | Purchase],
    topic: str,
    user: str,
    item: int,
    offset: int,
    partition: int,
    **fields: object,
) -> Record:
    message = kind(user_id=user, item_id=str(item), timestamp_ms=NOW - 10_000 + offset, **fields)
    return record(schemas.encode(message), user.encode(), offset, topic, partition)


def click(user: str, item: int, offset: int, partition: int = 2, **fields: object) -> Record:
    return event(Click, "clicks", user, item, offset, partition, **fields)


def purchase(user: str, item: int, offset: int, partition: int = 2, **fields: object) -> Record:
    return event(Purchase, "purchases", user, item, offset, partition, **fields)


def json_value(**fields: object) -> bytes:
    return msgspec.json.encode({"user_id": "ann", "item_id": "1", "timestamp_ms": NOW, **fields})


def no_rows(records: Iterable[Record]) -> dict[bytes, bytes | None]:
    return {record.key: None for record in records if record.key}


def rows_of(work: Work) -> dict[bytes, bytes]:
    return {row.key: row.value for row in work.rows if row.key is not None}


def lists_of(work: Work) -> list[Recommendation]:
    return [schemas.decode_output(Recommendation, made.value) for made in work.lists]


def letters_of(work: Work) -> list[DeadLetter]:
    return [schemas.decode_output(DeadLetter, letter.value) for letter in work.dead]


def assert_accounted(work: Work, records: Sequence[Record]) -> None:
    """Every record has one outcome, and the outcomes agree with what is published."""
    for topic in ("clicks", "purchases"):
        counted = sum(count for (of, _), count in work.outcomes.items() if of == topic)
        assert counted == sum(record.topic == topic for record in records)
    dead = sum(count for (_, outcome), count in work.outcomes.items() if outcome == "dead_letter")
    assert dead == len(work.dead) == sum(work.reasons.values())
    assert [row.key for row in work.rows] == [made.key for made in work.lists]
    assert len(rows_of(work)) == len(work.rows)


def test_good_records_give_a_row_and_a_list_on_their_partition(engine: Engine) -> None:
    records = [click("ann", 1, 5, partition=2), click("bob", 2, 9, partition=3)]
    work = engine.work(records, no_rows(records))
    assert [(row.topic, row.partition, row.key) for row in work.rows] == [
        ("changelog", 2, b"ann"),
        ("changelog", 3, b"bob"),
    ]
    assert [(made.topic, made.partition, made.key) for made in work.lists] == [
        ("recommendations", 2, b"ann"),
        ("recommendations", 3, b"bob"),
    ]
    assert work.dead == []
    assert work.outcomes == {("clicks", "applied"): 2}
    ann, bob = lists_of(work)
    assert (ann.user_id, ann.applied) == ("ann", {"clicks/2": 5})
    assert (bob.user_id, bob.applied) == ("bob", {"clicks/3": 9})
    assert [item.rank for item in ann.items] == list(range(1, 11))
    assert decode_state(work.rows[0].value).offsets == {"clicks/2": 5}
    assert work.records() == work.rows + work.lists


def test_mixed_topics_meet_in_one_row(engine: Engine) -> None:
    records = [
        click("ann", 1, 3),
        purchase("ann", 2, 4, quantity=3),
        click("bob", 4, 5),
        click("ann", 3, 6),
    ]
    work = engine.work(records, no_rows(records))
    assert work.outcomes == {("clicks", "applied"): 3, ("purchases", "applied"): 1}
    state = decode_state(rows_of(work)[b"ann"])
    assert state.offsets == {"clicks/2": 6, "purchases/2": 4}
    assert events_of(state.history)["item"].tolist() == [item_hash(i) for i in ("1", "2", "3")]
    assert events_of(state.history)["weight"].tolist() == [1, 3, 1]
    ann = lists_of(work)[0]
    assert ann.applied == state.offsets
    assert ann.trigger is not None
    assert (ann.trigger.topic, ann.trigger.offset) == ("clicks", 6)
    assert not {item.item_id for item in ann.items} & {"1", "2", "3"}


REJECTED: dict[str, tuple[bytes | None, bytes | None, Reason]] = {
    "null value": (None, b"ann", Reason.DECODE_ERROR),
    "empty value": (b"", b"ann", Reason.DECODE_ERROR),
    "no map": (b"\xff\x00", b"ann", Reason.DECODE_ERROR),
    "cut JSON": (json_value()[:-4], b"ann", Reason.DECODE_ERROR),
    "missing field": (b"{}", b"ann", Reason.VALIDATION_ERROR),
    "wrong type": (json_value(timestamp_ms="today"), b"ann", Reason.VALIDATION_ERROR),
    "null key": (json_value(), None, Reason.VALIDATION_ERROR),
    "empty key": (json_value(), b"", Reason.VALIDATION_ERROR),
    "key of another user": (json_value(), b"bob", Reason.VALIDATION_ERROR),
    "key not UTF-8": (json_value(), b"\xff\xfe", Reason.VALIDATION_ERROR),
    "future": (json_value(timestamp_ms=NOW + 10**9), b"ann", Reason.TIMESTAMP_IN_FUTURE),
    "too large": (json_value(context={"x": "y" * 300_000}), b"ann", Reason.TOO_LARGE),
}


@pytest.mark.parametrize("topic", ["clicks", "purchases"])
@pytest.mark.parametrize("name", REJECTED)
def test_a_rejected_record_becomes_a_dead_letter_on_its_partition(
    engine: Engine, name: str, topic: str
) -> None:
    value, key, reason = REJECTED[name]
    bad = record(value, key, 7, topic, partition=3, headers=[("trace", b"1")])
    work = engine.work([bad], no_rows([bad]))
    assert (work.rows, work.lists) == ([], [])
    assert work.reasons == {reason.value: 1}
    assert work.outcomes == {(topic, "dead_letter"): 1}
    (published,) = work.dead
    assert (published.topic, published.partition) == ("dead-letters", 3)
    assert published.key == key
    assert dict(published.headers)["reason"] == reason.value.encode()
    (letter,) = letters_of(work)
    assert (letter.topic, letter.partition, letter.offset) == (topic, 3, 7)
    assert (letter.timestamp_ms, letter.key, letter.headers) == (NOW, key, (("trace", b"1"),))
    cut = reason is Reason.TOO_LARGE
    assert letter.value == (value[: schemas.KEPT_VALUE_BYTES] if cut and value else value)


def test_rejected_records_change_nothing_of_the_good_ones() -> None:
    good = [click("ann", 1, 10), purchase("bob", 2, 10), click("ann", 3, 90)]
    bad = [record(value, key, 20 + n) for n, (value, key, _) in enumerate(REJECTED.values())]
    mixed = [good[0], *bad[:6], good[1], *bad[6:], good[2]]
    alone = make_engine(load()).work(good, no_rows(good))
    among = make_engine(load()).work(mixed, no_rows(mixed))
    assert among.rows == alone.rows
    assert among.lists == alone.lists
    assert [letter.offset for letter in letters_of(among)] == [record.offset for record in bad]
    assert_accounted(among, mixed)
    assert among.reasons == {
        reason.value: sum(of is reason for _, _, of in REJECTED.values())
        for reason in Reason
        if reason is not Reason.PROCESSING_ERROR
    }


@pytest.mark.parametrize(
    "row",
    [
        pytest.param(b"no row at all", id="no map"),
        pytest.param(encode_state(UserState(history=b"x" * 18))[:-3], id="cut"),
        pytest.param(encode_state(UserState(history=b"x" * 17)), id="part of an event"),
    ],
)
def test_a_damaged_row_stops_only_its_user(engine: Engine, row: bytes) -> None:
    records = [click("bad", 1, 1), click("ann", 1, 2), purchase("bad", 2, 3), click("bob", 1, 4)]
    work = engine.work(records, {**no_rows(records), b"bad": row})
    assert work.reasons == {"processing_error": 2}
    assert work.outcomes == {
        ("clicks", "dead_letter"): 1,
        ("purchases", "dead_letter"): 1,
        ("clicks", "applied"): 2,
    }
    assert set(rows_of(work)) == {b"ann", b"bob"}, "a row that cannot be read is left as it is"
    assert [made.user_id for made in lists_of(work)] == ["ann", "bob"]
    assert all("'bad'" in letter.detail for letter in letters_of(work))


def test_replayed_records_give_the_same_row_and_list_again(engine: Engine) -> None:
    records = [click("ann", 1, 1), purchase("ann", 2, 1), click("bob", 3, 2), click("ann", 5, 3)]
    first = engine.work(records, no_rows(records))
    again = engine.work(records, rows_of(first))
    assert again.outcomes == {("clicks", "replayed"): 3, ("purchases", "replayed"): 1}
    assert again.rows == first.rows
    assert [made.rec_id for made in lists_of(again)] == [made.rec_id for made in lists_of(first)]
    assert [made.applied for made in lists_of(again)] == [made.applied for made in lists_of(first)]
    assert all(len(made.items) == 10 for made in lists_of(again))


def test_a_batch_that_is_partly_replayed_takes_only_what_is_new(engine: Engine) -> None:
    records = [click("ann", item, item) for item in range(1, 7)]
    first = engine.work(records[:4], no_rows(records))
    again = engine.work(records, rows_of(first))
    assert again.outcomes == {("clicks", "replayed"): 4, ("clicks", "applied"): 2}
    at_once = engine.work(records, no_rows(records))
    taken, expected = (decode_state(rows_of(work)[b"ann"]) for work in (again, at_once))
    assert (taken.history, taken.offsets, taken.events) == (
        expected.history,
        expected.offsets,
        expected.events,
    )


def test_a_repeated_event_id_is_counted_as_duplicate(engine: Engine) -> None:
    records = [click("ann", 1, offset, event_id="once") for offset in (1, 2)]
    work = engine.work(records, no_rows(records))
    assert work.outcomes == {("clicks", "applied"): 1, ("clicks", "duplicate"): 1}
    assert lists_of(work)[0].applied == {"clicks/2": 2}


def test_json_lists_say_the_same_as_msgpack_ones() -> None:
    records = [click("ann", 1, 1), record(b"{}", b"ann", 2)]
    in_json = make_engine(load(), "json").work(records, no_rows(records))
    packed = make_engine(load(), "msgpack").work(records, no_rows(records))
    assert in_json.lists[0].value.startswith(b"{")
    assert not packed.lists[0].value.startswith(b"{")
    assert msgspec.json.decode(in_json.lists[0].value)["user_id"] == "ann"
    assert lists_of(in_json) == lists_of(packed)
    assert in_json.rows == packed.rows, "the encoding is for readers of lists only"
    assert in_json.dead == packed.dead


KEYS = st.sampled_from([b"ann", b"bob", "zoë".encode()])


@st.composite
def valid(draw: st.DrawFn) -> tuple[bytes | None, bytes | None]:
    """Key and value of an event that can be applied."""
    key = draw(KEYS)
    message = draw(st.sampled_from([Click, Purchase]))(
        user_id=key.decode(),
        item_id=draw(st.sampled_from(["1", "2", "never seen"]) | st.text(min_size=1, max_size=9)),
        timestamp_ms=draw(st.integers(0, NOW)),
        event_id=draw(st.none() | st.sampled_from(["a", "b"])),
    )
    return key, schemas.encode(message, draw(st.sampled_from(["json", "msgpack"])))


@st.composite
def mutated(draw: st.DrawFn) -> tuple[bytes | None, bytes | None]:
    """An event with one byte changed, or cut."""
    key, value = draw(valid())
    assert value is not None
    at = draw(st.integers(0, len(value) - 1))
    tail = draw(st.just(b"") | st.binary(min_size=1, max_size=1).map(lambda b: b + value[at + 1 :]))
    return key, value[:at] + tail


ANYTHING = st.tuples(st.none() | st.binary(max_size=20) | KEYS, st.none() | st.binary(max_size=80))
TOPICS = st.sampled_from(["clicks", "purchases"])
BATCHES = st.lists(st.tuples(st.one_of(valid(), mutated(), ANYTHING), TOPICS), max_size=12).map(
    lambda drawn: [record(value, key, at, topic) for at, ((key, value), topic) in enumerate(drawn)]
)


@given(records=BATCHES)
@unhurried
def test_whatever_is_sent_every_record_has_one_outcome(
    engine: Engine, records: list[Record]
) -> None:
    work = engine.work(records, no_rows(records))
    assert_accounted(work, records)
    for key, row in rows_of(work).items():
        assert decode_state(row).events > 0, key
    again = engine.work(records, {**no_rows(records), **rows_of(work)})
    assert_accounted(again, records)
    assert again.rows == work.rows
    assert again.dead == work.dead


@given(records=BATCHES, found=st.dictionaries(KEYS, st.none() | st.binary(max_size=60)))
@unhurried
def test_whatever_the_table_holds_every_record_has_one_outcome(
    engine: Engine, records: list[Record], found: Mapping[bytes, bytes | None]
) -> None:
    assert_accounted(engine.work(records, {**no_rows(records), **found}), records)


@given(data=st.data())
@unhurried
def test_a_row_with_one_byte_changed_does_not_stop_the_others(
    engine: Engine, data: st.DataObject
) -> None:
    history = [click("ann", item, item) for item in range(1, 4)]
    row = rows_of(engine.work(history, no_rows(history)))[b"ann"]
    at = data.draw(st.integers(0, len(row) - 1), "place")
    damaged = row[:at] + data.draw(st.binary(min_size=1, max_size=1), "byte") + row[at + 1 :]
    records = [click("ann", 7, 10), click("bob", 7, 11)]
    work = engine.work(records, {b"ann": damaged, b"bob": None})
    assert_accounted(work, records)
    assert b"bob" in rows_of(work)


def test_a_new_user_in_the_wrong_partition_is_turned_away() -> None:
    """A user who is known has been there before, and stays where the row is."""
    engine = make_engine(Recommender.load(BUNDLE, clock=lambda: NOW))
    engine._partition_of = lambda key: 3
    value = schemas.encode(Click(user_id="ann", item_id="1", timestamp_ms=NOW))
    right, wrong = (Record("clicks", partition, 0, NOW, b"ann", value) for partition in (3, 2))
    assert len(engine.work([right], {b"ann": None}).lists) == 1
    (letter,) = engine.work([wrong], {b"ann": None}).dead
    rejected = schemas.decode_output(DeadLetter, letter.value)
    assert rejected.reason == Reason.VALIDATION_ERROR
    assert "in partition 2, but its key belongs into 3" in rejected.detail
    row = engine.work([right], {b"ann": None}).rows[0].value
    assert len(engine.work([wrong._replace(offset=1)], {b"ann": row}).lists) == 1
