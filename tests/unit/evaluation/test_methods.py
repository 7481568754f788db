"""What the baselines recommend, on tables small enough to count by hand."""

import sys

import numpy as np
import pytest
from event_tables import table_of

from stream_app.datasets import EventTable
from stream_app.datasets.events import Row
from stream_app.evaluation.baselines import DAY_MS
from stream_app.evaluation.errors import EvaluationError
from stream_app.evaluation.lists import top_lists
from stream_app.evaluation.metrics import accuracy, places_of
from stream_app.evaluation.protocols import Split, leave_one_out, time_split
from stream_app.evaluation.registry import BASELINES, make_baseline
from tests.shared_data import shared_data

# Without the last items of those who have three events or more: a and b 4 times, c and d 3, e 2;
# after d comes b once and e once.
TABLE = table_of(
    "u a", "v a", "w a", "x a", "u b", "v b", "w b", "y c", "y d", "z c", "z d", "z b",
    "u c", "v d", "x e", "y a", "z a", "w c", "q d", "q e", "q c", "q a",
)  # fmt: skip


def lists(name: str, split: Split, *, k: int = 5, repeats: bool = False) -> dict[str, str]:
    """The best items of a baseline for every user asked."""
    method = make_baseline(name, split.protocol, k=k, seed=0, threads=1)
    method.fit(split)
    made = top_lists(method, split.test.histories, k, repeats=repeats)
    ids = split.table.item_ids
    users = [split.table.user_ids[user] for user in split.test.users]
    return {
        user: "".join(ids[item] for item in row if item >= 0)
        for user, row in zip(users, made, strict=True)
    }


def test_popular_items_are_the_same_for_all_but_for_what_they_had() -> None:
    found = lists("popular", leave_one_out(TABLE))
    assert found["u"] == "cde"  # had a and b
    assert found["z"] == "ae"  # had b, c and d


def test_transitions_follow_the_last_item_and_then_go_by_popularity() -> None:
    made = lists("transitions", leave_one_out(TABLE), repeats=True)
    assert made["y"] == "beacd"  # had c, then d


def test_without_validation_questions_no_half_life_is_chosen() -> None:
    """All would have no hit, and the shortest would be taken for the best."""
    method = make_baseline("decayed-popular", "time-split", k=5, seed=0, threads=1)
    with pytest.raises(EvaluationError, match="its half-life is chosen on validation questions"):
        method.fit(time_split(TABLE, validation_share=0))


def test_the_half_life_is_the_one_that_validates_best() -> None:
    old = [Row(f"o{n}", "old", n, 2) for n in range(40)]
    new = [
        Row(f"n{n}", item, int(400 * DAY_MS) + n * 10 + at, 2)
        for n in range(12)
        for at, item in enumerate((f"own{n}", "new"))
    ]
    split = time_split(EventTable.from_rows([*old, *new], "shift"), validation_share=0.2)
    method = make_baseline("decayed-popular", split.protocol, k=1, seed=0, threads=1)
    method.fit(split)
    ids = split.table.item_ids
    assert ids[int(method.scores(split.test.histories)[0].argmax())] == "new"


@pytest.mark.parametrize("name", ["last-item", "item-knn", "als"])
def test_neighbours_recommend_within_a_community(name: str) -> None:
    random = np.random.default_rng(0)
    events = [
        f"{side}{user} {side.upper()}{item}"
        for user in range(20)
        for side in "ab"
        for item in random.permutation(12)[:8]
    ]
    made = lists(name, leave_one_out(table_of(*events)), k=1)
    own = [items[0] == user[0].upper() for user, items in made.items()]
    assert np.mean(own) > 0.9  # no user of one side has an item of the other


def test_the_extra_is_named_where_implicit_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "implicit.nearest_neighbours", None)
    with pytest.raises(EvaluationError, match=r"pip install 'stream-app\[evaluate\]'"):
        lists("item-knn", leave_one_out(TABLE))


def test_there_is_one_baseline_for_each_name() -> None:
    for name in BASELINES:
        assert make_baseline(name, "leave-one-out", k=1, seed=0, threads=1).name == name
        assert make_baseline(name, "replay", k=1, seed=0, threads=1).name == name


def test_transition_counts_have_their_known_figure_on_ml_1m() -> None:
    from stream_app.datasets import read_sequences

    split = leave_one_out(read_sequences(shared_data("ml-1m/ml-1m.txt")))
    for name, expected in (("transitions", 0.1261), ("popular", 0.0178)):
        method = make_baseline(name, split.protocol, k=10, seed=0, threads=1)
        method.fit(split)
        made = top_lists(method, split.test.histories, 10, repeats=False)
        found = accuracy(places_of(made, split.test), split.test.offsets, 10)
        assert found["ndcg"].mean() == pytest.approx(expected, abs=5e-5)
