"""The facade: rows and lists that do not depend on batches, repeats or restarts."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise

import msgspec
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from small_release import DIM, STATE_SIZE, LinearEncoder, small_release

from schemas.messages import Click, Purchase, Recommendation, Trigger
from stream_app.bundle import Bundle
from stream_app.errors import UserError
from stream_app.plan import Plan
from stream_app.recommender import Recommender, SourceMessage
from stream_app.users import (
    HISTORY_LENGTH,
    Outcome,
    UserState,
    event_gaps,
    events_of,
    sequence_features,
)

settings.register_profile("unhurried", deadline=None)  # a busy machine is no failure
settings.load_profile("unhurried")

USERS = ("ann", "bob", "eve")


def recommender(bundle: Bundle | None = None, **options: object) -> Recommender:
    return Recommender(bundle or small_release(), clock=lambda: 123, **options)  # type: ignore[arg-type]


def click(user: str, item: int, timestamp_ms: int, offset: int, **fields: object) -> SourceMessage:
    message = Click(user_id=user, item_id=f"item-{item}", timestamp_ms=timestamp_ms, **fields)  # type: ignore[arg-type]
    return SourceMessage(message, "clicks", 0, offset)


@st.composite
def streams(draw: st.DrawFn) -> list[SourceMessage]:
    """Two topics read in turns: late events, retries, unknown items, users longer than the ring."""
    seed = draw(st.integers(0, 2**32 - 1))
    random = np.random.default_rng(seed)
    count = draw(st.integers(1, 260))
    late = draw(st.sampled_from((0.0, 0.02, 0.3)))
    weights = draw(st.sampled_from(((0.9, 0.05, 0.05), (0.4, 0.3, 0.3))))
    offsets = {"clicks": 0, "purchases": 0}
    messages, now = [], 1_000_000
    for _ in range(count):
        now += int(random.integers(0, 50_000))
        at = now - int(random.integers(0, 400_000)) if random.random() < late else now
        fields = {
            "user_id": USERS[random.choice(3, p=weights)],
            "item_id": f"item-{random.integers(0, 45)}",  # 40 and above are new
            "timestamp_ms": at,
            "event_id": f"e{random.integers(0, 300)}" if random.random() < 0.3 else None,
        }
        topic = "purchases" if random.random() < 0.3 else "clicks"
        offsets[topic] += 1
        kind = Purchase if topic == "purchases" else Click
        messages.append(SourceMessage(kind(**fields), topic, 0, offsets[topic]))
    return messages


def run(
    engine: Recommender,
    messages: list[SourceMessage],
    cuts: list[int],
    states: dict[str, UserState] | None = None,
) -> dict[str, UserState]:
    states = dict(states or {})
    for start, end in pairwise([0, *sorted(c for c in cuts if c < len(messages)), len(messages)]):
        states |= engine.process(messages[start:end], states).states
    return states


def assert_same_rows(left: dict[str, UserState], right: dict[str, UserState]) -> None:
    """Equal, up to the rounding of matrix products of other shapes in `hidden` and `vector`."""
    assert left.keys() == right.keys()
    for user, one in left.items():
        other = right[user]
        for field in ("hidden", "vector"):
            halves = (np.frombuffer(getattr(s, field), np.float16) for s in (one, other))
            np.testing.assert_allclose(*halves, rtol=0.02, atol=0.02)
        blank = {"hidden": b"", "vector": b""}
        assert msgspec.structs.replace(one, **blank) == msgspec.structs.replace(other, **blank)


@given(streams(), st.lists(st.integers(1, 259), max_size=20))
def test_any_split_into_batches_gives_the_same_rows(
    messages: list[SourceMessage], cuts: list[int]
) -> None:
    assert_same_rows(run(recommender(), messages, cuts), run(recommender(), messages, []))


@given(streams(), st.data())
def test_a_restart_that_reads_a_suffix_again_gives_the_same_rows(
    messages: list[SourceMessage], data: st.DataObject
) -> None:
    crash = data.draw(st.integers(0, len(messages)), label="rows written up to")
    committed = data.draw(st.integers(0, crash), label="offsets committed up to")
    before = run(recommender(), messages[:crash], [])
    restarted = recommender()
    again = restarted.process(messages[committed:crash], before)
    assert set(again.outcomes) <= {Outcome.REPLAYED}
    assert again.states == {user: before[user] for user in again.states}
    after = run(restarted, messages[crash:], [], before | again.states)
    assert_same_rows(after, run(recommender(), messages, []))


def encoded(engine: Recommender, history: bytes) -> tuple[np.ndarray, np.ndarray]:
    """State and vector of a ring, stepped one by one with the rounding of a stored row."""
    bundle, events = engine.bundle, events_of(history)
    features = sequence_features(events["action"], event_gaps(events["timestamp_ms"]))
    vectors = bundle.catalog.vectors_of(bundle.catalog.lookup(events["item"].copy()))
    state, user = np.zeros((1, STATE_SIZE), np.float32), np.zeros((1, DIM), np.float32)
    for row in range(len(events)):
        state, user = bundle.encoder.step(state, vectors[row, None], features[row, None])
        state = state.astype(np.float16).astype(np.float32)
    return state[0], user[0]


@given(streams())
def test_a_row_that_ends_in_a_late_event_is_its_ring_replayed(
    messages: list[SourceMessage],
) -> None:
    engine = recommender()
    rows = run(engine, messages, [])
    newest = max(message.message.timestamp_ms for message in messages)
    late = [click(user, 1, newest - 1, 1_000_000) for user in rows]
    ahead = [click(user, 2, newest, 999_999) for user in rows]
    for user, row in run(engine, [*ahead, *late], [], rows).items():
        state, vector = encoded(engine, row.history)
        got = np.frombuffer(row.hidden, np.float16)
        np.testing.assert_allclose(got, state, rtol=0.02, atol=0.02)
        np.testing.assert_allclose(np.frombuffer(row.vector, np.float16), vector, atol=0.02)
        assert row.release == engine.bundle.release
        assert user in USERS


def test_the_same_input_gives_the_same_lists_and_ids() -> None:
    messages = [click(USERS[n % 3], n % 40, n * 1_000, n) for n in range(200)]
    made: list[list[Recommendation]] = []
    for _ in range(2):
        engine, states, lists = recommender(), {}, []
        for start in range(0, 200, 7):
            processed = engine.process(messages[start : start + 7], states)
            states |= processed.states
            lists += processed.recommendations
        made.append(lists)
    assert made[0] == made[1]
    assert len({one.rec_id for one in made[0]}) == len(made[0])


def test_a_list_names_its_trigger_and_what_it_covers() -> None:
    engine = recommender()
    purchase = Purchase(user_id="ann", item_id="item-2", timestamp_ms=2_000, quantity=9_999)
    batch = [
        click("bob", 1, 900, 6),
        click("ann", 1, 1_000, 7, event_id="e1", action="like"),
        SourceMessage(purchase, "purchases", 3, 0),
    ]
    processed = engine.process(batch, {})
    bob, ann = processed.recommendations
    assert (bob.user_id, ann.user_id) == ("bob", "ann")
    assert ann.trigger == Trigger(topic="purchases", partition=3, offset=0, timestamp_ms=2_000)
    assert ann.applied == {"clicks/0": 7, "purchases/3": 0}
    assert ann.model.name == "small"
    assert ann.model.backend == "numpy"
    assert ann.generated_at_ms == 123
    assert ann.degraded is None
    assert [item.rank for item in ann.items] == list(range(1, 11))
    assert not {"item-1", "item-2"} & {item.item_id for item in ann.items}
    assert processed.outcomes == [Outcome.APPLIED] * 3
    assert processed.stages.keys() == {"apply", "encode", "retrieve", "rank", "build"}
    assert events_of(processed.states["ann"].history)[["action", "weight"]].tolist() == [
        (3, 1),
        (5, 255),
    ]


def test_items_say_which_item_led_to_them() -> None:
    engine = recommender(k=39)
    engine.process([click("bob", 5, 1, 0), click("bob", 30, 2, 1)], {})
    (made,) = engine.process([click("ann", 5, 3, 2)], {}).recommendations
    followed = {item.item_id: item for item in made.items if "transitions" in item.sources}
    assert followed["item-30"].reasons == ("after item-5",)
    for item in made.items:
        assert bool(item.reasons) == ("transitions" in item.sources)


def test_an_item_first_seen_in_the_stream_can_be_recommended() -> None:
    engine = recommender()
    engine.process([click("bob", 1, 1, 0), click("bob", 777, 2, 1)], {})
    (made,) = engine.process([click("ann", 1, 3, 2)], {}).recommendations
    new = next(item for item in made.items if item.item_id == "item-777")
    assert set(new.sources) == {"transitions", "trending"}


def test_a_repeated_event_is_answered_but_not_applied() -> None:
    engine = recommender()
    first = engine.process([click("ann", 1, 1, 0, event_id="e1")], {})
    replayed = engine.process([click("ann", 1, 1, 0, event_id="e1")], first.states)
    retried = engine.process([click("ann", 1, 1, 1, event_id="e1")], first.states)
    assert replayed.outcomes == [Outcome.REPLAYED]
    assert retried.outcomes == [Outcome.DUPLICATE]
    assert replayed.states == first.states
    assert replayed.recommendations == first.recommendations
    assert retried.recommendations[0].items == first.recommendations[0].items
    assert retried.states["ann"].vector == first.states["ann"].vector
    assert retried.recommendations[0].applied == {"clicks/0": 1}


def test_rows_of_another_release_are_replayed_before_they_serve() -> None:
    messages = [click("ann", n % 40, n * 1_000, n) for n in range(HISTORY_LENGTH + 20)]
    old = run(recommender(), messages, [])
    engine = recommender(small_release(seed=1, version="2"))
    for message in (messages[-1], click("ann", 3, 10**9, 500)):  # one known, one new
        processed = engine.process([message], old)
        row = processed.states["ann"]
        state, vector = encoded(engine, old["ann"].history)
        if processed.outcomes == [Outcome.APPLIED]:
            whole = old["ann"].history + row.history[-18:]  # what the stream would have stepped
            state, vector = encoded(engine, whole)
        assert row.release == "small@2"
        got = np.frombuffer(row.vector, np.float16)
        np.testing.assert_allclose(got, vector, atol=0.02)
        np.testing.assert_allclose(
            np.frombuffer(row.hidden, np.float16), state, rtol=0.02, atol=0.02
        )


class BrokenEncoder(LinearEncoder):
    """Gives what is not a number for one user of a batch."""

    def step(self, states, items, features):  # type: ignore[no-untyped-def]
        new, users = super().step(states, items, features)
        new[0] = np.nan
        return new, users


def test_an_encoder_that_fails_for_one_user_degrades_that_list_only(degraded_by) -> None:
    engine = recommender(replace(small_release(), encoder=BrokenEncoder()))
    processed = engine.process([click("ann", 1, 1, 0), click("bob", 2, 2, 1)], {})
    degraded = [made.degraded is not None for made in processed.recommendations]
    assert degraded == [True, False]
    assert degraded_by() == {"vector_not_finite": 1}
    assert all(len(made.items) == 10 for made in processed.recommendations)
    assert (processed.states["ann"].release, processed.states["ann"].hidden) == ("", b"")
    assert len(events_of(processed.states["ann"].history)) == 1


def test_an_empty_batch_is_nothing() -> None:
    processed = recommender().process([], {})
    assert (processed.states, processed.recommendations, processed.outcomes) == ({}, [], [])


def test_five_lines_in_a_notebook() -> None:
    engine = recommender(k=5)
    first = engine.recommend([Click(user_id="ann", item_id="item-1", timestamp_ms=1)])
    second = engine.recommend([Purchase(user_id="ann", item_id="item-2", timestamp_ms=2)])
    assert len(first[0].items) == 5
    shown = [item.item_id for item in second[0].items]
    assert not {"item-1", "item-2"} & set(shown)


def test_repeats_are_allowed_where_the_filters_say_so() -> None:
    engine = recommender(k=40, plan=Plan(filters=("bought",)))
    bought = SourceMessage(
        Purchase(user_id="ann", item_id="item-2", timestamp_ms=2), "purchases", 0, 0
    )
    (made,) = engine.process([click("ann", 1, 1, 0), bought], {}).recommendations
    shown = {item.item_id for item in made.items}
    assert "item-1" in shown
    assert "item-2" not in shown


def test_a_bundle_made_for_other_features_is_refused() -> None:
    bundle = small_release()
    encoder = msgspec.structs.replace(bundle.manifest.encoder, features=5)
    manifest = msgspec.structs.replace(bundle.manifest, encoder=encoder)
    with pytest.raises(UserError, match="takes 5 features of an event"):
        recommender(replace(bundle, manifest=manifest))


def test_lists_name_the_backend_that_computed_them():
    """One that breaks is replaced while it serves."""
    bundle = small_release()
    recommender = Recommender(bundle)
    click = Click(user_id="ann", item_id="item-1", timestamp_ms=0)
    assert recommender.recommend([click])[0].model.backend == "numpy"
    bundle.encoder.backend = "another"
    later = Click(user_id="ann", item_id="item-2", timestamp_ms=1)
    assert recommender.recommend([later])[0].model.backend == "another"
