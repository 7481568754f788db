"""The protocol: predict, then learn; judged by the same user's next event; nobody sees ahead."""

import numpy as np
import pytest

from stream_app.datasets import EventTable
from stream_app.datasets.events import Row
from stream_app.evaluation import (
    BaselineLists,
    Popularity,
    Score,
    TransitionCounts,
    past_rows,
    replay,
    users_of,
)
from stream_app.evaluation.replay import Event
from stream_app.users.ids import item_hash
from stream_app.users.state import events_of


class Recorder:
    """Answers with a fixed list and remembers what it was told, in order."""

    def __init__(self, items: list[str]) -> None:
        self.items = items
        self.calls: list[tuple[str, str, str]] = []

    def learn(self, event: Event) -> None:
        self.calls.append(("learn", event.user_id, event.item_id))

    def observe(self, event: Event) -> list[str]:
        self.calls.append(("observe", event.user_id, event.item_id))
        return self.items


def table(*events: tuple[str, str]) -> EventTable:
    rows = [Row(user, item, 1_000 * at, 2) for at, (user, item) in enumerate(events, start=1)]
    return EventTable.from_rows(rows, "test")


def test_a_list_is_judged_by_the_users_next_event() -> None:
    stream = table(("a", "x"), ("b", "y"), ("a", "y"), ("a", "z"), ("b", "x"))
    boards = replay(stream, {"fixed": Recorder(["y", "x"])}, {"b"})
    board = boards["fixed"]
    assert (board.all.predictions, board.all.hits) == (3, 2)
    assert (board.returning.predictions, board.returning.hits) == (1, 1)
    assert (board.new.predictions, board.new.hits) == (2, 1)
    assert board.returning.mrr == pytest.approx(0.5)


def test_all_methods_get_the_same_events_in_the_same_order() -> None:
    stream = table(("a", "x"), ("b", "y"), ("a", "y"))
    one, two = Recorder([]), Recorder([])
    replay(stream, {"one": one, "two": two}, set())
    assert one.calls == two.calls == [("observe", u, i) for u, i in zip("aba", "xyy", strict=True)]


def test_a_sample_of_users_is_scored_and_everything_is_learned() -> None:
    method = Recorder(["y"])
    stream = table(("a", "x"), ("b", "x"), ("a", "y"), ("b", "y"))
    boards = replay(stream, {"fixed": method}, set(), scored={"b"})
    assert (boards["fixed"].all.predictions, boards["fixed"].all.hits) == (1, 1)
    assert [call[0] for call in method.calls] == ["learn", "observe", "learn", "observe"]


def test_baselines_are_warmed_and_keep_learning() -> None:
    past, stream = table(("c", "x"), ("d", "x"), ("a", "q"), ("a", "r"), ("b", "r")).split(0.4)
    boards = replay(stream, {"p": BaselineLists(Popularity(), past)}, users_of(past))
    assert (boards["p"].all.predictions, boards["p"].all.hits) == (1, 0)


def test_what_is_not_remembered_of_others_changes_no_list() -> None:
    random = np.random.default_rng(0)
    events = [(f"u{u}", f"i{i}") for u, i in random.integers(12, size=(400, 2)).tolist()]
    past, stream = table(*events).split(0.5)
    scored = frozenset({"u1", "u5"})
    for kind in (TransitionCounts, Popularity):
        whole, part = BaselineLists(kind(), past, k=3), BaselineLists(kind(), past, 3, scored)
        for event in stream.messages():
            if event.user_id in scored:
                assert whole.observe(event) == part.observe(event)
            else:
                whole.learn(event)
                part.learn(event)


def test_past_rows_hold_the_history_and_no_offsets() -> None:
    rows = past_rows(table(*((("a"), f"i{n}") for n in range(130)), ("b", "x")))
    events = events_of(rows["a"].history)
    assert len(events) == 100
    assert np.all(np.diff(events["timestamp_ms"]) > 0)
    assert events["item"][-1] == item_hash("i129")
    assert rows["a"].offsets == {}
    assert rows["a"].release == ""
    assert rows["b"].events == 1


def test_scores_of_one_wanted_item() -> None:
    score = Score()
    score.add(["a", "b", "c"], "c")
    score.add(["a", "b", "c"], "d")
    assert (score.hit_rate, score.mrr) == (0.5, pytest.approx(1 / 6))
    assert score.ndcg == pytest.approx(0.25)
