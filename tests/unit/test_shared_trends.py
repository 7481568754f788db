"""What is clicked in one partition is trending for the users of another, and a flood is not."""

from __future__ import annotations

from dataclasses import replace

import msgspec
import numpy as np
import pytest
from small_release import small_release

from schemas import Click
from stream_app.bundle import Bundle
from stream_app.recommender import Recommender, SourceMessage
from stream_app.users import UserState

NOW = 1_700_000_000_000


class Worker:
    """A recommender that reads one partition and hears of the others by their counts."""

    def __init__(self, partition: int, bundle: Bundle | None = None) -> None:
        self.recommender = Recommender(bundle or small_release(40), room=5)
        self._partition = partition
        self._rows: dict[str, UserState] = {}
        self._offset = 0

    def click(self, user: str, item: str, at_ms: int = NOW) -> None:
        self._offset += 1
        click = Click(user_id=user, item_id=item, timestamp_ms=at_ms)
        message = SourceMessage(click, "clicks", self._partition, self._offset)
        rows = {user: self._rows.get(user)}
        self._rows |= self.recommender.process([message], rows).states

    def hear(self, other: Worker) -> None:
        self.recommender.trends.merge(other.recommender.trends.unpublished())

    def count(self, item: str) -> float:
        """How often an item has been clicked, in all partitions, as far as this worker knows."""
        position = self.recommender.bundle.catalog.index_of(item)
        if position < 0:
            return 0.0
        return float(self.recommender.live.trends.events(np.array([position], np.int32))[0])

    @property
    def top(self) -> list[str]:
        ids = self.recommender.bundle.catalog.ids
        return [ids[at] for at in self.recommender.live.trends.top.tolist()]


def test_an_item_of_one_partition_is_trending_in_another_and_a_flood_is_not() -> None:
    here, there = Worker(0), Worker(1)
    for user in range(9):
        there.click(f"there-{user}", "item-7")
        there.click(f"there-{user}", "new")
    for _ in range(500):
        there.click("script", "flooded")
    here.click("ann", "item-3")
    here.hear(there)
    assert here.top[:2] == ["item-7", "new"]
    assert here.count("new") == pytest.approx(9)
    assert here.count("flooded") == pytest.approx(1)
    here.click("ann", "new")
    there.hear(here)
    assert there.count("new") == pytest.approx(10)
    assert there.count("item-3") == pytest.approx(here.count("item-3"))


def test_a_worker_that_starts_goes_on_from_what_was_published() -> None:
    first, topic = Worker(0), []
    for user in range(6):
        first.click(f"user-{user}", "item-7")
        topic += first.recommender.trends.unpublished()
    second = Worker(0)
    second.recommender.trends.merge([*topic, *reversed(topic)])
    second.click("another", "item-7")
    assert second.count("item-7") == pytest.approx(7)
    assert [one.level for _, one in second.recommender.trends.unpublished()] > [topic[-1][1].level]


def test_what_could_not_be_published_is_given_again() -> None:
    worker = Worker(3)
    worker.recommender.trends.not_published()
    worker.click("ann", "item-7")
    trends = worker.recommender.trends
    (first,) = trends.unpublished()
    assert trends.unpublished() == []
    worker.click("bob", "item-8")
    trends.unpublished()
    trends.not_published()
    assert [one.item_id for _, one in trends.unpublished()] == ["item-8"]
    assert first[0] == 3
    assert first[1].at_ms == NOW


def test_counts_of_another_release_and_impossible_ones_change_nothing() -> None:
    there, here = Worker(1), Worker(0)
    there.click("ann", "item-7")
    ((_, right),) = there.recommender.trends.unpublished()
    before = here.top
    for wrong in (
        {"release": "small@2"},
        {"half_life_ms": 1.0},
        {"level": right.level + 60},
    ):
        here.recommender.trends.merge([(1, msgspec.structs.replace(right, **wrong))])
    assert here.top == before
    here.recommender.trends.merge([(1, right)])
    assert here.top[0] == "item-7"


def test_items_beyond_the_room_of_the_catalogue_are_left_out() -> None:
    there, here = Worker(1), Worker(0)
    there.recommender.bundle.catalog.max_items += 10
    for number in range(12):
        there.click(f"user-{number}", f"new-{number}")
    here.hear(there)
    assert len(here.recommender.bundle.catalog) == 45
    assert sum(here.count(f"new-{number}") > 0 for number in range(12)) == 5


def test_a_release_with_another_version_starts_anew() -> None:
    old, new = Worker(0), Worker(0, small_release(40, version="2"))
    old.click("ann", "item-7")
    new.hear(old)
    fresh = Worker(0, replace(small_release(40, version="2")))
    assert new.top == fresh.top
