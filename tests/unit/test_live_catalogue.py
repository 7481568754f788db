"""Items come, change and go while a release serves; no Kafka here."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from small_release import DIM, small_release, unit_rows
from small_text import small_text_encoder

from schemas import Click, Item, ItemVector, RecommendationRequest
from stream_app.bundle.text import TextProjector, TextSpec
from stream_app.plan import USUAL
from stream_app.recommender import Recommender
from stream_app.text import Projection
from stream_app.text.items import content_of, read_items

NOW = 1_700_000_000_000
ENCODER = small_text_encoder()


def with_text(bundle):
    random = np.random.default_rng(3)
    matrix = random.standard_normal((ENCODER.dim, DIM)).astype(np.float32)
    projection = Projection(np.zeros(ENCODER.dim, np.float32), matrix)
    spec = TextSpec(encoder="small", sha256=ENCODER.digest, dim=ENCODER.dim, delta_max=0.5)
    return replace(bundle, text=TextProjector(spec, projection))


class Shop:
    """A recommender with a clock and the shortest way to tell it of items."""

    def __init__(self, items: int = 40, **options) -> None:
        self.now_ms = NOW
        self.recommender = Recommender(
            with_text(small_release(items)), k=10, clock=lambda: self.now_ms, **options
        )
        self.catalogue = self.recommender.catalogue

    def list(self, item_id: str, *, read: bool = True, **fields) -> Item:
        item = Item(item_id=item_id, **fields)
        made = [(item_id, one) for one in read_items([item], ENCODER)] if read else []
        self.catalogue.apply([(item_id, item)], made)
        return item

    def delist(self, item_id: str) -> None:
        self.catalogue.apply([(item_id, None)])

    def recommended(self, user: str, *clicked: str) -> list[str]:
        events = [Click(user_id=user, item_id=one, timestamp_ms=NOW) for one in clicked]
        (made,) = self.recommender.recommend(events)
        return [item.item_id for item in made.items]

    def vector(self, item_id: str) -> np.ndarray:
        catalog = self.recommender.bundle.catalog
        return catalog.vectors[catalog.index_of(item_id)]


@pytest.fixture
def shop() -> Shop:
    return Shop()


def everything(shop: Shop, users: str = "user") -> set[str]:
    """All that any of many users is shown."""
    return {item for n in range(40) for item in shop.recommended(f"{users}-{n}", f"item-{n}")}


def test_a_new_item_gets_the_vector_of_its_text_and_is_found_by_it(shop) -> None:
    item = shop.list("new", title="A lamp", categories=("light",))
    vector = shop.vector("new")
    (read,) = ENCODER.encode(["A lamp. light"])
    text = shop.recommender.bundle.text
    assert np.allclose(vector, text.project(read[None])[0], atol=2e-3)
    assert np.linalg.norm(vector) == pytest.approx(1, abs=1e-5)
    found, scores = shop.recommender.bundle.index.search(vector[None], 3)
    catalog = shop.recommender.bundle.catalog
    assert catalog.ids[found[0, 0]] == "new"
    assert scores[0, 0] == pytest.approx(1, abs=1e-5)
    assert shop.catalogue.item("new") == item
    assert shop.catalogue.status().buffered == 1


def test_a_new_item_is_recommended_to_somebody(shop) -> None:
    shop.list("new", title="A lamp")
    assert "new" in everything(shop)


def test_a_delisted_item_is_gone_from_the_next_list_and_comes_back(shop) -> None:
    before = shop.recommended("ann", "item-1")
    gone = before[0]
    shop.delist(gone)
    after = shop.recommended("bob", "item-1")
    assert gone not in after
    assert len(after) == 10
    shop.list(gone, read=False)
    assert gone in shop.recommended("cid", "item-1")


def test_lists_are_full_while_enough_items_are_left() -> None:
    shop = Shop(items=30)
    for n in range(1, 19):
        shop.delist(f"item-{n}")
    kept = {f"item-{n}" for n in range(30)} - {f"item-{n}" for n in range(1, 19)}
    made = shop.recommended("ann", "item-0")
    assert len(made) == 10
    assert set(made) <= kept
    for n in range(19, 26):
        shop.delist(f"item-{n}")
    assert set(shop.recommended("bob", "item-0")) == {f"item-{n}" for n in range(26, 30)}


def test_an_item_is_recommended_within_its_time_only(shop) -> None:
    first = shop.recommended("a", "item-1")[0]
    shop.list(first, read=False, available_from_ms=NOW + 1000, available_until_ms=NOW + 2000)
    for at_ms, shown in ((0, False), (999, False), (1000, True), (1999, True), (2000, False)):
        shop.now_ms = NOW + at_ms
        assert (first in shop.recommended(f"at {at_ms}", "item-1")) is shown
    shop.now_ms = NOW + 1500  # a clock may be set back
    assert first in shop.recommended("later", "item-1")


def test_an_item_delisted_before_anybody_came_to_it_stays_out(shop) -> None:
    shop.delist("unseen")
    made = [shop.recommended(f"user-{n}", "unseen", f"item-{n}") for n in range(40)]
    assert "unseen" not in {item for one in made for item in one}
    assert shop.catalogue.status().delisted == 1
    shop.list("unseen", title="Here again")
    assert "unseen" in everything(shop, "others")


def test_a_trained_vector_is_not_replaced_by_that_of_a_text(shop) -> None:
    before = shop.vector("item-3").copy()
    item = shop.list("item-3", title="Something else")
    assert np.array_equal(shop.vector("item-3"), before)
    content = content_of(item, "small", ENCODER.dim)
    assert shop.catalogue.unread([("item-3", content)]) == [False]
    assert shop.catalogue.lacking() == []


def test_a_changed_text_changes_the_vector_and_only_once(shop) -> None:
    shop.list("new", title="A lamp")
    first = shop.vector("new").copy()
    changed = shop.list("new", read=False, title="A very different chair")
    content = content_of(changed, "small", ENCODER.dim)
    assert np.array_equal(shop.vector("new"), first), "the old one serves until the new one comes"
    assert shop.catalogue.unread([("new", content)]) == [True]
    assert shop.catalogue.lacking() == ["new"]
    shop.list("new", title="A very different chair", price=3.5)
    assert not np.allclose(shop.vector("new"), first, atol=1e-2)
    assert shop.catalogue.unread([("new", content)]) == [False]
    assert shop.catalogue.lacking() == []


def test_a_text_that_is_taken_back_takes_the_vector_along(shop) -> None:
    shop.list("new", title="A lamp")
    shop.list("new", read=False)
    assert not shop.vector("new").any()
    assert "new" not in {
        shop.recommender.bundle.catalog.ids[at]
        for at in shop.recommender.bundle.index.search(shop.vector("item-1")[None], 41)[0][0]
        if at >= 0
    }


def test_a_vector_may_come_before_its_item(shop) -> None:
    item = Item(item_id="new", title="A lamp")
    (made,) = read_items([item], ENCODER)
    shop.catalogue.apply([], [("new", made)])
    assert shop.recommender.bundle.catalog.index_of("new") == -1
    shop.catalogue.apply([("new", item)])
    assert shop.vector("new").any()


def test_a_vector_of_another_encoder_or_size_is_not_taken(shop) -> None:
    (made,) = read_items([Item(item_id="new", title="A lamp")], ENCODER)
    for wrong in (
        ItemVector(item_id="new", encoder="ab", content=made.content, vector=made.vector),
        ItemVector(
            item_id="new", encoder=made.encoder, content=made.content, vector=made.vector + b"\0\0"
        ),
    ):
        shop.catalogue.apply([("new", Item(item_id="new", title="A lamp"))], [("new", wrong)])
        assert not shop.vector("new").any()
    infinite = np.full(ENCODER.dim, np.inf, "<f2").tobytes()
    broken = ItemVector(item_id="new", encoder=made.encoder, content=b"1", vector=infinite)
    shop.catalogue.apply([], [("new", broken)])
    assert not shop.vector("new").any()


def test_a_vector_of_the_producers_own_takes_the_place_of_the_text() -> None:
    own = np.random.default_rng(0).standard_normal(ENCODER.dim)
    item = Item(item_id="new", title="A lamp", vectors={"small": tuple(own.tolist())})
    (made,) = read_items([item], ENCODER)
    vector = np.frombuffer(made.vector, "<f2")
    assert np.allclose(vector, own / np.linalg.norm(own), atol=1e-3)
    for useless in ((1.0,), (0.0,) * ENCODER.dim):
        item = Item(item_id="new", title="A lamp", vectors={"small": useless})
        assert read_items([item], ENCODER) == read_items(
            [Item(item_id="new", title="A lamp")], ENCODER
        )


def test_the_text_of_an_item_is_the_text_that_training_reads() -> None:
    from stream_app.datasets.texts import movie_text
    from stream_app.text.items import item_text

    item = Item(item_id="1", title="Toy Story (1995)", categories=("Adventure", "Animation"))
    assert item_text(item) == movie_text("Toy Story (1995)", "Adventure|Animation")
    assert item_text(Item(item_id="1", description="Only this")) == "Only this"
    assert item_text(Item(item_id="1")) == ""


def test_a_popularity_that_is_said_orders_what_everybody_is_shown_last() -> None:
    shop = Shop(items=8)
    shop.list("hit", read=False, popularity=1e6)
    shop.list("flop", read=False, popularity=0.0)
    made = shop.recommended("ann", "item-0")
    order = shop.recommender._pipelines.get(USUAL, 10)[0].sources[-1]._order
    ids = [shop.recommender.bundle.catalog.ids[at] for at in order]
    assert (ids[0], ids[-1]) == ("hit", "flop")
    assert len(made) == 9, "all but the clicked one"


def test_no_more_items_join_than_there_is_room(caplog, degraded_by) -> None:
    shop = Shop(room=2)
    for n in range(5):
        shop.list(f"new-{n}", title=f"number {n}")
    assert shop.catalogue.status().refused == 3
    assert degraded_by() == {"catalogue_full": 3}
    assert shop.catalogue.item("new-1") is not None
    assert shop.catalogue.item("new-2") is None
    assert caplog.text.count("raise catalogue_room") == 1
    assert "new-1" in everything(shop)


def test_a_release_without_text_lists_items_without_a_vector() -> None:
    recommender = Recommender(small_release())
    recommender.catalogue.apply([("new", Item(item_id="new", title="A lamp"))])
    (made,) = read_items([Item(item_id="new", title="A lamp")], ENCODER)
    recommender.catalogue.apply([], [("new", made)])
    status = recommender.catalogue.status()
    assert (status.listed, status.lacking, status.indexed) == (1, 0, 40)


def test_many_items_make_a_new_snapshot_that_finds_them_all() -> None:
    shop = Shop(room=1000)
    random = np.random.default_rng(5)
    names = [f"new-{n}" for n in range(600)]
    vectors = unit_rows(random.standard_normal((600, ENCODER.dim)))
    digest = [(name, ItemVector(item_id=name, encoder=ENCODER.digest, content=b"1",
                                vector=row.astype("<f2").tobytes()))
              for name, row in zip(names, vectors, strict=True)]  # fmt: skip
    shop.catalogue.apply([(name, Item(item_id=name, title=name)) for name in names], digest)
    index = shop.recommender.bundle.index
    index._start = lambda work: work()
    assert shop.catalogue.status().buffered == 600
    shop.recommended("ann", "item-1")  # begins to build
    shop.recommended("ann", "item-2")  # swaps
    status = shop.catalogue.status()
    assert (status.buffered, status.rebuilds, status.indexed) == (0, 1, 640)
    found, _ = index.search(shop.vector("new-599")[None], 1)
    assert shop.recommender.bundle.catalog.ids[found[0, 0]] == "new-599"


def test_a_request_is_answered_with_the_catalogue_of_its_time(shop) -> None:
    def asked() -> set[str]:
        request = RecommendationRequest(user_id="ann", request_id="q", k=50, seed_items=("item-1",))
        (made,) = shop.recommender.answer(request)
        return {item.item_id for item in made.items}

    shop.list("new", title="A lamp")  # no event comes in between, which would make room for it
    assert "new" in asked()
    shop.delist("new")
    assert "new" not in asked()


def test_a_delisted_item_is_explained_as_unavailable(shop: Shop) -> None:
    listed = shop.recommended("ann", "item-3")
    before = shop.recommender.explain("ann")
    shop.delist(listed[0])
    after = shop.recommender.explain("ann")
    assert [item.item_id for item in after.items][:9] == listed[1:]
    assert after.candidates == before.candidates - 1
    (gone,) = shop.recommender.explain("ann", listed[0]).items
    assert (gone.status, gone.filters, gone.rank) == ("filtered", ("unavailable",), None)
