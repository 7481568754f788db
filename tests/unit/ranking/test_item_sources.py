"""Items near, or related to, the last ones are candidates; what is related climbs."""

from __future__ import annotations

import numpy as np
import pytest
from ranked_users import one_user
from small_release import DIM, small_release

from schemas import Item
from stream_app.bundle import Bundle
from stream_app.catalog import ItemTable
from stream_app.errors import UserError
from stream_app.plan import Plan, named
from stream_app.ranking import LiveStores, Pipeline, build_pipeline
from stream_app.ranking.wiring import RELATED_NATS, VOTE_DECAY

NOBODY = np.zeros(DIM, np.float32)


def made(
    bundle: Bundle, items: ItemTable | None = None, k: int = 5, **sources: int
) -> tuple[Pipeline, LiveStores]:
    live = LiveStores.of(bundle, items)
    plan = Plan(sources=named(sources))
    return build_pipeline(bundle, live, k=k, plan=plan), live


def sources_of(pipeline: Pipeline, marks: int) -> set[str]:
    names = [source.name for source in pipeline.sources]
    return {name for bit, name in enumerate(names) if marks >> bit & 1}


def test_similar_items_are_off_unless_a_plan_asks_for_them() -> None:
    bundle = small_release(40)
    pipeline, _ = made(bundle)
    assert "similar" not in [source.name for source in pipeline.sources]
    pipeline, live = made(bundle, k=38, personal=0, transitions=0, trending=0, similar=12)
    ranked = pipeline.rank(one_user(NOBODY, [4, 9]), {})
    near = set(live.neighbours.of(np.array([4, 9], np.int32))[:, :4].ravel().tolist())
    for item, marks in zip(ranked.items[0].tolist(), ranked.sources[0].tolist(), strict=True):
        assert ("similar" in sources_of(pipeline, marks)) == (item in near)
    assert near - {4, 9} <= set(ranked.items[0].tolist())


def test_a_related_item_reaches_a_list_that_it_would_not_have_reached() -> None:
    bundle = small_release(200)
    user = one_user(NOBODY, [4])
    pipeline, _ = made(bundle)
    plain = pipeline.rank(user, {})
    items = ItemTable(bundle.catalog)
    last = int(np.argmin(bundle.priors.popularity))
    assert last not in plain.items[0]
    pipeline, live = made(bundle, items)
    np.testing.assert_array_equal(pipeline.rank(user, {}).items, plain.items)
    items.say(4, Item(item_id="item-4", related=("later", f"item-{last}")))
    ranked = pipeline.rank(user, {})
    assert last in ranked.items[0]
    at = ranked.items[0].tolist().index(last)
    assert "related" in sources_of(pipeline, int(ranked.sources[0][at]))
    later = bundle.catalog.index_or_add("later")
    live.grow(len(bundle.catalog))
    assert later in pipeline.rank(user, {}).items[0], "it joined after it was named"
    items.delist(4)
    np.testing.assert_array_equal(pipeline.rank(user, {}).items[0, :1], plain.items[0, :1])


def test_what_is_related_to_older_items_counts_less_and_weights_change_it() -> None:
    bundle = small_release(60)
    items = ItemTable(bundle.catalog)
    items.say(4, Item(item_id="item-4", related=("item-50", "item-51")))
    items.say(7, Item(item_id="item-7", related=("item-51", "item-52")))
    user = one_user(NOBODY, [4, 7])

    def scores(plan: Plan) -> dict[int, float]:
        pipeline = build_pipeline(bundle, LiveStores.of(bundle, items), k=58, plan=plan)
        ranked = pipeline.rank(user, {})
        return dict(zip(ranked.items[0].tolist(), ranked.scores[0].tolist(), strict=True))

    without = scores(Plan(weights=named({"related": 0})))
    for factor in (1.0, 0.5):
        found = scores(Plan(weights=named({"related": factor})))
        gained = {item: found[item] - without[item] for item in (50, 51, 52, 53)}
        most = factor * RELATED_NATS
        expected = {50: most, 51: most, 52: most * VOTE_DECAY, 53: 0}
        assert gained == pytest.approx(expected, abs=1e-5)


def test_a_source_that_does_not_exist_is_refused_with_those_that_do() -> None:
    with pytest.raises(UserError, match=r"source 'near' is unknown.*similar, related"):
        made(small_release(5), near=3)
