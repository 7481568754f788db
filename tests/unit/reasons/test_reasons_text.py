"""An explanation as text."""

from __future__ import annotations

from small_release import small_release
from test_leave_one_out import ITEMS, row_of

from stream_app.plan import Plan
from stream_app.reasons import Sentences
from stream_app.reasons.text import as_text
from stream_app.recommender import Recommender


def text(item: str | None = None, sent: dict[str, int] | None = None, **options) -> str:
    bundle = small_release(items=400)
    explanation = Recommender(bundle, **options).explain(row_of(bundle, ITEMS), item)
    return as_text(explanation, Sentences("en", {"item-3": "Third"}), sent)


def test_a_list_has_all_that_there_is_to_say() -> None:
    shown = text(k=5)
    assert shown.startswith("  1  item-")
    assert shown.count("proposed by") == 5
    assert "affinity +" in shown
    assert "popularity -" in shown
    assert "%)" in shown
    assert "click item-" in shown
    assert ", 1970-01-01 00:" in shown
    assert "\n  5  item-" in shown
    assert "not in the list" not in shown


def test_ranks_of_the_list_that_was_sent_stand_beside() -> None:
    first = text(k=5).split()[1]
    assert f"  1  {first}  score" in text(k=5, sent={first: 4})
    assert text(k=5, sent={first: 4}).splitlines()[0].endswith("sent as 4")


def test_an_item_that_is_not_in_the_list_says_why() -> None:
    filtered = text("item-3")
    assert filtered.startswith("  -  Third [item-3]  score ")
    assert "not in the list: filtered by clicked (by its score it would be at place " in filtered
    many = "\n".join(text(f"item-{number}", k=1) for number in range(40, 140, 5))
    assert "not in the list: place " in many
    assert "candidates, the list takes 1" in many
    assert "no source proposed it (by its score it would be at place " in many


def test_what_left_the_ring_has_a_line() -> None:
    bundle = small_release()
    row = row_of(bundle, [number % 40 for number in range(103)])
    made = Recommender(bundle, plan=Plan(filters=())).explain(row)
    assert "+0.00 events that have left the ring" in as_text(made, Sentences()).replace("-", "+")
