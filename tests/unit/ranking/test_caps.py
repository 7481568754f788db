"""Trends and transition counts belong to everybody: no single user moves them by force."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas import Click
from stream_app.ranking.live.caps import (
    BURST_EVENTS,
    BURST_MS,
    REPEAT_MS,
    in_burst,
    is_new,
)
from stream_app.recommender import Recommender, SourceMessage
from stream_app.users.state import EVENT_BYTES, SourceEvent, UserState, apply

BUNDLE = Path(__file__).parents[3] / "examples" / "movielens" / "bundle"
HOUR_MS = 3_600_000


def event(item: int, at_ms: int, offset: int = 0) -> SourceEvent:
    return SourceEvent(item, at_ms, 2, 1, "clicks/0", offset)


def row(*events: tuple[int, int]) -> UserState:
    state = UserState()
    for offset, (item, at_ms) in enumerate(events):
        state, _ = apply(state, event(item, at_ms, offset))
    return state


def test_an_item_counts_once_in_a_while() -> None:
    assert is_new(row(), event(7, 0))
    assert not is_new(row((7, 0)), event(7, 1))
    assert is_new(row((7, 0)), event(8, 1))
    assert not is_new(row((7, 0), (8, 1)), event(7, REPEAT_MS - 1))
    assert is_new(row((7, 0), (8, 1)), event(7, REPEAT_MS))
    assert not is_new(row((7, 0), (7, REPEAT_MS)), event(7, REPEAT_MS + 1)), "the last time counts"


def test_an_item_that_left_the_ring_is_still_known() -> None:
    others = [(1000 + n, HOUR_MS * (n + 1)) for n in range(150)]
    after = row((7, 0), *others)
    assert after.seen
    assert not is_new(after, event(7, HOUR_MS * 500))
    assert is_new(after, event(8, HOUR_MS * 500))


def test_of_a_burst_the_first_events_count() -> None:
    burst = [(1000 + n, n) for n in range(BURST_EVENTS)]
    assert is_new(row(*burst[:-1]), event(1, BURST_EVENTS))
    assert in_burst(row(*burst), event(1, BURST_EVENTS))
    assert in_burst(row(*burst), event(1, BURST_MS - 1))
    assert not in_burst(row(*burst), event(1, BURST_MS))


def test_late_events_are_no_way_around() -> None:
    burst = [(1000 + n, HOUR_MS) for n in range(BURST_EVENTS)]
    assert in_burst(row(*burst), event(1, 0))
    assert not is_new(row((7, HOUR_MS)), event(7, 0))


ITEMS = st.integers(1, 3) | st.integers(1, 2**64 - 1)


@given(st.lists(st.tuples(ITEMS, st.integers(0, 3 * REPEAT_MS)), max_size=130), ITEMS)
def test_the_ring_is_searched_entry_by_entry(history: list[tuple[int, int]], item: int) -> None:
    state = row(*history)
    ring = [
        int.from_bytes(state.history[at : at + 8], "little")
        for at in range(0, len(state.history), EVENT_BYTES)
    ]
    seen = np.frombuffer(state.seen, "<u4").tolist()
    known = item in ring or (item & 0xFFFF_FFFE) in {entry & 0xFFFF_FFFE for entry in seen}
    much_later = 10 * REPEAT_MS
    assert is_new(state, event(item, much_later)) is (not known or item in ring)


class Crowd:
    """A recommender and the clicks it is sent, in time order."""

    def __init__(self) -> None:
        self.recommender = Recommender.load(BUNDLE)
        self.trends = self.recommender.live.trends
        self._rows: dict[str, UserState] = {}
        self._offset = 0
        self._at_ms = self.recommender.bundle.manifest.data.until_ms

    def click(self, clicks: list[tuple[str, str]], apart_ms: int = 1000) -> None:
        for start in range(0, len(clicks), 256):
            messages = []
            for user, item in clicks[start : start + 256]:
                self._at_ms += apart_ms
                message = Click(user_id=user, item_id=item, timestamp_ms=self._at_ms)
                messages.append(SourceMessage(message, "clicks", 0, self._offset))
                self._offset += 1
            users = {user for user, _ in clicks[start : start + 256]}
            rows = {user: self._rows.get(user) for user in users}
            self._rows |= self.recommender.process(messages, rows).states

    def count(self, item: str) -> float:
        """Events on an item that the trends hold, as of now; decay since the start is small."""
        catalog, trends = self.recommender.bundle.catalog, self.trends
        position = catalog._index[item]
        return float(trends._counts[position] / 2 ** trends._age(trends._now_ms))

    def places(self) -> list[str]:
        return [self.recommender.bundle.catalog.ids[at] for at in self.trends.top.tolist()]


@pytest.fixture
def crowd() -> Crowd:
    return Crowd()


def rare_items(crowd: Crowd, count: int) -> list[str]:
    known = set(crowd.places())
    ids = crowd.recommender.bundle.catalog.ids
    return [item for item in reversed(ids) if item not in known][:count]


@pytest.mark.parametrize("apart_ms", [1, 1000, 60_000])
def test_ten_thousand_clicks_on_one_item_are_one_opinion_a_day(crowd: Crowd, apart_ms: int) -> None:
    (item,) = rare_items(crowd, 1)
    before, top = crowd.count(item), crowd.places()
    crowd.click([("mallory", item)] * 10_000, apart_ms)
    days = 10_000 * apart_ms // REPEAT_MS
    assert crowd.count(item) - before <= 1 + days
    if not days:
        assert crowd.places() == top


@pytest.mark.parametrize("apart_ms", [1, 1000, 60_000])
def test_ten_thousand_clicks_on_five_hundred_items_are_one_opinion_each(
    crowd: Crowd, apart_ms: int
) -> None:
    items = rare_items(crowd, 500)
    before, top = [crowd.count(item) for item in items], crowd.places()
    crowd.click([("mallory", items[n % 500]) for n in range(10_000)], apart_ms)
    after = [crowd.count(item) for item in items]
    assert max(b - a for a, b in zip(before, after, strict=True)) <= 1.0
    assert set(crowd.places()) == set(top), "nothing of it comes into the list"


def test_many_users_move_the_trends(crowd: Crowd) -> None:
    (item,) = rare_items(crowd, 1)
    crowd.click([(f"user-{n}", item) for n in range(1_000)])
    assert crowd.places()[0] == item


def test_a_flood_of_invented_items_does_not_fill_the_catalogue(crowd: Crowd) -> None:
    before = len(crowd.recommender.bundle.catalog)
    crowd.click([("mallory", f"invented-{n}") for n in range(5_000)], apart_ms=1)
    assert len(crowd.recommender.bundle.catalog) - before == BURST_EVENTS


def test_a_flood_teaches_no_transition_twice(crowd: Crowd) -> None:
    first, second = rare_items(crowd, 2)
    transitions = crowd.recommender.live.transitions
    position = crowd.recommender.bundle.catalog._index[first]
    before = float(transitions._totals[position])
    crowd.click([("mallory", (first, second)[n % 2]) for n in range(5_000)])
    assert float(transitions._totals[position]) - before <= 1.0


def test_what_does_not_count_is_applied_all_the_same(crowd: Crowd) -> None:
    (item,) = rare_items(crowd, 1)
    crowd.click([("mallory", item)] * 300)
    assert crowd._rows["mallory"].events == 300
