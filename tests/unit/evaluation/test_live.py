"""Methods that learn from the stream are judged on the lists they had made before each event."""

import numpy as np
import pytest
from event_tables import table_of

from stream_app.evaluation import BaselineLists, Popularity, replay, users_of
from stream_app.evaluation.live import replayed_lists
from stream_app.evaluation.metrics import accuracy, places_of
from stream_app.evaluation.progress import PlainProgress
from stream_app.evaluation.protocols import leave_one_out, replay_split, sample_users
from stream_app.evaluation.registry import make_baseline
from stream_app.evaluation.run import Contest, LiveMethod, run

EVENTS = [
    f"u{user} i{item}"
    for user, item in zip(
        np.random.default_rng(0).integers(0, 9, 400).tolist(),
        (np.random.default_rng(1).random(400) ** 2 * 60).astype(int).tolist(),
        strict=True,
    )
]


def popular_lists(repeats: bool) -> float:
    """The hit rate of popular items over a replay, by what an evaluation reports."""
    split = replay_split(table_of(*EVENTS), test_share=0.5, repeats=repeats)
    method = make_baseline("popular", split.protocol, k=10, seed=0, threads=1)
    assert isinstance(method, LiveMethod)
    lists = replayed_lists(split, {"popular": method.make(split)}, 10)["popular"]
    return float(accuracy(places_of(lists, split.test), split.test.offsets, 10)["hr"].mean())


def test_a_replay_finds_what_the_scoreboard_of_the_trainer_finds() -> None:
    past, stream = table_of(*EVENTS).split(0.5)
    method = BaselineLists(Popularity(), past)
    board = replay(stream, {"popular": method}, users_of(past))["popular"].all
    split = replay_split(table_of(*EVENTS), test_share=0.5)
    # The scoreboard counts repeats, which cannot be hit, and the evaluation does not ask for them.
    assert board.hits == round(popular_lists(repeats=False) * len(split.test))
    assert board.predictions >= len(split.test)


def test_with_repeats_every_event_is_asked_for_and_may_be_hit() -> None:
    assert popular_lists(repeats=True) > 0


def test_live_and_frozen_methods_share_a_replay() -> None:
    split = sample_users(replay_split(table_of(*EVENTS), test_share=0.5), 5, seed=0)
    methods = [
        make_baseline(name, split.protocol, k=5, seed=0, threads=1)
        for name in ("decayed-popular", "last-item", "transitions")
    ]
    result = run(Contest(split, methods, ks=[5]), PlainProgress())
    assert [one.name for one in result.methods] == ["decayed-popular", "last-item", "transitions"]
    assert [bool(one.note) for one in result.methods] == [False, True, False]
    assert result.scopes[0].users == 5


def test_only_a_replay_has_a_stream() -> None:
    with pytest.raises(ValueError, match="leave-one-out has no stream to replay"):
        replayed_lists(leave_one_out(table_of(*EVENTS)), {}, 5)
