"""The cold-start protocols: what is cold, what is asked, and that nothing leaks into training."""

import numpy as np
import pytest

from stream_app.datasets import EventTable
from stream_app.datasets.events import Row
from stream_app.evaluation.cold import (
    cold_figures,
    cold_user_figure,
    cold_users,
    favourites,
    newest_items,
    random_items,
)
from stream_app.evaluation.errors import EvaluationError
from stream_app.evaluation.protocols import time_split

DAY_MS = 86_400_000


def growing_table(users: int = 30, length: int = 16) -> EventTable:
    """Users come one after the other, and every day a new item appears."""
    random = np.random.default_rng(0)
    rows = []
    for user in range(users):
        for step in range(length):
            day = user * 3 + step
            item = day if random.random() < 0.3 else random.integers(day + 1)
            rows.append(Row(f"u{user}", f"i{item}", day * DAY_MS + user, 2))
    return EventTable.from_rows(rows, "growing")


TABLE = growing_table()


def test_the_newest_items_are_unknown_to_training() -> None:
    split, cold = newest_items(TABLE, 0.1)
    assert cold.sum() == len(cold) - int(len(cold) * 0.9)
    assert not cold[split.past.items].any()
    assert not cold[split.train.items].any()
    later = TABLE.items[len(split.past) :]
    assert cold[later[0]]  # training goes on until the first of them appears
    assert cold[split.test.targets].any()
    assert not cold[split.test.targets].all()


def test_questions_about_new_items_are_asked_after_training() -> None:
    split, _ = newest_items(TABLE, 0.2)
    histories = split.test.histories
    begin = split.past.timestamps_ms[-1]
    for at in range(len(split.test)):
        user, known = histories.users[at], histories.lengths[at]
        events = np.flatnonzero(TABLE.users == user)
        assert TABLE.timestamps_ms[events[known]] >= begin
        assert TABLE.items[events[known]] == split.test.targets[at]


def test_a_table_whose_items_are_all_new_is_refused() -> None:
    with pytest.raises(EvaluationError, match="no event is older than the newest items"):
        newest_items(TABLE, 1.0)


def test_random_items_are_taken_out_of_training_and_asked_for() -> None:
    split, cold = random_items(TABLE, 0.3, seed=1)
    assert cold.sum() == int(len(TABLE.item_ids) * 0.3)
    assert not cold[split.past.items].any()
    assert not cold[split.train.items].any()
    assert cold[split.test.targets].any()
    assert len(split.train) < len(split.past) < len(TABLE)
    assert (random_items(TABLE, 0.3, seed=1).cold == cold).all()
    assert (random_items(TABLE, 0.3, seed=2).cold != cold).any()


def test_figures_are_split_by_what_the_target_is() -> None:
    split, cold = newest_items(TABLE, 0.1)
    cases = split.test
    lists = np.full((len(cases), 10), -1, np.int32)
    lists[:, 1] = np.where(cold[cases.targets], cases.targets, -1)
    found = cold_figures(lists, cases, cold)
    assert found["cold"].ndcg == pytest.approx(1 / np.log2(3))
    assert found["cold"].hr == 1
    assert found["warm"] == (found["all"].questions - found["cold"].questions, 0.0, 0.0)
    share = found["cold"].questions / found["all"].questions
    assert found["all"].hr == pytest.approx(share)
    none = cold_figures(lists, cases, np.zeros_like(cold))
    assert none["cold"].questions == 0
    assert np.isnan(none["cold"].ndcg)


def test_new_users_are_asked_the_same_whatever_is_known() -> None:
    split = time_split(TABLE, test_share=0.4)
    asked = cold_users(split, known=(0, 1, 5))
    assert len(asked.users) > 3
    assert not split.returning[asked.users].any()
    for count, cases in asked.cases.items():
        assert (cases.histories.lengths == count).all()
        np.testing.assert_array_equal(cases.targets, asked.cases[0].targets)
        np.testing.assert_array_equal(cases.users, asked.users)
    trained = set(split.past.items.tolist())
    cases = asked.cases[5]
    for at, user in enumerate(asked.users):
        events = TABLE.items[TABLE.users == user].tolist()
        targets = cases.targets[cases.offsets[at] : cases.offsets[at + 1]].tolist()
        assert asked.firsts[at] == events[:5]
        assert 0 < len(targets) <= 10
        assert len(set(targets)) == len(targets)
        assert set(targets) <= (set(events[5:]) - set(events[:5])) & trained
    lists = np.full((len(cases), 10), -1, np.int32)
    assert cold_user_figure(lists, cases) == (len(cases), 0.0, 0.0)


def test_nobody_to_ask_is_said() -> None:
    with pytest.raises(EvaluationError, match="no new user has more than 99 events"):
        cold_users(time_split(TABLE), known=(0, 99))


def test_several_targets_are_refused_where_one_is_meant() -> None:
    cases = cold_users(time_split(TABLE, test_share=0.4), known=(0, 1)).cases[0]
    with pytest.raises(EvaluationError, match="needs one target"):
        cold_figures(np.zeros((len(cases), 10), np.int32), cases, np.zeros(999, bool))


def test_a_profile_names_what_was_chosen_most_often() -> None:
    tags = {0: ["Drama", "Comedy"], 1: ["Comedy"], 2: ["Action", "Drama"], 3: []}
    assert favourites([[0, 1, 2], [3], []], lambda item: tags[item], 2) == ["Comedy, Drama", "", ""]
