"""What was bought or clicked stays away, for ever or as long as the filter says."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from schemas import Click, Purchase
from stream_app.catalog import Catalog
from stream_app.errors import UserError
from stream_app.filter_names import FilterName, parse_filter
from stream_app.plan import Plan
from stream_app.ranking import SeenIndex, user_batch
from stream_app.ranking.filters import Bought, Clicked, Excluded
from stream_app.recommender import Recommender
from stream_app.settings import Settings, SettingsError
from stream_app.users.actions import PURCHASE, action_code
from stream_app.users.ids import item_hash
from stream_app.users.state import SourceEvent, UserState, apply

BUNDLE = Path(__file__).parents[3] / "examples" / "movielens" / "bundle"
DAY_MS = 86_400_000
CATALOG = Catalog([f"i{number}" for number in range(600)], np.zeros((600, 4), np.float32))


def state_of(*events: tuple[int, int, float]) -> UserState:
    """A row after events of (item number, action, day)."""
    state = UserState()
    for offset, (item, action, day) in enumerate(events):
        at_ms = int(day * DAY_MS)
        event = SourceEvent(item_hash(f"i{item}"), at_ms, action, 1, "clicks/0", offset)
        state, _ = apply(state, event)
    return state


CLICK = action_code("click")
HISTORY = state_of((1, CLICK, 0), (2, PURCHASE, 10), (3, CLICK, 35), (1, CLICK, 40), (4, CLICK, 41))


def kept_out(
    *filters: Bought | Clicked | Excluded, now_day: float = 0, exclude: tuple[str, ...] = ()
) -> set[int]:
    users = user_batch(
        [UserState(), HISTORY], CATALOG, SeenIndex(CATALOG), [(), exclude], int(now_day * DAY_MS)
    )
    found = [one.forbidden(users) for one in filters]
    assert all((rows == 1).all() for rows, _ in found)
    return {item for _, items in found for item in items.tolist()}


def test_without_a_time_nothing_returns() -> None:
    assert kept_out(Bought()) == {2}
    assert kept_out(Clicked()) == {1, 3, 4}


def test_items_return_some_time_after_the_last_event_on_them() -> None:
    assert kept_out(Clicked(30 * DAY_MS)) == {1, 3, 4}  # 1 was clicked again
    assert kept_out(Clicked(2 * DAY_MS)) == {1, 4}
    assert kept_out(Clicked(DAY_MS)) == {4}
    assert kept_out(Bought(30 * DAY_MS)) == set()
    assert kept_out(Bought(32 * DAY_MS)) == {2}


def test_a_list_that_is_asked_for_is_of_the_time_of_asking() -> None:
    assert kept_out(Clicked(30 * DAY_MS), now_day=66) == {1, 4}
    assert kept_out(Clicked(30 * DAY_MS), now_day=200) == set()
    assert kept_out(Clicked(30 * DAY_MS), now_day=1) == {1, 3, 4}  # a clock that is behind


def test_what_is_excluded_is_no_event() -> None:
    assert kept_out(Clicked(), Bought(), exclude=("i7",)) == {1, 2, 3, 4}
    assert kept_out(Excluded(), exclude=("i7", "unknown")) == {7, -1}
    assert kept_out(Excluded()) == set()


def test_what_left_the_ring_returns_when_all_of_the_ring_may() -> None:
    """Its time is not known any more; it is older than what is still there."""
    old = state_of(*((number, CLICK, number) for number in range(150)))
    users = user_batch([old], CATALOG, SeenIndex(CATALOG))
    _, for_ever = Clicked().forbidden(users)
    assert set(for_ever.tolist()) == set(range(150))
    _, items = Clicked(98 * DAY_MS).forbidden(users)  # the ring holds 99 days
    assert set(items.tolist()) == set(range(52, 150))
    _, items = Clicked(100 * DAY_MS).forbidden(users)
    assert set(items.tolist()) == set(range(150))


@pytest.mark.parametrize(
    ("text", "parsed"),
    [
        ("bought", FilterName("bought", None)),
        ("clicked:30d", FilterName("clicked", 30 * DAY_MS)),
        ("clicked:90s", FilterName("clicked", 90_000)),
    ],
)
def test_a_filter_is_a_name_and_perhaps_a_duration(text: str, parsed: FilterName) -> None:
    assert parse_filter(text) == parsed
    assert Settings(filters=f" {text} ,").filter_names == (text,)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("sold", "filter 'sold' is unknown; use some of: bought, clicked"),
        ("clicked:", "'' is no duration; write 90s, 15m, 2h or 30d"),
        ("clicked:-1d", "'-1d' is no duration"),
        ("clicked:30", "'30' is no duration"),
    ],
)
def test_what_is_no_filter_is_refused(text: str, message: str) -> None:
    with pytest.raises(SettingsError, match=message):
        Settings(filters=text)


@pytest.mark.parametrize(
    ("filters", "back"),
    [(("bought", "clicked"), set()), (("bought:30d", "clicked:30d"), {"318", "296"})],
)
def test_through_the_recommender(filters: tuple[str, ...], back: set[str]) -> None:
    events = [
        Click(user_id="ann", item_id="318", timestamp_ms=0),
        Purchase(user_id="ann", item_id="296", timestamp_ms=1),
        Click(user_id="ann", item_id="593", timestamp_ms=90 * DAY_MS),
    ]
    (made,) = Recommender.load(BUNDLE, k=40, plan=Plan(filters=filters)).recommend(events)
    assert {item.item_id for item in made.items} & {"318", "296", "593"} == back


def test_the_recommender_refuses_what_is_no_duration() -> None:
    with pytest.raises(UserError, match="is no duration"):
        Recommender.load(BUNDLE, plan=Plan(filters=("clicked:soon",)))
