"""Traffic never ends, and every visit in it is one that really was."""

from __future__ import annotations

from itertools import islice

import pytest

from schemas import Click
from stream_app.demo.traffic import endless


def visit(user: str, *items: str) -> list[Click]:
    return [Click(user_id=user, item_id=item, timestamp_ms=0) for item in items]


def names(events: list[Click], at_once: int, count: int) -> list[tuple[str, str]]:
    return [(e.user_id, e.item_id) for e in islice(endless(events, at_once), count)]


def test_users_take_turns_and_come_again_as_new_ones() -> None:
    events = visit("ann", "1", "2", "3") + visit("bob", "4") + visit("cid", "5")
    assert names(events, 2, 8) == [
        ("ann.1", "1"), ("bob.1", "4"), ("ann.1", "2"), ("cid.1", "5"), ("ann.1", "3"),
        ("ann.2", "1"), ("bob.2", "4"), ("ann.2", "2"),
    ]  # fmt: skip


def test_one_user_is_enough_for_many_at_a_time() -> None:
    assert names(visit("ann", "1"), 3, 4) == [(f"ann.{n}", "1") for n in (1, 2, 3, 4)]


def test_traffic_of_nothing_is_refused() -> None:
    with pytest.raises(ValueError, match="no events"):
        next(endless([]))
