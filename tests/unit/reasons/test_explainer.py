"""Explanations: parts that add up, events that carried an item, and why an item is not there."""

from __future__ import annotations

from dataclasses import replace

import msgspec
import numpy as np
import pytest
from small_release import LinearEncoder, small_release
from test_leave_one_out import ITEMS, messages, row_of

from schemas import Click, Purchase
from stream_app.bundle import Bundle
from stream_app.errors import UserError
from stream_app.plan import Plan
from stream_app.reasons import Explanation, Status
from stream_app.recommender import Recommender, SourceMessage
from stream_app.users import HISTORY_LENGTH, UserState, events_of


def explained(bundle: Bundle, state: UserState, item: str | None = None, **options) -> Explanation:
    return Recommender(bundle, **options).explain(state, item)


def listed(recommender: Recommender, state: UserState) -> list[tuple[str, float, tuple[str, ...]]]:
    """The list that a worker sends for a row as it is."""
    again = messages(ITEMS)[0]  # applied before: it changes nothing
    (made,) = recommender.process([again], {"ann": state}).recommendations
    return [(item.item_id, item.score, item.sources) for item in made.items]


def test_the_list_is_the_one_that_is_sent(bundle: Bundle) -> None:
    state = row_of(bundle, ITEMS)
    made = explained(bundle, state)
    sent = listed(Recommender(bundle), state)
    assert [(item.item_id, item.sources) for item in made.items] == [
        (item, sources) for item, _, sources in sent
    ]
    for item, (_, score, _) in zip(made.items, sent, strict=True):
        assert item.score == pytest.approx(score, abs=2e-3)
        assert item.status is Status.LISTED
    assert [item.rank for item in made.items] == list(range(1, 11))
    assert [item.place for item in made.items] == list(range(1, 11))
    assert made.replayed_from is None
    assert not made.degraded
    assert (made.ring, made.events, made.k) == (len(ITEMS), len(ITEMS), 10)


def test_parts_add_up_and_shares_to_one(bundle: Bundle) -> None:
    for item in explained(bundle, row_of(bundle, ITEMS)).items:
        assert [part.scorer for part in item.parts] == ["affinity", "transition", "popularity"]
        assert [part.source for part in item.parts] == ["personal", "transitions", "trending"]
        assert sum(part.score for part in item.parts) == pytest.approx(item.score, abs=1e-3)
        assert sum(part.share for part in item.parts) == pytest.approx(1, abs=1e-3)
        for part in item.parts:
            assert (part.share > 0) == (part.lift > 0)


def test_a_contribution_is_the_difference_that_the_event_makes(bundle: Bundle) -> None:
    state = row_of(bundle, ITEMS)
    for item in explained(bundle, state).items:
        strengths = [cause.contribution for cause in item.causes]
        assert strengths == sorted(strengths, reverse=True)
        assert all(strength > 0 for strength in strengths)
        assert len(strengths) <= 3
        for cause in item.causes:
            assert sum(cause.by.values()) == pytest.approx(cause.contribution, abs=1e-3)
            assert cause.by["popularity"] == 0
            ring = np.delete(events_of(state.history), len(ITEMS) - cause.place)
            without = explained(bundle, UserState(history=ring.tobytes()), item.item_id).items[0]
            assert item.score - without.score == pytest.approx(cause.contribution, abs=0.05)


def test_causes_say_what_the_user_did_and_when() -> None:
    bundle = small_release()
    bought = Purchase(user_id="ann", item_id="item-5", timestamp_ms=9_000)
    batch = [*messages([77, 3])[:2], SourceMessage(bought, "purchases", 0, 0)]
    state = Recommender(bundle).process(batch, {"ann": None}).states["ann"]
    found = {
        cause.place: cause
        for item in explained(small_release(), state, k=30).items  # has not seen the stream
        for cause in item.causes
    }
    assert (found[1].item_id, found[1].action, found[1].timestamp_ms) == (
        "item-5", "purchase", 9_000,
    )  # fmt: skip
    assert (found[2].item_id, found[2].action, found[2].timestamp_ms) == ("item-3", "click", 8_000)
    assert found[3].item_id is None  # the bundle does not hold it


def test_a_filtered_item_names_the_filter() -> None:
    bundle = small_release()
    bought = Purchase(user_id="ann", item_id="item-5", timestamp_ms=9_000)
    batch = [*messages([3]), SourceMessage(bought, "purchases", 0, 0)]
    state = Recommender(bundle).process(batch, {"ann": None}).states["ann"]
    for item_id, filters in (("item-3", ("clicked",)), ("item-5", ("bought",))):
        (item,) = explained(bundle, state, item_id).items
        assert (item.status, item.filters, item.rank) == (Status.FILTERED, filters, None)
        assert item.place >= 1
        assert len(item.parts) == 3
    (item,) = explained(bundle, state, "item-3", plan=Plan(filters=())).items
    assert item.status in (Status.LISTED, Status.OUTRANKED)
    assert item.filters == ()


