"""Which items are of a category, as items and their categories change."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from stream_app.catalog.categories import MOST_MASKS, Categories

SIZE = 40
names = st.lists(st.sampled_from("abcdef"), max_size=4)
changes = st.lists(st.tuples(st.integers(0, SIZE - 1), names), max_size=60)


@given(changes, names)
def test_a_mask_is_of_the_items_that_have_a_category_now(said, wanted) -> None:
    table, held = Categories(), {}
    for position, categories in said:
        table.set(position, categories, held.get(position, ()))
        held[position] = categories
    mask = table.mask(wanted, SIZE)
    assert len(mask) == SIZE + 1
    assert not mask[-1]
    expected = {position for position, of in held.items() if set(of) & set(wanted)}
    assert set(mask.nonzero()[0].tolist()) == expected


def test_it_outgrows_its_room_and_forgets_what_is_gone() -> None:
    table = Categories()
    for turn in range(5):
        for position in range(1000):
            table.set(position, [f"turn {turn}"], [f"turn {turn - 1}"] if turn else ())
    assert table.mask(["turn 4"], 1000).sum() == 1000
    assert table.mask(["turn 3"], 1000).sum() == 0
    assert table._count <= 2000


def test_the_same_names_give_the_same_array_until_something_changes() -> None:
    table = Categories()
    table.set(1, ["a"], ())
    mask = table.mask(["a", "b"], SIZE)
    assert table.mask(["b", "a"], SIZE) is mask
    assert table.mask(["b", "a"], SIZE + 1) is not mask
    table.set(2, ["b"], ())
    assert table.mask(["a", "b"], SIZE)[2]


def test_the_masks_that_are_kept_are_bounded() -> None:
    table = Categories()
    for number in range(3 * MOST_MASKS):
        table.mask([f"{number}"], SIZE)
    assert len(table._masks) == MOST_MASKS
