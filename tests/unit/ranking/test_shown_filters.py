"""What was shown or served stays away, for ever or as long as the filter says."""

from __future__ import annotations

import numpy as np
import pytest
from small_release import small_release

from schemas import Click, Impression
from stream_app.catalog import Catalog
from stream_app.filter_names import FilterName, looked_at, parse_filter, remembers
from stream_app.plan import Plan
from stream_app.ranking import SeenIndex, user_batch
from stream_app.ranking.filters import Bought, Clicked, Excluded, Served, Shown
from stream_app.recommender import Recommender
from stream_app.users.actions import PURCHASE
from stream_app.users.ids import item_hash
from stream_app.users.shown import SourceImpression, apply_impression, with_list
from stream_app.users.state import SourceEvent, UserState, apply

HOUR_MS = 3_600_000
CATALOG = Catalog([f"i{number}" for number in range(60)], np.zeros((60, 4), np.float32))


def row() -> UserState:
    """Hour 0: bought 1, was served 2 and 3. 2: was shown 5. 10: clicked 4. 11: was shown 6."""
    state = UserState()
    state, _ = apply(state, SourceEvent(item_hash("i1"), 0, PURCHASE, 1, "p/0", 0))
    state = with_list(state, [item_hash("i2"), item_hash("i3")])
    state, _ = apply(state, SourceEvent(item_hash("i4"), 10 * HOUR_MS, 2, 1, "c/0", 0))
    for offset, (item, hour) in enumerate((("i5", 2), ("i6", 11), ("unknown", 11))):
        shown = SourceImpression((item_hash(item),), hour * HOUR_MS, "i/0", offset)
        state, _ = apply_impression(state, shown)
    return state


def kept_out(one: Bought | Clicked | Excluded | Served | Shown, now_hour: float = 0) -> set[int]:
    users = user_batch(
        [UserState(), row()], CATALOG, SeenIndex(CATALOG), [(), ("i9",)], int(now_hour * HOUR_MS)
    )
    rows, items = one.forbidden(users)
    assert (rows == 1).all()
    return set(items.tolist()) - {-1}


def test_each_filter_takes_its_own_and_nothing_else() -> None:
    assert kept_out(Bought()) == {1}
    assert kept_out(Clicked()) == {4}
    assert kept_out(Served()) == {2, 3}
    assert kept_out(Shown()) == {5, 6}
    assert kept_out(Excluded()) == {9}


def test_items_return_some_time_after_they_were_shown_or_served() -> None:
    assert kept_out(Shown(9 * HOUR_MS)) == {5, 6}  # 6 was shown after the newest event
    assert kept_out(Shown(8 * HOUR_MS)) == {5, 6}  # seconds are rounded to stay away longer
    assert kept_out(Shown(7 * HOUR_MS)) == {6}
    assert kept_out(Shown(HOUR_MS), now_hour=13) == set()
    assert kept_out(Served(11 * HOUR_MS)) == {2, 3}
    assert kept_out(Served(9 * HOUR_MS)) == set()
    assert kept_out(Shown(0), now_hour=12) == kept_out(Shown(0)) == set()


def test_of_two_times_the_last_one_counts() -> None:
    state = row()
    again = SourceImpression((item_hash("i5"),), 10 * HOUR_MS, "i/0", 9)
    state, _ = apply_impression(state, again)
    users = user_batch([state], CATALOG, SeenIndex(CATALOG))
    assert 5 in Shown(2 * HOUR_MS).forbidden(users)[1]


def test_the_past_of_each_user_stays_together() -> None:
    users = user_batch([row(), UserState(), row()], CATALOG, SeenIndex(CATALOG))
    assert (np.diff(users.past.rows) >= 0).all()
    for one in (users.rows(2, 3), users.only(np.array([2]))):
        assert sorted(Shown().forbidden(one)[1].tolist()) == [-1, 5, 6]
        assert set(Served().forbidden(one)[0].tolist()) == {0}


def test_what_no_filter_looks_at_is_left_out() -> None:
    assert looked_at(frozenset({("bought", "clicked:1d")})) == {}
    assert looked_at(frozenset({("shown:1h",), ("shown:2h", "served"), ()})) == {
        "shown": 2 * HOUR_MS,
        "served": None,
    }
    assert looked_at(frozenset({("shown",), ("shown:1h",)})) == {"shown": None}

    def past(*filters: str) -> list[int]:
        within = looked_at(frozenset({filters}))
        users = user_batch([row()], CATALOG, SeenIndex(CATALOG), within=within)
        return sorted(users.past.items.tolist())

    assert past() == [1, 4]
    assert past("shown:2h", "served:9h") == [-1, 1, 4, 6]
    assert past("shown:9h", "served") == [-1, 1, 2, 3, 4, 5, 6]
    assert past("shown:0s") == [1, 4]  # also what was shown after the newest event


@pytest.mark.parametrize(
    ("text", "parsed"),
    [("shown", FilterName("shown", None)), ("served:10m", FilterName("served", 600_000))],
)
def test_they_are_named_like_the_others(text: str, parsed: FilterName) -> None:
    assert parse_filter(text) == parsed
    assert remembers(("bought", text), parsed.name)
    assert not remembers(("bought", "clicked:1d"), parsed.name)


def test_a_list_is_full_until_all_was_shown_and_then_short() -> None:
    """40 items, of which every list takes ten that were not shown."""
    recommender = Recommender(
        small_release(), k=10, plan=Plan(filters=("shown:1h",)), clock=lambda: 0
    )
    lengths, shown = [], set()
    for turn in range(6):
        event = Click(user_id="ann", item_id="item-1", timestamp_ms=turn * 1_000)
        (made,) = recommender.recommend([event])
        items = [item.item_id for item in made.items]
        assert shown.isdisjoint(items)
        shown |= set(items)
        lengths.append(len(items))
        if items:
            recommender.show(
                Impression(
                    user_id="ann",
                    rec_id=made.rec_id,
                    item_ids=tuple(items),
                    timestamp_ms=turn * 1_000,
                )
            )
    assert lengths == [10, 10, 10, 10, 0, 0]
    later = Click(user_id="ann", item_id="item-1", timestamp_ms=HOUR_MS + 2_000)
    (made,) = recommender.recommend([later])
    assert len(made.items) == 10  # 20 items are back
