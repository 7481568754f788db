"""Feedback is joined to the list it answers, once, and to no other."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from schemas import (
    Click,
    Experiment,
    Impression,
    Purchase,
    RankedItem,
    Recommendation,
    ServingModel,
)
from stream_app.attribution.join import Join
from stream_app.attribution.report import Row, Totals

MODEL = ServingModel("shop", "1", "onnxruntime-cpu")


def made(rec_id: str, user: str, *items: tuple[str, tuple[str, ...]], **fields: Any) -> Any:
    places = tuple(
        RankedItem(item, 1.0, rank, sources) for rank, (item, sources) in enumerate(items, 1)
    )
    return Recommendation(
        rec_id=rec_id, user_id=user, items=places, model=MODEL, generated_at_ms=1, **fields
    )


def click(user: str, item: str, rec_id: str | None) -> Click:
    return Click(user_id=user, item_id=item, rec_id=rec_id, timestamp_ms=1)


def buy(user: str, item: str, rec_id: str) -> Purchase:
    return Purchase(user_id=user, item_id=item, rec_id=rec_id, timestamp_ms=1)


def seen(user: str, rec_id: str, *items: str) -> Impression:
    return Impression(user_id=user, rec_id=rec_id, item_ids=items, timestamp_ms=1)


LISTS = [
    made("r1", "ann", ("a", ("personal",)), ("b", ("personal", "trending"))),
    made("r2", "bob", ("a", ("trending",)), experiment=Experiment("rank", "b")),
]


def joined(feedback: list[Any], lists: list[Any] = LISTS) -> tuple[dict[str, Row], Join]:
    join = Join()
    for event in feedback:
        join.add_feedback(event)
    for one in lists:
        join.add_list(one)
    totals = Totals()
    totals.add(join.by_user())
    return {f"{row.dimension} {row.name}".strip(): row for row in totals.rows()}, join


def counts(row: Row) -> tuple[int, int, int, int]:
    return row.made, row.shown, row.clicked, row.bought


def test_what_happened_is_counted_by_everything_that_a_list_says() -> None:
    rows, join = joined(
        [seen("ann", "r1", "a", "b"), click("ann", "b", "r1"), buy("ann", "b", "r1")]
    )
    assert counts(rows["all"]) == (3, 2, 1, 1)
    assert counts(rows["source personal"]) == (2, 2, 1, 1)
    assert counts(rows["source trending"]) == (2, 1, 1, 1)
    assert counts(rows["rank 1"]) == (2, 1, 0, 0)
    assert counts(rows["rank 2"]) == (1, 1, 1, 1)
    assert counts(rows["release shop@1"]) == (3, 2, 1, 1)
    assert counts(rows["arm rank/b"]) == (1, 0, 0, 0)
    assert (join.lists, +join.unmatched) == (2, {})
    assert list(rows) == [
        "all", "source personal", "source trending", "rank 1", "rank 2", "release shop@1",
        "arm rank/b",
    ]  # fmt: skip


def test_what_happens_twice_counts_once() -> None:
    feedback = [click("ann", "a", "r1")] * 3 + [seen("ann", "r1", "a")] * 2
    rows, join = joined(feedback, [*LISTS, *LISTS])
    assert counts(rows["all"]) == (3, 1, 1, 0)
    assert join.lists == 2


def test_feedback_that_fits_no_list_is_counted_by_why() -> None:
    rows, join = joined([
        click("ann", "a", None), click("ann", "z", "r1"), click("ann", "a", "r9"),
        click("bob", "a", "r2"), click("cid", "a", "r2"), click("cid", "b", "r1"),
    ])  # fmt: skip
    assert counts(rows["all"]) == (3, 0, 1, 0)
    assert +join.unmatched == {
        "no rec_id": 1, "item not in its list": 1, "list not there": 1, "list of another user": 2,
    }  # fmt: skip


def test_a_list_claimed_by_another_user_first_stays_with_its_own() -> None:
    rows, join = joined([click("eve", "a", "r1"), seen("eve", "r1", "a", "b")])
    assert counts(rows["all"]) == (3, 0, 0, 0)
    assert +join.unmatched == {"list of another user": 3}
    rows, join = joined([click("eve", "a", "r1"), click("ann", "b", "r1")])
    assert counts(rows["all"]) == (3, 0, 1, 0)
    assert counts(rows["rank 2"]) == (1, 0, 1, 0)
    assert +join.unmatched == {"list of another user": 1}


def test_rates_are_per_shown_item_where_anything_was_shown() -> None:
    shown, _ = joined([seen("ann", "r1", "a", "b"), click("ann", "b", "r1")])
    assert shown["all"].click_rate.value == 0.5
    assert shown["arm rank/b"].click_rate.value is None
    unknown, _ = joined([click("ann", "b", "r1")])
    assert unknown["all"].click_rate.value == pytest.approx(1 / 3)
    assert unknown["rank 2"].click_rate.low is None  # of one user


def test_the_interval_covers_as_often_as_it_says() -> None:
    """Users differ in their rate and in how much they are shown: items are not independent."""
    random = np.random.default_rng(5)
    covered, runs = 0, 300
    for _ in range(runs):
        totals = Totals()
        rates = random.beta(2, 18, 200)
        sizes = random.integers(1, 60, 200)
        totals.add(
            ("", {("all", ""): [int(n), int(n), int(random.binomial(n, p)), 0]})
            for n, p in zip(sizes, rates, strict=True)
        )
        (row,) = totals.rows()
        assert row.click_rate.low is not None
        assert row.click_rate.high is not None
        covered += row.click_rate.low <= 0.1 <= row.click_rate.high
    assert 0.91 < covered / runs < 0.98
