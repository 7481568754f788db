"""Which events are learned from, and which questions are asked."""

from dataclasses import replace

import numpy as np
import pytest
from event_tables import table_of

from stream_app.datasets import EventTable
from stream_app.datasets.events import Row
from stream_app.evaluation.errors import EvaluationError
from stream_app.evaluation.protocols import (
    Cases,
    Split,
    leave_one_out,
    replay_split,
    sample_users,
    time_split,
)


def questions(split: Split, cases: Cases) -> list[tuple[str, str, str]]:
    """User, history and targets of every question."""
    table, asked = split.table, []
    owners, events = cases.histories.flat()
    for at in range(len(cases)):
        history = "".join(table.item_ids[item] for item in table.items[events[owners == at]])
        wanted = cases.targets[cases.offsets[at] : cases.offsets[at + 1]]
        user = table.user_ids[cases.users[at]]
        asked.append((user, history, "".join(table.item_ids[item] for item in wanted)))
    return asked


def items_of(table: EventTable) -> str:
    return "".join(table.item_ids[item] for item in table.items)


def test_leave_one_out_asks_for_the_last_item_and_validates_on_the_one_before() -> None:
    split = leave_one_out(table_of("u a", "v a", "u b", "v b", "u c", "u d", "w z", "v e"))
    assert questions(split, split.test) == [("u", "abc", "d"), ("v", "ab", "e")]
    assert questions(split, split.validation) == [("u", "ab", "c"), ("v", "a", "b")]
    assert items_of(split.train) == "aabz"  # w has one event: trained on, not asked
    assert items_of(split.past) == "aabbcz"
    assert split.parts.tolist() == [0, 0, 0, 1, 1, 2, 0, 2]


def test_equal_timestamps_keep_the_order_of_the_file() -> None:
    rows = [Row("u", item, 5_000, 2) for item in "dacb"]
    split = leave_one_out(EventTable.from_rows(rows, "ties"))
    assert questions(split, split.test) == [("u", "dac", "b")]


def test_without_repeats_nobody_is_asked_for_an_item_they_had() -> None:
    table = table_of("u a", "u b", "u a", "v a", "v b", "v c")
    asked = {repeats: leave_one_out(table, repeats=repeats) for repeats in (False, True)}
    users = {
        repeats: [q[0] for q in questions(split, split.test)] for repeats, split in asked.items()
    }
    assert users == {False: ["v"], True: ["u", "v"]}


def test_a_time_split_asks_for_every_later_event_with_all_that_came_before_it() -> None:
    table = table_of("u a", "v b", "u b", "u c", "n a", "u d", "n b", "n a", "v a", "v b")
    split = time_split(table, test_share=0.6, validation_share=0.5)
    assert items_of(split.train) == "ab"
    assert questions(split, split.validation) == [("u", "a", "b"), ("u", "ab", "c")]
    assert questions(split, split.test) == [
        ("u", "abc", "d"),
        ("v", "b", "a"),
        ("n", "a", "b"),
    ]
    assert split.returning[split.test.users].tolist() == [True, True, False]


def test_a_basket_asks_known_users_once_for_all_they_have_later() -> None:
    table = table_of("u a", "v b", "u b", "u c", "n a", "u d", "n b", "u d", "u e", "u a")
    split = time_split(table, test_share=0.6, basket=True)
    assert questions(split, split.test) == [("u", "abc", "de")]
    split = time_split(table, test_share=0.6, basket=True, repeats=True)
    assert questions(split, split.test) == [("u", "abc", "dea")]


def test_a_replay_asks_from_the_second_event_of_a_user_in_the_stream() -> None:
    table = table_of("u a", "v b", "u b", "u c", "n a", "u d", "n b", "v a", "v c", "u e")
    split = replay_split(table, test_share=0.7)
    assert questions(split, split.test) == [
        ("u", "abc", "d"),
        ("u", "abcd", "e"),
        ("v", "ba", "c"),
        ("n", "a", "b"),
    ]
    assert split.stream is not None
    assert items_of(split.stream) == "cadbace"


def test_a_sample_asks_some_users_all_their_questions() -> None:
    table = table_of(*(f"u{user} i{item}" for item in range(6) for user in range(20)))
    split = time_split(table, test_share=0.5)
    some = sample_users(split, 5, seed=3)
    assert len(np.unique(some.test.users)) == 5
    assert len(some.test) == 15
    assert np.array_equal(some.test.users, sample_users(split, 5, seed=3).test.users)
    assert sample_users(split, 100, seed=3) is split


def test_a_split_that_asks_nobody_is_refused() -> None:
    with pytest.raises(EvaluationError, match="nobody to ask: leave-one-out needs a user with"):
        leave_one_out(table_of("u a", "u b", "v c"))
    with pytest.raises(EvaluationError, match=r"time-split needs .* a larger --test-share"):
        time_split(table_of("u a", "v a", "w c"))


@pytest.mark.parametrize("cut", [time_split, replay_split])
def test_times_that_a_reader_made_up_are_not_split_by(cut) -> None:
    table = replace(table_of("u a", "u b", "u c", "u d"), timed=False)
    with pytest.raises(EvaluationError, match="has no times; use --protocol leave-one-out"):
        cut(table)
