"""Profiles and queries in lists: who has one gets what is near it, and nobody else pays."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from small_release import small_release
from small_text import small_text_encoder
from text_release import ENCODER, TEXT, TEXT_DIM, release

from schemas import Click, Item, Profile, Recommendation, RecommendationRequest, Rule
from stream_app.listing import QUERY_UNREAD
from stream_app.profiles import (
    FADE_EVENTS,
    LAST_EVENTS,
    PROFILE_WEIGHT,
    QUERY_WEIGHT,
    STRANGER_WEIGHT,
    profile_weights,
)
from stream_app.recommender import ProfileMessage, Recommender
from stream_app.text import TextError
from stream_app.users.profile import profile_of


def recommender(encoder: Any = ENCODER, **fields: Any) -> Recommender:
    return Recommender(release(), clock=lambda: 1_000, text_encoder=encoder, **fields)


def said(user: str = "ann", text: str = TEXT, **attributes: Any) -> Profile:
    return Profile(user_id=user, text=text, attributes=attributes)


def ask(user: str, **fields: Any) -> RecommendationRequest:
    return RecommendationRequest(user_id=user, request_id="r", **fields)


def ids(made: Recommendation) -> list[str]:
    return [item.item_id for item in made.items]


def sources(made: Recommendation) -> set[str]:
    return {source for item in made.items for source in item.sources}


def test_a_query_finds_what_is_near_it_and_nothing_is_remembered() -> None:
    served = recommender()
    (found,) = served.answer(ask("stranger", query=TEXT))
    assert ids(found)[0] == "item-7"
    assert found.items[0].sources == ("profile",)
    assert found.degraded is None
    (after,) = served.answer(ask("stranger"))
    assert "profile" not in sources(after)
    assert ids(after) == ids(recommender().answer(ask("stranger"))[0])


def test_a_query_outweighs_what_the_user_did() -> None:
    served = recommender()
    served.recommend([Click(user_id="ann", item_id=f"item-{n}", timestamp_ms=n) for n in (1, 2)])
    (found,) = served.answer(ask("ann", query=TEXT))
    assert ids(found)[0] == "item-7"


def test_requests_of_one_batch_get_each_their_own() -> None:
    served = recommender()
    plain, asked, other = served.answer(ask("a"), ask("b", query=TEXT, k=30), ask("c"))
    assert ids(asked)[0] == "item-7"
    assert ids(plain) == ids(other)
    assert ids(plain) == ids(recommender().answer(ask("a"))[0])


def test_a_query_keeps_to_the_categories_of_the_request() -> None:
    served = recommender()
    names = [f"item-{n}" for n in range(20, 50)]
    listed = [(name, Item(item_id=name, categories=("space",))) for name in names]
    served.catalogue.apply(listed)
    (found,) = served.answer(ask("a", query=TEXT, categories=("space",)))
    assert set(ids(found)) <= set(names)
    assert len(found.items) == 10
    assert "profile" in sources(found)


@pytest.mark.parametrize("query", ["", " \n"])
def test_an_empty_query_is_none(query: str) -> None:
    (made,) = recommender().answer(ask("a", query=query))
    assert ids(made) == ids(recommender().answer(ask("a"))[0])


def test_without_an_encoder_the_list_is_made_and_says_so(degraded_by) -> None:
    (made,) = recommender(None).answer(ask("a", query=TEXT))
    assert made.degraded == QUERY_UNREAD
    assert degraded_by() == {"query_unread": 1}
    assert ids(made) == ids(recommender().answer(ask("a"))[0])


def test_a_profile_is_kept_and_brings_its_items() -> None:
    served = recommender()
    (made,) = served.introduce(said())
    assert made.trigger is not None
    assert made.trigger.topic == "said in memory"
    assert made.applied == {"said in memory/0": 0}
    assert len(made.items) == 10
    clicks = [Click(user_id=user, item_id="item-1", timestamp_ms=1) for user in ("ann", "bob")]
    served.recommend(clicks)
    ann, bob = served.answer(ask("ann", k=200), ask("bob", k=200))
    assert "profile" in sources(ann)
    assert "profile" not in sources(bob)
    brought = [item.item_id for item in ann.items if item.sources == ("profile",)]
    assert not set(brought) & set(ids(bob)), "without it they would not be there"


def test_a_text_waits_in_the_row_until_somebody_can_read_it(degraded_by) -> None:
    blind = recommender(None)
    message = ProfileMessage("ann", said(member=True), "profiles", 0, 4, 9)
    row = blind.process([], {"ann": None}, [message]).states["ann"]
    assert degraded_by() == {"text_unread": 1}
    held = profile_of(row)
    assert (held.text, held.attributes, held.vector) == (TEXT, {"member": True}, b"")
    seeing = recommender()
    source = ProfileMessage("ann", said(member=True), "profiles", 0, 4, 9)
    read = seeing.process([], {"ann": row}, [source])  # the same record once more
    assert len(profile_of(read.states["ann"]).vector) == 2 * TEXT_DIM
    assert read.states["ann"] == recommender().process([], {"ann": None}, [message]).states["ann"]


def test_what_was_read_once_counts_where_nobody_can_read() -> None:
    message = ProfileMessage("ann", said(), "profiles", 0, 4, 9)
    row = recommender().process([], {"ann": None}, [message]).states["ann"]
    (made,) = recommender(None).process([], {"ann": row}, [message]).recommendations
    assert "profile" in sources(made)


def test_rules_ask_for_the_attributes_of_a_profile() -> None:
    served = recommender()
    items, when = "item.item_id == 'item-7'", "user.attributes.member == true"
    served.treatments.rules.put("r", Rule(rule_id="r", items=items, when=when, pin=1))
    while served.treatments.rules.work():  # what a rule is about is looked at between batches
        pass
    member, other = served.introduce(said("a", "", member=True), said("b", "", member=False))
    assert ids(member)[0] == "item-7"
    assert ids(other)[0] != "item-7"


class Breaking:
    """An encoder that fails on one text."""

    digest, dim = ENCODER.digest, ENCODER.dim

    def encode(self, texts: list[str]) -> Any:
        if "bad" in texts:
            raise RuntimeError("the graph fails")
        return ENCODER.encode(texts)


def test_one_text_that_breaks_the_encoder_harms_nobody_else(degraded_by) -> None:
    served = recommender(Breaking())
    bad, good = served.introduce(said("a", "bad"), said("b"))
    assert (len(bad.items), len(good.items)) == (10, 10)
    first, second = served.answer(ask("x", query="bad"), ask("y", query=TEXT))
    assert first.degraded == QUERY_UNREAD
    assert second.degraded is None
    assert degraded_by() == {"text_unread": 2, "query_unread": 1}
    assert ids(second)[0] == "item-7"


def test_another_encoder_than_the_releases_is_refused() -> None:
    other = small_text_encoder(max_length=8)
    with pytest.raises(TextError, match="release small@1 knows texts as small does, and not as"):
        recommender(other)
    with pytest.raises(TextError, match="knows no texts"):
        Recommender(small_release(), text_encoder=ENCODER)


def test_a_release_without_texts_takes_profiles_and_lets_them_lie() -> None:
    served = Recommender(small_release())
    (made,) = served.introduce(said())
    assert len(made.items) == 10
    (asked,) = served.answer(ask("ann", query=TEXT))
    assert asked.degraded == QUERY_UNREAD


def test_weights_fade_and_end() -> None:
    events = np.array([0, 1, FADE_EVENTS, LAST_EVENTS - 1, LAST_EVENTS])
    weights = profile_weights(events).tolist()
    assert weights[0] == pytest.approx(STRANGER_WEIGHT)
    assert weights[1] == pytest.approx(PROFILE_WEIGHT / (1 + 1 / FADE_EVENTS))
    assert weights[2] == pytest.approx(PROFILE_WEIGHT / 2)
    assert 0 < weights[3] < weights[2]
    assert weights[4] == 0
    assert QUERY_WEIGHT > STRANGER_WEIGHT


def test_an_explanation_counts_the_profile_and_stays_silent_without_one() -> None:
    served = recommender()
    served.introduce(said())
    served.recommend(
        [Click(user_id=user, item_id="item-1", timestamp_ms=1) for user in ("ann", "bob")]
    )
    with_one = served.explain("ann", "item-7").items[0]
    assert "profile" in [part.scorer for part in with_one.parts]
    assert sum(part.score for part in with_one.parts) == pytest.approx(with_one.score, abs=1e-3)
    without = served.explain("bob").items[0]
    assert "profile" not in [part.scorer for part in without.parts]
