"""What goes with an item: found by position, also when it joins the catalogue later."""

from __future__ import annotations

import numpy as np
from small_release import small_release

from stream_app.catalog.related import MOST, RelatedItems


def of(related: RelatedItems, *items: int) -> list[list[int]]:
    """Related positions of items, without the padding."""
    found = related.of(np.array(items, np.int32))
    assert found.shape == (len(items), MOST)
    return [[item for item in row if item >= 0] for row in found.tolist()]


def test_items_have_what_their_producer_says_in_its_order() -> None:
    related = RelatedItems(small_release(10).catalog)
    assert of(related, 0, -1) == [[], []]
    assert len(related) == 0
    related.say(4, ("item-9", "item-2", "item-9"))
    related.say(0, ("item-4",))
    assert of(related, 0, 4, 5, -1) == [[4], [9, 2], [], []]
    assert len(related) == 2
    related.say(4, ("item-1",))
    assert of(related, 4) == [[1]]
    related.say(4, ())
    related.say(7, ())
    assert of(related, 0, 4, 7) == [[4], [], []]
    assert len(related) == 1
    related.say(5, ("item-3",))  # in the place that became free
    assert of(related, 0, 4, 5) == [[4], [], [3]]


def test_items_that_join_later_are_found_then() -> None:
    catalog = small_release(5).catalog
    related = RelatedItems(catalog)
    related.say(1, ("later", "item-3", "never"))
    assert of(related, 1) == [[3]]
    later = catalog.index_or_add("later")
    assert of(related, 1) == [[later, 3]]
    related.say(later, ("item-1",))
    assert of(related, later, 1) == [[1], [later, 3]]


def test_of_very_many_related_items_the_first_are_kept() -> None:
    related = RelatedItems(small_release(100).catalog)
    related.say(0, [f"item-{n}" for n in range(1, 90)])
    assert of(related, 0) == [list(range(1, MOST + 1))]


def test_many_items_have_related_ones() -> None:
    related = RelatedItems(small_release(300).catalog)
    for item in range(300):
        related.say(item, (f"item-{(item + 1) % 300}",))
    assert of(related, *range(300)) == [[(item + 1) % 300] for item in range(300)]