def test_an_item_that_others_came_before_has_its_place(bundle: Bundle) -> None:
    state = row_of(bundle, ITEMS)
    everything = explained(bundle, state, k=30).items
    assert len(everything) == 30
    short = [explained(bundle, state, item.item_id, k=5) for item in everything]
    for at, made in enumerate(short):
        (item,) = made.items
        assert made.candidates == 31  # 41 items without those of the ring
        assert item.place == at + 1
        assert item.rank == (at + 1 if at < 5 else None)
        assert item.status is (Status.LISTED if at < 5 else Status.OUTRANKED)
        assert item.score == pytest.approx(everything[at].score, abs=1e-3)
        pairs = zip(item.causes, everything[at].causes, strict=True)
        assert all(one.place == other.place for one, other in pairs)


def test_an_item_that_no_source_proposes_is_said_to_be_that() -> None:
    bundle = small_release(items=400)
    state = row_of(bundle, ITEMS)
    made = [explained(bundle, state, f"item-{number}").items[0] for number in range(40, 400, 5)]
    lonely = [item for item in made if not item.sources]
    assert lonely
    for item in lonely:
        assert item.status is Status.NOT_PROPOSED
        assert item.rank is None
    assert {item.status for item in made if item.sources} <= {Status.LISTED, Status.OUTRANKED}


def test_a_list_that_the_last_resort_fills_says_so() -> None:
    bundle = small_release(items=400)
    made = explained(bundle, UserState(), k=100)
    assert (made.ring, made.events) == (0, 0)
    assert len(made.items) == 100
    assert made.items[-1].sources == ("popular",)
    assert all(item.causes == () for item in made.items)


def test_an_unknown_item_is_refused() -> None:
    bundle = small_release()
    with pytest.raises(UserError, match="item 'item-77' is not among the 40 items of bundle small"):
        explained(bundle, UserState(), "item-77")


def test_a_row_of_another_release_is_replayed_and_says_so(bundle: Bundle) -> None:
    state = row_of(bundle, ITEMS)
    old = msgspec.structs.replace(state, release="small@0", vector=b"\0" * 16)
    made = explained(bundle, old)
    assert made.replayed_from == "small@0"
    assert made.release == "small@1"
    assert [i.item_id for i in made.items] == [i.item_id for i in explained(bundle, state).items]
    blank = msgspec.structs.replace(state, release="", vector=b"", hidden=b"")
    assert explained(bundle, blank).replayed_from == ""


def test_what_left_the_ring_and_is_in_the_state_is_told_apart(bundle: Bundle) -> None:
    stepped = bundle.encoder.state_size > 0
    items = [number % 40 for number in range(HISTORY_LENGTH + 3)]
    long = row_of(bundle, items)
    made = explained(bundle, long, plan=Plan(filters=()))
    assert (made.ring, made.events) == (HISTORY_LENGTH, HISTORY_LENGTH + 3)
    for item in made.items:
        assert (item.older is not None) == stepped
        assert item.older is None or abs(item.older) < 0.05  # 0.9 to the hundredth is little
    assert all(item.older is None for item in explained(bundle, row_of(bundle, ITEMS)).items)


def test_a_broken_encoder_leaves_a_list_without_causes() -> None:
    class Broken(LinearEncoder):
        def step(self, states, items, features):  # type: ignore[no-untyped-def]
            new, users = super().step(states, items, features)
            return new, np.full_like(users, np.nan)

    state = row_of(small_release(), ITEMS)
    made = explained(replace(small_release(version="2"), encoder=Broken()), state)
    assert made.degraded
    assert len(made.items) == 10
    assert all(item.causes == () and item.older is None for item in made.items)


def test_a_user_in_memory_is_explained_by_id_with_the_live_counts() -> None:
    recommender = Recommender(small_release(), k=5)
    for at, item in enumerate((1, 2, 9)):
        event = Click(user_id="ann", item_id=f"item-{item}", timestamp_ms=at)
        (made,) = recommender.recommend([event])
    explanation = recommender.explain("ann")
    assert [item.item_id for item in explanation.items] == [item.item_id for item in made.items]
    assert recommender.explain("ann") == explanation  # nothing was changed
    with pytest.raises(UserError, match="user 'bob' is not in memory; pass the row"):
        recommender.explain("bob")


def test_an_explanation_is_json() -> None:
    made = explained(small_release(), row_of(small_release(), ITEMS))
    assert msgspec.json.decode(msgspec.json.encode(made), type=Explanation) == made
